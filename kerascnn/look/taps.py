"""Which layer is meant by "the first convolution", and the kernels whose answers it gives."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kerascnn.errors import ModelError
from kerascnn.look.activations import find_output, layers_of


def find_tap(model: keras.Model, tap: str = "relu") -> str:
    """Name of the first convolution, or of its batch normalization or ReLU.

    Args:
        model: functional or Sequential, built.
        tap: `conv`; `bn`, the batch normalization that follows it; or `relu`, the activation that
            follows it, which is the convolution itself where it has its own.

    Raises:
        ModelError: if there is no such layer before the next convolution.
    """
    names, found = list(layers_of(model)), list(layers_of(model).values())
    start = next((i for i, layer in enumerate(found) if isinstance(layer, layers.Conv2D)), None)
    if start is None:
        raise ModelError(f"The model has no Conv2D; name a layer: {', '.join(names)}.")
    if tap == "conv" or (tap == "relu" and _is_activated(found[start])):
        return names[start]
    for name, layer in zip(names[start + 1 :], found[start + 1 :], strict=True):
        if isinstance(layer, layers.Conv2D):
            break
        if _is_tap(layer, tap):
            return name
    raise ModelError(
        f"No {tap} follows the first convolution '{names[start]}'; name a layer: "
        f"{', '.join(names)}."
    )


def effective_kernels(model: keras.Model, layer: str) -> np.ndarray | None:
    """Kernels of the convolution whose answers a layer gives, with batch normalization's scale.

    Batch normalization multiplies each filter by gamma / sqrt(variance + epsilon), which may be
    negative: what excites the filter is then the kernel's opposite.

    Returns:
        float32 (height, width, channels, filters), or None where no convolution gives them.
    """
    tensor = find_output(model, layer)
    filters_axis, scale = tensor.shape[-1], 1.0
    while True:
        operation, node, _ = tensor._keras_history
        if isinstance(operation, layers.Conv2D):
            kernel = keras.ops.convert_to_numpy(operation.kernel)
            return np.asarray(kernel * scale, "float32")
        if isinstance(operation, layers.BatchNormalization):
            scale = scale * _scale_of(operation)
        inputs = operation._inbound_nodes[node].input_tensors
        keeps_filters = len(inputs) == 1 and inputs[0].shape[-1] == filters_axis
        if not keeps_filters or _mixes_filters(operation):
            return None
        tensor = inputs[0]


def _mixes_filters(operation: keras.Operation) -> bool:
    keeps = isinstance(operation, layers.BatchNormalization | layers.PReLU)
    return bool(getattr(operation, "weights", ())) and not keeps


def _scale_of(layer: layers.BatchNormalization) -> np.ndarray:
    variance = keras.ops.convert_to_numpy(layer.moving_variance)
    gamma = keras.ops.convert_to_numpy(layer.gamma) if layer.scale else 1.0
    return gamma / np.sqrt(variance + layer.epsilon)


def _is_activated(layer: layers.Layer) -> bool:
    return layer.activation is not keras.activations.linear


def _is_tap(layer: layers.Layer, tap: str) -> bool:
    if tap == "bn":
        return isinstance(layer, layers.BatchNormalization)
    return isinstance(layer, layers.ReLU | layers.Activation | layers.LeakyReLU | layers.PReLU)
