"""Which activation the numbers of a layer or of a whole model have passed last."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from kerascnn.model.axes import CONVOLUTIONS, PRODUCTS, axis_after
from kerascnn.model.graph import Call, follow, graph_of, is_stock, kinds, unwrap

# Names of Keras's activations, by what its layers and operations are called.
NAMES = {
    name.replace("_", ""): name
    for name in (*dir(keras.activations), "prelu")
    if not name.startswith("_") and name not in ("deserialize", "get", "serialize")
}
# These make each number from all along an axis.
ALONG_AXIS = {"softmax", "log_softmax", "sparsemax", "glu"}
# Numbers of new meaning, which have passed no activation.
LINEAR = CONVOLUTIONS | PRODUCTS | {
    "Einsum", "BatchNormalization", "LayerNormalization", "GroupNormalization",
    "RMSNormalization", "MultiHeadAttention", "GroupedQueryAttention",
}  # fmt: skip
# What leaves numbers as they are, or gives weighted means of them.
PASSING = {
    "Activation", "Identity", "Dropout", "BaseSpatialDropout", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization", "Masking", "Cast", "SaturateCast", "StopGradient",
    "Copy", "Reshape", "Flatten", "Permute", "Transpose", "Moveaxis", "Swapaxes", "ExpandDims",
    "Squeeze", "GetItem", "Split", "Mean", "AveragePool", "AveragePooling2D", "AveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling3D",
    "UpSampling2D", "Cropping2D", "Cropping1D",
}  # fmt: skip
# What does so for each number alone, so that numbers along an axis no longer belong together.
PASSING_SINGLY = {
    "Max", "Amax", "Min", "Amin", "MaxPool", "MaxPooling2D", "MaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling3D",
    "ZeroPadding2D", "ZeroPadding1D", "Pad",
}  # fmt: skip
# What gives logits of logits, but no probabilities of probabilities.
SCALING = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative", "Rescaling"}


@dataclass(frozen=True)
class Passed:
    """The activation that numbers have passed, and along which axis if along one."""

    name: str
    axis: int | None = None


def final_activation(model: keras.Model, output: keras.KerasTensor | None = None) -> str | None:
    """The activation that the numbers which a model gives have passed last.

    It may be a layer, the argument of one, or an operation, also in a nested model and before
    layers that leave numbers as they are.

    Args:
        model: any model.
        output: one of its outputs; the first by default.

    Returns:
        Keras's name of it, such as `softmax`, `sigmoid` or `relu`; `linear` where a layer of
        weights has none; None where it cannot be told, such as after a layer of one's own. A
        softmax is one only along the last axis of the output.
    """
    if graph_of(model) is None:
        return None
    output = model.outputs[0] if output is None else output
    passed = follow([output], _passed)
    if passed is None or (passed.name in ALONG_AXIS and passed.axis != len(output.shape) - 1):
        return None
    return passed.name


def activation_of(operation: keras.Operation) -> str | None:
    """The activation that a layer or operation is or has; `linear` for one that has none.

    None where it is not about activations, or has one that is not Keras's.
    """
    operation = unwrap(operation)
    if not is_stock(operation):
        return None
    if hasattr(operation, "activation"):
        return _name_of(operation.activation)
    return next((NAMES[name.lower()] for name in kinds(operation) if name.lower() in NAMES), None)


def _name_of(activation: object) -> str | None:
    if activation is None:
        return "linear"
    if isinstance(activation, keras.Operation):
        return activation_of(activation)
    name = getattr(activation, "__name__", "")
    is_kerases = str(getattr(activation, "__module__", "")).startswith("keras.")
    return NAMES.get(name.replace("_", "")) if is_kerases else None


def _passed(call: Call, output: keras.KerasTensor, known: list[Passed | None]) -> Passed | None:
    operation, names = unwrap(call.operation), kinds(call.operation)
    if isinstance(operation, layers.InputLayer) or not is_stock(operation):
        return None
    own = activation_of(operation)
    if own is None and hasattr(operation, "activation"):
        return None
    if own and not (own == "linear" and "Activation" in names):
        return Passed(own, _axis_of(operation, len(output.shape)) if own in ALONG_AXIS else None)
    if names & LINEAR:
        return Passed("linear")
    if None in known or not known:
        return None
    if "Average" in names or "Concatenate" in names or names & (PASSING | PASSING_SINGLY):
        found = {_after(call, output, *each) for each in zip(call.inputs, known, strict=True)}
        return found.pop() if len(found) == 1 else None
    is_linear = all(each.name == "linear" for each in known)
    is_scaled = len(known) == 1 or not names & {"Multiply", "Divide", "TrueDivide"}
    return Passed("linear") if names & SCALING and is_linear and is_scaled else None


def _axis_of(operation: keras.Operation, rank: int) -> int | None:
    """The axis along which a softmax is."""
    axis = getattr(getattr(operation, "activation", operation), "axis", -1)
    return axis % rank if isinstance(axis, int) else None


def _after(
    call: Call, output: keras.KerasTensor, given: keras.KerasTensor, passed: Passed
) -> Passed | None:
    """What is left of an activation behind a call that passes numbers on."""
    if passed.axis is None:
        return passed if passed.name not in ALONG_AXIS else None
    axis = axis_after(call, given, output, passed.axis)
    is_whole = axis is not None and given.shape[passed.axis] == output.shape[axis]
    is_singly = kinds(call.operation) & PASSING_SINGLY
    return Passed(passed.name, axis) if is_whole and not is_singly else None
