"""Batches of training images; their order and their augmentation depend on the seed alone."""

from collections.abc import Callable, Iterable

import keras
import numpy as np

from kerascnn.data import Dataset, split_validation
from kerascnn.recipe import Recipe
from kerascnn.seeds import random_stream
from kerascnn.training.augment import ImageAugmentation, build_augmentation

# Images augmented in one go: enough to make the cost of a call small, few enough to stay in cache.
IMAGES_PER_BLOCK = 1000


class TrainingBatches(keras.utils.PyDataset):
    """Batches for `model.fit(feed(batches), shuffle=False)`.

    The order of an epoch is drawn from (seed, epoch), the augmentation of an image from (seed,
    epoch, its position in that order), whatever the backend and the batch size. Many batches are
    augmented in one go. On a GPU of torch, images are taken there once and augmented there.

    Args:
        images: uint8 (num_images, height, width, channels).
        labels: int32 (num_images,).
        batch_size: images a batch; the last batch of an epoch may be smaller.
        indices: the images that train; all where None.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int,
        augmentation: ImageAugmentation | None = None,
        indices: np.ndarray | None = None,
    ):
        super().__init__()
        self.images, self.labels = images, labels
        self.on_device = device_of_training() != "cpu"
        if self.on_device:
            # Once for the whole training; CIFAR-10 takes 184 MB.
            convert = keras.ops.convert_to_tensor
            self.images, self.labels = convert(images), convert(labels)
        self.batch_size, self.seed, self.augmentation = batch_size, seed, augmentation
        self.indices = np.arange(len(images)) if indices is None else indices
        self._augment = _augmenting(augmentation)
        self.epoch = 0
        self.batches_per_block = max(1, IMAGES_PER_BLOCK // batch_size)
        self._block_key, self._block = None, None

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Give the batches of an epoch, counted from 0, from here on."""
        self.epoch = epoch

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the images in the order of an epoch, counted from 0."""
        return random_stream(self.seed, "order", epoch).permutation(self.indices)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        block, batch = divmod(index, self.batches_per_block)
        # Not in a thread beside the step: its OpenMP threads would have those of torch's step
        # sleep at each barrier, a third of the speed on two cores.
        if self._block_key != (self.epoch, block):
            self._block_key, self._block = (self.epoch, block), self.make_block(block)
        images, labels = self._block
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        return images[rows], labels[rows]

    def make_block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of some batches: the `block`-th such, from 0, of the epoch."""
        size = self.batches_per_block * self.batch_size
        start = block * size
        rows = self.order(self.epoch)[start : start + size]
        if self.on_device:
            rows = keras.ops.convert_to_tensor(rows)
        images = self.images[rows]
        if self._augment is not None:
            place = [keras.ops.convert_to_tensor(n, "int32") for n in (self.epoch, start)]
            images = self._augment(keras.ops.convert_to_tensor(images), *place)
            if not self.on_device:
                images = keras.ops.convert_to_numpy(images)
        return images, self.labels[rows]


def build_batches(recipe: Recipe, dataset: Dataset) -> tuple[TrainingBatches, tuple]:
    """Training batches, augmented, and validation images and labels, never augmented."""
    images, labels, settings = dataset.train_images, dataset.train_labels, recipe.train
    fraction = recipe.data.validation_fraction
    training, validation = split_validation(len(images), fraction, settings.seed)
    augmentation = build_augmentation(recipe)
    augment = augmentation if augmentation.steps else None
    batches = TrainingBatches(images, labels, settings.batch_size, settings.seed, augment, training)
    return batches, (images[validation], labels[validation])


def feed(batches: TrainingBatches) -> Iterable:
    """What `fit` is given for the batches.

    TensorFlow would ask Python for every batch, which takes as long as a fifth of a step; so it is
    given a tf.data.Dataset that asks for blocks of many. The batches are the same.
    """
    if keras.config.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    types = [tf.uint8 if batches.augmentation is None else tf.float32, tf.int32]

    def make_block(block: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = tf.numpy_function(lambda n: batches.make_block(int(n)), [block], types)
        images.set_shape((None, *batches.images.shape[1:]))
        labels.set_shape((None,))
        return images, labels

    def cut(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(0, tf.size(labels, "int64"), size)
        return starts.map(lambda n: (images[n : n + size], labels[n : n + size]))

    size = batches.batch_size
    blocks = tf.data.Dataset.range(-(-len(batches) // batches.batches_per_block))
    parts = blocks.map(make_block).prefetch(1).flat_map(cut)
    return parts.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)


def device_of_training() -> str:
    """The kind of device on which torch trains, such as `cuda`; `cpu` for other backends' too.

    They move their batches themselves.
    """
    if keras.config.backend() != "torch":
        return "cpu"
    return keras.ops.zeros(1).device.type


def _augmenting(augmentation: ImageAugmentation | None) -> Callable | None:
    if augmentation is None or keras.config.backend() != "tensorflow":
        return augmentation and augmentation.at
    import tensorflow as tf

    # As one graph it takes half the time of its operations one by one.
    return tf.function(augmentation.at, autograph=False, reduce_retracing=True)
