"""Which of a model's inputs takes the pictures, and how pictures have to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kerascnn.errors import ModelError

if TYPE_CHECKING:
    import keras

# The pixel values that a network takes where nobody says otherwise.
WHOLE_RANGE = (0.0, 255.0)
# Where a model gives no height and width, pictures are shown at this size.
DEFAULT_SIDE = 224
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class PictureInput:
    """The input of a model that takes pictures.

    Attributes:
        place: its place among the model's inputs, from 0.
        image_shape: height, width and channels: 1 (gray), 3 (red, green, blue) or 4 (and alpha).
        channels_first: whether the model takes (num_images, channels, height, width).
        any_size: whether the model leaves height or width open, so that `DEFAULT_SIDE` was taken.
    """

    place: int
    image_shape: tuple[int, int, int]
    channels_first: bool
    any_size: bool


def picture_input(model: keras.Model, constants: Mapping[str, float] | None = None) -> PictureInput:
    """The input that takes the pictures: the one that is given no constant.

    Args:
        model: functional or Sequential, built.
        constants: the values that other inputs are filled with, by the inputs' names.

    Raises:
        ModelError: if there is no such input, or more than one, or it takes no pictures.
    """
    inputs = list(getattr(model, "inputs", None) or ())
    if not inputs:
        raise ModelError(
            "The model has no inputs: it is not built, or of a class with a `call` of its own. It "
            "must be functional, or a built Sequential, to be looked into."
        )
    constants = constants or {}
    names = [each.name for each in inputs]
    if unknown := [name for name in constants if name not in names]:
        raise ModelError(f"The model has no input '{unknown[0]}'; it has {', '.join(names)}.")
    free = [place for place, name in enumerate(names) if name not in constants]
    if len(free) != 1:
        described = ", ".join(f"{each.name} {tuple(each.shape)}" for each in inputs)
        raise ModelError(
            f"The model has {len(inputs)} inputs, {described}; pictures go into one. Fill each of "
            "the others with a number, such as --constant NAME=0."
        )
    return _describe(free[0], tuple(inputs[free[0]].shape))


def has_channels_first(shape: tuple[int | None, ...]) -> bool:
    """Whether pictures of a shape have their channels before height and width, by its sizes."""
    return len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS


def _describe(place: int, shape: tuple[int | None, ...]) -> PictureInput:
    if len(shape) != 4:
        raise ModelError(
            f"The model takes inputs of shape {shape}; expected pictures, of shape "
            "(num_images, height, width, channels)."
        )
    first = has_channels_first(shape)
    height, width, channels = (*shape[2:], shape[1]) if first else shape[1:]
    if channels not in CHANNELS:
        raise ModelError(
            f"The model takes inputs of shape {shape}, with {channels} channels; expected 1 "
            "(gray), 3 (red, green, blue) or 4 (and alpha)."
        )
    if 0 in (height, width):
        raise ModelError(f"The model takes inputs of shape {shape}, which have no pixels.")
    size = height or DEFAULT_SIDE, width or DEFAULT_SIDE, channels
    return PictureInput(place, size, first, None in (height, width))
