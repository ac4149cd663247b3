"""The first convolution of a model and what follows it, and the kernels behind a layer."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from kerascnn.errors import ModelError
from kerascnn.model.activation import ALONG_AXIS, NAMES, activation_of
from kerascnn.model.axes import CONVOLUTIONS, MOVES, RESIZING, UNITS, axis_after
from kerascnn.model.graph import (
    Call,
    Place,
    call_of,
    find_output,
    follow,
    graph_of,
    is_stock,
    kinds,
    list_layers,
    unwrap,
    upstream,
    uses_of,
)  # fmt: skip

CONVOLUTIONS_2D = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"}
# What makes new filters of all that come before: a tap behind it is not the convolution's.
NEW_FILTERS = CONVOLUTIONS | UNITS | {"EinsumDense", "Matmul"}
# What does to each filter's map, or to its values, something of its own.
SINGLY = RESIZING - {"Concatenate", "DepthToSpace", "SpaceToDepth", "Split", "Repeat", "Tile"} | {
    "Identity", "Dropout", "BaseSpatialDropout", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization", "Cast", "StopGradient", "Copy",
} | MOVES.keys() - {"Std", "Var", "Min", "Amin", "Prod", "GetItem", "Einsum"}  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """Filters that a convolution gave, the normalizations since, and the axis that holds them."""

    convolution: Call
    normalizations: tuple[layers.BatchNormalization, ...]
    axis: int


def find_tap(model: keras.Model, tap: str = "relu", picture: int | None = None) -> str:
    """Name of the first convolution, or of its batch normalization or ReLU, nested or not.

    The first convolution is the one with the fewest layers before it, along the longest way from
    the input. Depthwise, separable and transposed ones count.

    Args:
        model: functional or Sequential, built.
        tap: `conv`; `bn`, the batch normalization that follows it; or `relu`, the activation that
            follows it, which is the convolution itself where it has its own.
        picture: which of the model's inputs, from 0, takes the pictures, so that only what is
            computed from it counts; None for all of them.

    Returns:
        The name, as `truncate` takes it.

    Raises:
        ModelError: if there is no such layer before the next convolution.
    """
    names = {use.place.key: use.name for use in uses_of(model)}
    places = _in_order_of_data(model)
    if picture is not None:
        places = _computed_from(model.inputs[picture], places)
    first = next((place for place, _ in places if _is_convolution(place)), None)
    if first is None:
        raise ModelError(
            f"The model has no convolution of pictures; name a layer: {list_layers(model)}."
        )
    name = names[first.key]
    operation = call_of(first.tensor).operation
    if tap == "conv" or (tap == "relu" and _is_activated(operation)):
        return name
    behind = {first.key}
    for place, before in places:
        operation = call_of(place.tensor).operation
        if kinds(operation) & NEW_FILTERS or not any(each.key in behind for each in before):
            continue
        if _is_tap(operation, tap):
            return names[place.key]
        behind.add(place.key)
    raise ModelError(
        f"No {tap} follows the first convolution '{name}' before the next; name a layer, such as "
        f"the convolution: {name} {tuple(first.tensor.shape)}."
    )


def effective_kernels(model: keras.Model, layer: str) -> np.ndarray | None:
    """Kernels of the convolution whose answers a layer gives, with batch normalization's scale.

    Batch normalization multiplies each filter by gamma / sqrt(variance + epsilon), which may be
    negative: what excites the filter is then the kernel's opposite. Of depthwise and separable
    convolutions, those of one or three channels have such kernels: the former with zeros for the
    channels that a filter does not see, the latter with its two steps as one.

    Returns:
        float32 (height, width, channels, filters), or None where no convolution gives them, or its
        kernels are not of this form.
    """
    filters = follow([find_output(model, layer)], _filters)
    kernel = filters and _kernel(filters.convolution.operation)
    if kernel is None:
        return None
    for normalization in filters.normalizations:
        kernel = kernel * _scale_of(normalization)
    return np.asarray(kernel, "float32")


# The first convolution.


def _in_order_of_data(model: keras.Model) -> list[tuple[Place, list[Place]]]:
    """Places where layers give their output, by the number of layers before, and their inputs."""
    graph = graph_of(model)
    found = list(upstream(graph.outputs))
    depth: dict[tuple, int] = {}
    for place, before in found:
        depth[place.key] = 1 + max((depth[each.key] for each in before), default=0)
    return sorted(found, key=lambda each: depth[each[0].key])


def _computed_from(
    image: keras.KerasTensor, places: list[tuple[Place, list[Place]]]
) -> list[tuple[Place, list[Place]]]:
    """Those of some places, each after what it needs, that are computed from a tensor."""
    reached, found = {Place(image).key}, []
    for place, before in places:
        if any(each.key in reached for each in before):
            reached.add(place.key)
            found.append((place, before))
    return found


def _is_convolution(place: Place) -> bool:
    names = kinds(call_of(place.tensor).operation)
    is_operation = names & CONVOLUTIONS and "Layer" not in names
    return bool(names & CONVOLUTIONS_2D or (is_operation and len(place.tensor.shape) == 4))


def _is_activated(operation: keras.Operation) -> bool:
    own = getattr(unwrap(operation), "activation", keras.activations.linear)
    return own is not keras.activations.linear


def _is_tap(operation: keras.Operation, tap: str) -> bool:
    if tap == "bn":
        return "BatchNormalization" in kinds(operation)
    if isinstance(operation, layers.Activation):
        return activation_of(operation) not in {"linear", *ALONG_AXIS}
    return activation_of(operation) in set(NAMES.values()) - {"linear", *ALONG_AXIS}


# The kernels.


def _filters(call: Call, output: keras.KerasTensor, known: list[Filters | None]) -> Filters | None:
    operation, names = unwrap(call.operation), kinds(call.operation)
    if names & CONVOLUTIONS_2D:
        axis = 1 if operation.data_format == "channels_first" else len(output.shape) - 1
        return Filters(call, (), axis)
    if len(known) != 1 or known[0] is None:
        return None
    before = known[0]
    axis = axis_after(call, call.inputs[0], output, before.axis)
    if axis is None or call.inputs[0].shape[before.axis] != output.shape[axis]:
        return None
    if "BatchNormalization" in names and is_stock(operation):
        is_of_filters = operation.axis % len(output.shape) == axis
        normalizations = (*before.normalizations, operation)
        return Filters(before.convolution, normalizations, axis) if is_of_filters else None
    return Filters(before.convolution, before.normalizations, axis) if _is_singly(call) else None


def _is_singly(call: Call) -> bool:
    """Whether a call makes each filter's values from those of the same filter."""
    names = kinds(call.operation)
    if names & SINGLY:
        return is_stock(call.operation)
    own = activation_of(call.operation)
    is_activation = "Activation" in names or not hasattr(call.operation, "activation")
    return is_activation and own is not None and own not in ALONG_AXIS


