"""Which axis of a layer's output holds its filters, and the output as feature maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from kerascnn.errors import ModelError
from kerascnn.model.graph import Call, attach, follow, fresh_name, is_stock, kinds, unwrap
from kerascnn.model.inputs import has_channels_first

DATA_FORMATS = ("channels_last", "channels_first")
CONVOLUTIONS = {
    "BaseConv", "BaseConvTranspose", "BaseDepthwiseConv", "BaseSeparableConv",
    "Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv",
}  # fmt: skip
PRODUCTS = {"Matmul", "Dot", "Tensordot"}
# What gives units in its last axis, whatever it takes.
UNITS = {
    "Dense", "Embedding", "RNN", "Bidirectional", "MultiHeadAttention", "GroupedQueryAttention",
    "Attention", "AdditiveAttention",
}  # fmt: skip
# What makes axes longer or shorter and leaves them in their order.
RESIZING = {
    "BasePooling", "BaseGlobalPooling", "BaseAdaptivePooling",
    "MaxPool", "AveragePool", "AdaptiveMaxPool", "AdaptiveAveragePool",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "Cropping1D", "Cropping2D", "Cropping3D",
    "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "Resizing", "CenterCrop", "RandomCrop", "Resize", "PadImages", "CropImages",
    "Concatenate", "Pad", "Split", "Repeat", "Tile", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
# What may mix axes though the shape stays.
MIXING = UNITS | PRODUCTS | {"EinsumDense", "Rot90", "Wrapper", "Kron", "Cross"}

# How certain an axis is.
BY_PICTURE, BY_SETTING, BY_LAYER = 1, 2, 3


@dataclass(frozen=True)
class Axis:
    """An axis, and how it is known: by the picture's shape, a setting, or the layer it is of."""

    number: int
    certainty: int


def to_channels_last(
    output: keras.KerasTensor, data_format: str | None = None
) -> keras.KerasTensor:
    """A layer's output as float32 (num_images, height, width, filters).

    Units are maps of one pixel. Tokens, (num_images, tokens, width), become a square where their
    number is one; where it is one more, as of transformers with a class token, the first is left
    out; else they are one row.

    Args:
        data_format: `channels_first` or `channels_last` where that is known better than the model
            tells; by default it follows from the layers before.

    Raises:
        ModelError: if it is neither maps nor units, or it is not known which axis holds filters.
    """
    shape = tuple(output.shape)
    if len(shape) not in (2, 3, 4):
        raise ModelError(
            f"A layer of output shape {shape} has no feature maps; expected "
            "(num_images, height, width, filters), (num_images, tokens, width) or "
            "(num_images, units)."
        )
    if data_format not in (None, *DATA_FORMATS):
        raise ModelError(
            f"data_format must be one of {', '.join(DATA_FORMATS)}. Received: {data_format!r}"
        )
    axis = _of_format(data_format, len(shape)) if data_format else filters_axis(output)
    return attach(ToMaps(axis), output)


def filters_axis(output: keras.KerasTensor) -> int:
    """The axis of a layer's output that holds its filters, as it follows from the layers before.

    Raises:
        ModelError: if it does not follow.
    """
    axis = follow([output], _axis_of)
    if axis is None:
        raise ModelError(
            f"Which axis of the output shape {tuple(output.shape)} holds the filters does not "
            "follow from the model's layers; say it by data_format (--data-format) channels_last "
            "or channels_first."
        )
    return axis.number


class ToMaps(layers.Layer):
    """Maps, tokens or units, in any order of axes, to float32 maps, channels last."""

    def __init__(self, axis: int):
        # Without autocast, which would add an operation of a name that the model may have.
        super().__init__(name=fresh_name("maps"), dtype="float32", autocast=False)
        self.axis = axis

    def call(self, inputs):
        maps = ops.moveaxis(ops.cast(inputs, "float32"), self.axis, -1)
        if len(maps.shape) == 4:
            return maps
        if len(maps.shape) == 2:
            return ops.expand_dims(maps, (1, 2))
        grid = _grid(maps.shape[1])
        if grid is None:
            return ops.expand_dims(maps, 1)
        return ops.reshape(maps[:, -math.prod(grid) :], (-1, *grid, maps.shape[2]))

    def compute_output_shape(self, input_shape):
        sides = [size for axis, size in enumerate(input_shape) if axis not in (0, self.axis)]
        if not sides:
            sides = [1, 1]
        elif len(sides) == 1:
            sides = _grid(sides[0]) or (1, *sides)
        return input_shape[0], *sides, input_shape[self.axis]


def _grid(tokens: int | None) -> tuple[int, int] | None:
    """Rows and columns of a square of tokens, perhaps behind a class token."""
    for number in (tokens, tokens - 1) if tokens else ():
        side = math.isqrt(number)
        if side * side == number and (side > 1 or tokens == 1):
            return side, side
    return None


def _of_format(data_format: str, rank: int) -> int:
    return 1 if data_format == "channels_first" else rank - 1


# Which axis a layer gives its filters.


def _axis_of(call: Call, output: keras.KerasTensor, known: list[Axis | None]) -> Axis | None:
    rank, operation = len(output.shape), unwrap(call.operation)
    if rank < 3:
        return Axis(rank - 1, BY_LAYER)
    if isinstance(operation, layers.InputLayer):
        return Axis(1 if has_channels_first(output.shape) else rank - 1, BY_PICTURE)
    own = _own_axis(operation, len(call.inputs), rank)
    if own is not None:
        return Axis(own, BY_LAYER)
    given = [
        Axis(number, axis.certainty)
        for tensor, axis in zip(call.inputs, known, strict=True)
        if axis and (number := axis_after(call, tensor, output, axis.number)) is not None
    ]
    certainty = max((axis.certainty for axis in given), default=0)
    most_certain = {axis for axis in given if axis.certainty == certainty}
    axis = most_certain.pop() if len(most_certain) == 1 else None
    setting = _axis_by_setting(operation, rank)
    if setting is not None and certainty < BY_LAYER:
        return Axis(setting, BY_SETTING)
    return axis


