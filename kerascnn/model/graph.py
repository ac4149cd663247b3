"""The graph of a model's layers: which layer is meant, where to cut, and what came before.

Works for any functional or built Sequential model, on every backend. Keras has no public way to
walk its graph of calls. What is private to Keras is read in `call_of`, `_graph_of` and
`_outputs_by_name`, and nowhere else in this file.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from kerascnn.errors import ModelError


class Call(NamedTuple):
    """One use of a layer in a model.

    Attributes:
        operation: the layer, or another operation of Keras.
        inputs: the symbolic tensors among its arguments.
        args, kwargs: all that it was called with.
    """

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    args: tuple
    kwargs: dict[str, object]


def call_of(output: keras.KerasTensor) -> Call:
    """The call that gave a symbolic tensor."""
    operation, number, _ = output._keras_history
    node = operation._inbound_nodes[number]
    return Call(operation, node.input_tensors, node.arguments.args, node.arguments.kwargs)


def describe_layers(model: keras.Model) -> list[tuple[str, tuple]]:
    """Name and output shape of every use of a layer, as `truncate` takes it, inputs first."""
    return [
        (f"{name}:{use}" if len(outputs) > 1 else name, tuple(output.shape))
        for name, outputs in _outputs_by_name(model).items()
        for use, output in enumerate(outputs, start=1)
    ]


def find_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """The symbolic output of a layer in a model; arguments and errors as for `truncate`."""
    outputs = _outputs_by_name(model)
    name, use = layer, -1
    if layer not in outputs and ":" in layer:
        name, _, number = layer.rpartition(":")
        use = int(number) - 1 if number.isdecimal() and int(number) > 0 else None
    if name not in outputs or use is None or use >= len(outputs[name]):
        known = ", ".join(f"{key} {shape}" for key, shape in describe_layers(model))
        raise ModelError(f"The model has no layer '{layer}'. Its layers are: {known}.")
    return outputs[name][use]


def truncate(model: keras.Model, layer: str) -> keras.Model:
    """The sub-model from the input to a layer; it shares the model's variables.

    Args:
        model: functional or Sequential, built.
        layer: name of a layer. Of a layer that is used several times the last use is meant, or the
            n-th by `name:n`, counted from 1.

    Raises:
        ModelError: if the model has no such layer, or no graph to cut.
    """
    return sub_model(model, find_output(model, layer))


def sub_model(
    model: keras.Model, outputs: keras.KerasTensor | list[keras.KerasTensor]
) -> keras.Model:
    """The model from the same inputs to other outputs; it shares the model's variables."""
    inputs = model.inputs
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)


def to_channels_last(output: keras.KerasTensor) -> keras.KerasTensor:
    """A layer's output as (num_images, height, width, filters); units are maps of one pixel.

    Raises:
        ModelError: if it is neither maps nor units.
    """
    rank = len(output.shape)
    if rank == 2:
        return ops.expand_dims(ops.expand_dims(output, 1), 1)
    if rank != 4:
        raise ModelError(
            f"A layer of output shape {tuple(output.shape)} has no feature maps; expected "
            "(num_images, height, width, filters) or (num_images, units)."
        )
    return ops.transpose(output, (0, 2, 3, 1)) if gives_channels_first(output) else output


def gives_channels_first(output: keras.KerasTensor) -> bool:
    """Whether the nearest layer before an output that has a data format is channels_first."""
    tensors = [output]
    while tensors:
        call = call_of(tensors.pop(0))
        data_format = getattr(call.operation, "data_format", None)
        if data_format is not None:
            return data_format == "channels_first"
        tensors += call.inputs
    return False


def ends_in_sigmoid(model: keras.Model) -> bool:
    """Whether the last layer of a model has the sigmoid as its activation."""
    last = call_of(model.outputs[0]).operation
    return getattr(last, "activation", None) is keras.activations.sigmoid


def find_tap(model: keras.Model, tap: str = "relu") -> str:
    """Name of the first convolution, or of its batch normalization or ReLU.

    Args:
        model: functional or Sequential, built.
        tap: `conv`; `bn`, the batch normalization that follows it; or `relu`, the activation that
            follows it, which is the convolution itself where it has its own.

    Raises:
        ModelError: if there is no such layer before the next convolution.
    """
    found = _graph_of(model).operations  # inputs first
    names = ", ".join(operation.name for operation in found)
    convolutions = [place for place, each in enumerate(found) if isinstance(each, layers.Conv2D)]
    if not convolutions:
        raise ModelError(f"The model has no Conv2D; name a layer: {names}.")
    start, stop = (*convolutions, None)[:2]
    first = found[start]
    if tap == "conv" or (tap == "relu" and _is_activated(first)):
        return first.name
    for operation in found[start + 1 : stop]:
        if _is_tap(operation, tap):
            return operation.name
    raise ModelError(
        f"No {tap} follows the first convolution '{first.name}'; name a layer: {names}."
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
        operation, inputs, _, _ = call_of(tensor)
        if isinstance(operation, layers.Conv2D):
            kernel = ops.convert_to_numpy(operation.kernel)
            return np.asarray(kernel * scale, "float32")
        if isinstance(operation, layers.BatchNormalization):
            scale = scale * _scale_of(operation)
        keeps_filters = len(inputs) == 1 and inputs[0].shape[-1] == filters_axis
        if not keeps_filters or _mixes_filters(operation):
            return None
        tensor = inputs[0]


def _mixes_filters(operation: keras.Operation) -> bool:
    keeps = isinstance(operation, layers.BatchNormalization | layers.PReLU)
    return bool(getattr(operation, "weights", ())) and not keeps


def _scale_of(layer: layers.BatchNormalization) -> np.ndarray:
    variance = ops.convert_to_numpy(layer.moving_variance)
    gamma = ops.convert_to_numpy(layer.gamma) if layer.scale else 1.0
    return gamma / np.sqrt(variance + layer.epsilon)


def _is_activated(layer: layers.Layer) -> bool:
    return layer.activation is not keras.activations.linear


def _is_tap(layer: layers.Layer, tap: str) -> bool:
    if tap == "bn":
        return isinstance(layer, layers.BatchNormalization)
    return isinstance(layer, layers.ReLU | layers.Activation | layers.LeakyReLU | layers.PReLU)


def _graph_of(model: keras.Model) -> keras.Model:
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if not hasattr(graph, "_nodes_by_depth"):
        raise ModelError(
            "The model has no graph of layers to cut: it must be functional, or a built Sequential."
        )
    return graph


def _outputs_by_name(model: keras.Model) -> dict[str, list[keras.KerasTensor]]:
    """Outputs of each layer's uses in this model, in the order of the calls."""
    graph = _graph_of(model)
    # A layer may be used by other models too; those uses are other nodes.
    own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    return {
        operation.name: [
            node.output_tensors[0] for node in operation._inbound_nodes if id(node) in own
        ]
        for operation in graph.operations
    }
