"""Batches of training images; their order and their augmentation depend on the seed alone."""

from collections.abc import Callable

import keras
import numpy as np

from kerascnn.seeds import random_stream
from kerascnn.training.augment import ImageAugmentation

# Images augmented in one go: enough to make the cost of a call small, few enough to stay in cache.
IMAGES_PER_BLOCK = 1000


class TrainingBatches(keras.utils.PyDataset):
    """Batches for `model.fit(batches, shuffle=False)`.

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
        self._batches_per_block = max(1, IMAGES_PER_BLOCK // batch_size)
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
        block, batch = divmod(index, self._batches_per_block)
        # Not in a thread beside the step: its OpenMP threads would have those of torch's step
        # sleep at each barrier, a third of the speed on two cores.
        if self._block_key != (self.epoch, block):
            self._block_key, self._block = (self.epoch, block), self._make_block(self.epoch, block)
        images, labels = self._block
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        return images[rows], labels[rows]

    def _make_block(self, epoch: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        start = block * self._batches_per_block * self.batch_size
        stop = start + self._batches_per_block * self.batch_size
        rows = self.order(epoch)[start:stop]
        if self.on_device:
            rows = keras.ops.convert_to_tensor(rows)
        images = self.images[rows]
        if self.augmentation is not None:
            self.augmentation.seek(epoch, start)
            images = self._augment(images)
            if not self.on_device:
                images = keras.ops.convert_to_numpy(images)
        return images, self.labels[rows]


def device_of_training() -> str:
    """The kind of device on which torch trains, such as `cuda`; `cpu` for other backends' too.

    They move their batches themselves.
    """
    if keras.config.backend() != "torch":
        return "cpu"
    return keras.ops.zeros(1).device.type


def _augmenting(augmentation: ImageAugmentation | None) -> Callable:
    def augment(images):
        return augmentation(images, training=True)

    if keras.config.backend() != "tensorflow":
        return augment
    import tensorflow as tf

    # As one graph it takes half the time of its operations one by one.
    return tf.function(augment, autograph=False, reduce_retracing=True)