def _kernel(operation: keras.Operation) -> np.ndarray | None:
    """The kernel by which a convolution multiplies what it sees."""
    operation, names = unwrap(operation), kinds(operation)
    own_step = getattr(type(operation), "convolution_op", operation.call)
    if not is_stock(operation) or not own_step.__module__.startswith("keras."):
        return None
    if "Conv2D" in names:
        return _as_float32(operation.kernel)
    is_separable = "SeparableConv2D" in names
    if not is_separable and "DepthwiseConv2D" not in names:
        return None
    kernel = operation.depthwise_kernel if is_separable else operation.kernel
    channels, multiplier = kernel.shape[2:]
    if channels not in (1, 3):
        return None
    # Filters of the depthwise step: those of the first channel, of the second, and so on.
    steps = channels * multiplier
    pointwise = _as_float32(operation.pointwise_kernel) if is_separable else np.eye(steps)
    pointwise = pointwise.reshape(channels, multiplier, -1)
    return np.einsum("hwcm,cmf->hwcf", _as_float32(kernel), pointwise)


def _as_float32(variable: keras.Variable) -> np.ndarray:
    # numpy has no sums of bfloat16.
    return np.asarray(ops.convert_to_numpy(variable), "float32")


def _scale_of(layer: layers.BatchNormalization) -> np.ndarray:
    variance = _as_float32(layer.moving_variance)
    gamma = _as_float32(layer.gamma) if layer.scale else 1.0
    return gamma / np.sqrt(variance + layer.epsilon)
