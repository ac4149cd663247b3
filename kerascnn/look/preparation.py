"""How pixels become what a model takes: its range of values, its order of dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from kerascnn.errors import ModelError, SelectionError, did_you_mean
from kerascnn.model.graph import call_of, find_output
from kerascnn.model.inputs import WHOLE_RANGE, PictureInput

# What `keras.applications.imagenet_utils.preprocess_input` knows.
MODES = ("caffe", "tf", "torch")
APPLICATIONS = "keras.applications."
# How the names of the applications begin that were trained on prepared pixels, in lower case; the
# longest one counts. The other applications prepare pixels themselves, in their first layers.
FAMILIES = {
    "densenet": "densenet",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "mobilenet_": "mobilenet",
    "mobilenetv2_": "mobilenet_v2",
    "nasnet": "nasnet",
    "resnet50": "resnet",
    "resnet101": "resnet",
    "resnet152": "resnet",
    "resnet50v2": "resnet_v2",
    "resnet101v2": "resnet_v2",
    "resnet152v2": "resnet_v2",
    "vgg16": "vgg16",
    "vgg19": "vgg19",
    "xception": "xception",
}
# Layers that leave the values of pixels where they are.
KEEPS_VALUES = ("Random", "CenterCrop", "Resizing", "Identity", "Dropout", "ZeroPadding")


@dataclass(frozen=True)
class Preparation:
    """What is done to pixels before a model sees them.

    Attributes:
        value_range: the lowest and the highest value that the model takes.
        preprocess: instead of a range, whose `preprocess_input` prepares the pixels: a module such
            as `keras.applications.vgg16`, or a mode: `caffe` (blue, green, red, less the means of
            ImageNet), `tf` (from -1 to 1) or `torch` (from 0 to 1, then ImageNet's means and
            deviations).
        constants: what other inputs of the model are filled with, by their names.

    Raises:
        SelectionError: if there is no such preparation.
    """

    value_range: tuple[float, float] = WHOLE_RANGE
    preprocess: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if self.preprocess is None:
            return
        if self.value_range != WHOLE_RANGE:
            raise SelectionError("Give a range of values or a preprocessing, not both.")
        known = [*MODES, *_application_modules()]
        if self._module_name not in known:
            hint = did_you_mean(self._module_name, known)
            raise SelectionError(
                f"Preprocessing '{self.preprocess}' is not known; expected {', '.join(MODES)}, or "
                f"a module such as keras.applications.vgg16.{hint}"
            )

    @property
    def _module_name(self) -> str:
        return (self.preprocess or "").removeprefix(APPLICATIONS)

    @property
    def keeps_pixels(self) -> bool:
        """Whether the model gets pixels from 0 to 255 as they are."""
        return self.preprocess is None and self.value_range == WHOLE_RANGE

    def apply(
        self, images: np.ndarray, model: keras.Model, place: PictureInput
    ) -> list[np.ndarray]:
        """A batch for a model: an array for each of its inputs.

        Args:
            images: uint8 (num_images, height, width, channels).
            place: see `picture_input`.
        """
        batch = self._to_values(images)
        batch = np.moveaxis(batch, -1, 1) if place.channels_first else batch
        others = (each for at, each in enumerate(model.inputs) if at != place.place)
        filled = [self._fill(each, len(images)) for each in others]
        return [*filled[: place.place], batch, *filled[place.place :]]

    def _to_values(self, images: np.ndarray) -> np.ndarray:
        low, high = self.value_range
        if self.preprocess is None:
            if self.keeps_pixels:
                return images
            return images.astype("float32") * ((high - low) / 255) + low
        if images.shape[-1] != 3:
            raise ModelError(
                f"The model takes pictures of {images.shape[-1]} channels; '{self.preprocess}' "
                "prepares red, green and blue. Give --value-range instead."
            )
        values = images.astype("float32")
        if self._module_name in MODES:
            from keras.applications.imagenet_utils import preprocess_input

            return preprocess_input(values, "channels_last", mode=self._module_name)
        module = getattr(keras.applications, self._module_name)
        return module.preprocess_input(values, "channels_last")

    def _fill(self, each: keras.KerasTensor, num_images: int) -> np.ndarray:
        if None in each.shape[1:]:
            raise ModelError(
                f"Input '{each.name}' has the shape {tuple(each.shape)}, which leaves a size open; "
                "it cannot be filled."
            )
        value = self.constants[each.name]
        return np.full((num_images, *each.shape[1:]), value, each.dtype)


def missing_preprocessing(model: keras.Model) -> str | None:
    """The module of the application that a model is, or stands on, if that wants prepared pixels.

    Returns:
        Such as `keras.applications.vgg16`; None where the model is of another kind, or prepares
        pixels itself before the application sees them.
    """
    if family := _family(model.name):
        return APPLICATIONS + family
    for layer in model.layers:
        family = isinstance(layer, keras.Model) and _family(layer.name)
        if family and _gets_pixels(find_output(model, layer.name)):
            return APPLICATIONS + family
    return None


def _application_modules() -> list[str]:
    found = vars(keras.applications).items()
    return [name for name, each in found if hasattr(each, "preprocess_input")]


def _family(name: str) -> str | None:
    own = [start for start in FAMILIES if name.lower().startswith(start)]
    return FAMILIES[max(own, key=len)] if own else None


def _gets_pixels(output: keras.KerasTensor) -> bool:
    """Whether nothing before the layer that gave a tensor changes the values of pixels."""
    tensors = list(call_of(output).inputs)
    while tensors:
        call = call_of(tensors.pop())
        if call.inputs and not type(call.operation).__name__.startswith(KEEPS_VALUES):
            return False
        tensors += call.inputs
    return True