def _own_axis(operation: keras.Operation, num_inputs: int, rank: int) -> int | None:
    """The axis of its filters, of a layer that makes new ones."""
    names = kinds(operation)
    if names & CONVOLUTIONS:
        return _of_format(operation.data_format, rank)
    if "EinsumDense" in names:
        first, _, result = operation.equation.partition("->")
        new = [place for place, letter in enumerate(result) if letter not in first.split(",")[0]]
        return new[0] if len(new) == 1 and "." not in result else None
    # Of a product of two tensors, neither need hold features.
    is_product = names & PRODUCTS and num_inputs == 1
    return rank - 1 if names & UNITS or is_product else None


def _axis_by_setting(operation: keras.Operation, rank: int) -> int | None:
    """The axis that a layer was told to take for that of filters."""
    data_format = getattr(operation, "data_format", None)
    if data_format in DATA_FORMATS:
        return _of_format(data_format, rank)
    is_normalization = kinds(operation) & {"BatchNormalization", "GroupNormalization"}
    return operation.axis % rank if is_normalization else None


# Where an axis goes.


def axis_after(
    call: Call, given: keras.KerasTensor, output: keras.KerasTensor, axis: int
) -> int | None:
    """Where an axis of one input of a call is in its output; None where that is not known.

    It may have become longer or shorter on the way.
    """
    names, before, after = kinds(call.operation), tuple(given.shape), tuple(output.shape)
    rule = next((rule for name, rule in MOVES.items() if name in names), None)
    if rule:
        return rule(call, before, after, axis)
    if len(before) != len(after) or names & MIXING - {"Wrapper"}:
        return None
    if names & RESIZING:
        return axis
    if is_stock(call.operation) and "Wrapper" not in names:
        fits = all(one in (1, None, other) for one, other in zip(before, after, strict=True))
        return axis if fits else None
    return axis if before == after and len(call.inputs) == 1 else None


def _permuted(change: Callable[[keras.Operation, np.ndarray], np.ndarray]) -> Callable:
    """Where an axis goes by numpy, tried with axes that are known by their sizes."""

    def rule(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
        sizes = range(2, 2 + len(before))
        changed = change(call.operation, np.broadcast_to(0, sizes)).shape
        return changed.index(sizes[axis]) if changed[0] == sizes[0] else None

    return rule


def _reduced(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
    if len(before) == len(after):
        return axis
    given = call.operation.axis
    if given is None:
        gone = {place for place, size in enumerate(before) if size == 1}
    else:
        gone = {place % len(before) for place in np.atleast_1d(given).tolist()}
    return None if axis in gone else axis - sum(place < axis for place in gone)


def _pooled(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
    if len(before) == len(after):
        return axis
    return 1 if axis == _of_format(call.operation.data_format, len(before)) else None


def _reshaped(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
    """The one axis of the same size with as many values before it, or behind it, as before."""

    def lies_alike(new: int) -> bool:
        sides = ((before[1:axis], after[1:new]), (before[axis + 1 :], after[new + 1 :]))
        return any(
            None not in (*one, *other) and math.prod(one) == math.prod(other)
            for one, other in sides
        )

    size = before[axis]
    found = [new for new in range(1, len(after)) if after[new] == size and lies_alike(new)]
    return found[0] if len(found) == 1 and size is not None else None


def _taken(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
    key = call.argument("key", 1)
    keys = list(key) if isinstance(key, tuple | list) else [key]
    if not all(each is None or each is ... or isinstance(each, int | slice) for each in keys):
        return None
    rest = [slice(None)] * (
        len(before) - sum(each is not None and each is not ... for each in keys)
    )
    place = next((place for place, each in enumerate(keys) if each is ...), len(keys))
    keys[place : place + 1] = rest
    if not isinstance(keys[0], slice):
        return None
    old = [place for place, each in enumerate(keys) if each is not None]
    new = [place for place, each in enumerate(keys) if not isinstance(each, int)]
    return new.index(old[axis]) if old[axis] in new else None


def _summed(call: Call, before: tuple, after: tuple, axis: int) -> int | None:
    terms, _, result = call.operation.subscripts.replace(" ", "").partition("->")
    letter = terms.split(",")[0][axis : axis + 1]
    is_plain = len(call.inputs) == 1 and "." not in terms
    return result.index(letter) if is_plain and letter and letter in result else None


REDUCTIONS = (
    "Mean", "Max", "Min", "Sum", "Amax", "Amin", "Prod", "Std", "Var", "Median", "Squeeze",
)  # fmt: skip
MOVES: dict[str, Callable[[Call, tuple, tuple, int], int | None]] = {
    "Permute": _permuted(lambda layer, x: np.transpose(x, (0, *layer.dims))),
    "Transpose": _permuted(lambda operation, x: np.transpose(x, operation.axes)),
    "Moveaxis": _permuted(lambda each, x: np.moveaxis(x, each.source, each.destination)),
    "Swapaxes": _permuted(lambda each, x: np.swapaxes(x, each.axis1, each.axis2)),
    "ExpandDims": _permuted(
        lambda each, x: np.expand_dims(x, tuple(np.atleast_1d(each.axis).tolist()))
    ),
    "GetItem": _taken,
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "BaseGlobalPooling": _pooled,
    "Einsum": _summed,
} | dict.fromkeys(REDUCTIONS, _reduced)
