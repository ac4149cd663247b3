"""Random flip, crop and color jitter as Keras layers: torchvision's meaning, for training only.

Every image has its own draws, and they depend on (seed, epoch, position) alone: they are the same
on every Keras backend and do not change with the batch size, see `model.draws`.
"""

import keras
import numpy as np
from keras import ops

from kerascnn.model.draws import Tensor, image_keys, integer, mix, uniform
from kerascnn.recipe import Recipe
from kerascnn.seeds import derived_seed, random_stream

# Weights of red, green and blue in gray (ITU-R BT.601), as torchvision rounds them.
GRAY_WEIGHTS = (0.2989, 0.587, 0.114)
# The orders of three operations; row r, column s: the operation of slot s.
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
BRIGHTNESS, CONTRAST, SATURATION = range(3)


class ImageAugmentation(keras.layers.Layer):
    """Base of the layers here: gives each image a key from which its draws are made.

    Called with `training=True`, the layer augments the next images of its epoch and moves on by as
    many; `seek` says where it stands. Otherwise it returns the images as they are.

    Input shape:
        (num_images, height, width, channels), values from 0 to 255 (see `ColorJitter` for others).

    Output shape:
        The same (a crop may differ in height and width), float32.

    Args:
        seed: integer from 0 to 2**31 - 1.
    """

    # The further arguments of a subclass, which are attributes of the same names.
    settings: tuple[str, ...] = ()

    def __init__(self, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = int(seed)
        self.place = self.add_weight(
            shape=(2,), dtype="int32", initializer="zeros", trainable=False, name="place"
        )

    def seek(self, epoch: int, position: int) -> None:
        """Go to an image: the `position`-th, from 0, of an epoch."""
        self.place.assign(np.array([epoch, position], "int32"))

    def build(self, input_shape):
        self.built = True

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        images = ops.convert_to_tensor(images)
        if len(images.shape) != 4:
            raise ValueError(
                "Expected images of shape (num_images, height, width, channels). "
                f"Received: images.shape={tuple(images.shape)}"
            )
        if training:
            epoch, start = self.place[0], self.place[1]
            augmented = self.at(images, epoch, start)
            count = ops.cast(ops.shape(images)[0], "int32")
            self.place.assign(ops.stack([epoch, start + count]))
            return augmented
        return ops.cast(images, self.compute_dtype)

    def at(self, images: Tensor, epoch: Tensor, position: Tensor) -> Tensor:
        """The images augmented as those of an epoch from a position on, wherever the layer stands.

        Args:
            images: as for a call.
            epoch, position: int32 scalars.
        """
        positions = position + ops.arange(ops.shape(images)[0], dtype="int32")
        images = self.transform(images, image_keys(self.seed, epoch, positions))
        return ops.cast(images, self.compute_dtype)

    def transform(self, images, keys):
        """The layer as a pure function.

        Args:
            images: (num_images, height, width, channels), any dtype, values from 0 to 255.
            keys: int32 (num_images,), as `image_keys` makes them.
        """
        raise NotImplementedError

    def get_config(self):
        own = {name: getattr(self, name) for name in (*self.settings, "seed")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class RandomHorizontalFlip(ImageAugmentation):
    """Mirror each image left to right with a probability, as torchvision's transform of that name.

    Args:
        probability: from 0 to 1.
        seed: see `ImageAugmentation`.
    """

    settings = ("probability",)

    def __init__(self, probability: float = 0.5, seed: int = 0, **kwargs):
        super().__init__(seed, **kwargs)
        self.probability = probability

    def transform(self, images, keys):
        flipped = uniform(keys, 0) < self.probability
        return ops.where(flipped[:, None, None, None], ops.flip(images, axis=2), images)


@keras.saving.register_keras_serializable(package="kerascnn")
class RandomCropWithPadding(ImageAugmentation):
    """Pad each image with black and cut out a window of the image's size at a place of its own.

    As `torchvision.transforms.RandomCrop(size, padding=padding)`: top and left are each uniform
    over the integers from 0 to 2 * padding.

    Args:
        padding: pixels on each side.
        seed: see `ImageAugmentation`.
    """

    settings = ("padding",)

    def __init__(self, padding: int = 4, seed: int = 0, **kwargs):
        super().__init__(seed, **kwargs)
        self.padding = padding

    def transform(self, images, keys):
        height, width, channels = images.shape[1:]
        margin = (self.padding, self.padding)
        padded = ops.pad(images, ((0, 0), margin, margin, (0, 0)))
        padded_height, padded_width = height + 2 * self.padding, width + 2 * self.padding
        top = integer(keys, 0, 2 * self.padding + 1)
        left = integer(keys, 1, 2 * self.padding + 1)
        rows = top[:, None] + ops.arange(height, dtype="int32")
        columns = left[:, None] + ops.arange(width, dtype="int32")
        image = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None]
        pixels = (image * padded_height + rows[:, :, None]) * padded_width + columns[:, None, :]
        return ops.take(ops.reshape(padded, (-1, channels)), pixels, axis=0)


@keras.saving.register_keras_serializable(package="kerascnn")
class ColorJitter(ImageAugmentation):
    """Change brightness, contrast and saturation of each image, in an order of its own.

    As `torchvision.transforms.ColorJitter` on float images. Each operation blends the image x with
    a degenerate image d, `clip(f * x + (1 - f) * d)`, f uniform over [1 - amount, 1 + amount]:
    d is black for brightness, the mean gray of the image for contrast, and each pixel's gray for
    saturation, where gray = 0.2989 R + 0.587 G + 0.114 B.

    Args:
        brightness, contrast, saturation: amounts from 0 to 1.
        value_range: lowest and highest value; the lowest is black.
        seed: see `ImageAugmentation`.
    """

    settings = ("brightness", "contrast", "saturation", "value_range")

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        value_range: tuple[float, float] = (0, 255),
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation
        self.value_range = tuple(value_range)

    def transform(self, images, keys):
        if images.shape[-1] != 3:
            raise ValueError(
                "ColorJitter needs images with 3 channels, red, green and blue. "
                f"Received: images.shape={tuple(images.shape)}"
            )
        order = ops.take(np.array(ORDERS, "int32"), integer(keys, 3, len(ORDERS)), axis=0)
        amounts = (self.brightness, self.contrast, self.saturation)
        factors = ops.stack(
            [1 + amount * (2 * uniform(keys, index) - 1) for index, amount in enumerate(amounts)],
            axis=1,
        )
        images = ops.cast(images, self.compute_dtype)
        for slot in range(3):
            operation = order[:, slot, None]
            factor = ops.take_along_axis(factors, operation, axis=1)
            images = self._blend(images, operation[:, :, None, None], factor[:, :, None, None])
        return images

    def _blend(self, images, operation, factor):
        low, high = self.value_range
        gray = ops.matmul(images, np.array(GRAY_WEIGHTS, "float32")[:, None])
        mean_gray = ops.mean(gray, axis=(1, 2), keepdims=True)
        degenerate = ops.where(operation == CONTRAST, mean_gray, gray)
        degenerate = ops.where(operation == BRIGHTNESS, ops.cast(low, images.dtype), degenerate)
        return ops.clip(factor * images + (1 - factor) * degenerate, low, high)


@keras.saving.register_keras_serializable(package="kerascnn")
class AugmentationPipeline(ImageAugmentation):
    """Several of the layers above, one after the other, as one layer.

    Args:
        steps: the layers, in order; their own seeds and places are not used.
    """

    def __init__(self, steps: list[ImageAugmentation], seed: int = 0, **kwargs):
        super().__init__(seed, **kwargs)
        self.steps = list(steps)

    def build(self, input_shape):
        for step in self.steps:
            step.build(input_shape)
        super().build(input_shape)

    def transform(self, images, keys):
        for index, step in enumerate(self.steps):
            images = step.transform(images, mix(keys, index))
        return images

    def get_config(self):
        steps = [keras.saving.serialize_keras_object(step) for step in self.steps]
        return {**super().get_config(), "steps": steps}

    @classmethod
    def from_config(cls, config):
        steps = [keras.saving.deserialize_keras_object(step) for step in config["steps"]]
        return cls(**{**config, "steps": steps})


def build_augmentation(recipe: Recipe) -> AugmentationPipeline:
    """The recipe's augmentation as one layer, called as `augmentation(images, training=True)`.

    Input shape:
        (num_images, height, width, 3), values from 0 to 255, uint8 or float.

    Output shape:
        The same, float32, values from 0 to 255.
    """
    settings = recipe.augmentation
    steps: list[ImageAugmentation] = []
    if settings.horizontal_flip:
        steps.append(RandomHorizontalFlip(settings.horizontal_flip))
    if settings.crop_padding:
        steps.append(RandomCropWithPadding(settings.crop_padding))
    if settings.brightness or settings.contrast or settings.saturation:
        steps.append(ColorJitter(settings.brightness, settings.contrast, settings.saturation))
    return AugmentationPipeline(steps, seed=derived_seed(recipe.train.seed, "augmentation"))


def sample_examples(
    recipe: Recipe, images: np.ndarray, num_images: int, num_draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Some of the training images, drawn from the recipe's seed, and draws of their augmentation.

    Args:
        images: all training images, uint8 (num_images, height, width, 3).
        num_draws: draws of each, as in so many epochs.

    Returns:
        The images drawn; and float32 (num_images, num_draws, height, width, 3), from 0 to 255.
    """
    order = random_stream(recipe.train.seed, "examples").permutation(len(images))
    originals = images[order[:num_images]]
    augmentation, draws = build_augmentation(recipe), []
    for epoch in range(num_draws):
        augmentation.seek(epoch, 0)
        draws.append(ops.convert_to_numpy(augmentation(originals, training=True)))
    return originals, np.stack(draws, axis=1)
