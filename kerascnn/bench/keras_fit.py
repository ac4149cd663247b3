"""The peer that a user of stock Keras writes: `fit`, stock layers, and a ModelCheckpoint."""

from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from kerascnn.bench.clock import Clock
from kerascnn.bench.images import Images
from kerascnn.bench.order import Order
from kerascnn.model.build import compile_model
from kerascnn.model.compilation import adam_state
from kerascnn.recipe import Recipe

VALIDATION_BATCH = 500


class Waiting(keras.callbacks.Callback):
    """Tells a clock of steps, validation and epochs, and ends training where that says so.

    It stands after the callback that writes the checkpoint.
    """

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch, logs=None):
        self.clock.step()

    def on_test_end(self, logs=None):
        self.clock.validated()

    def on_epoch_end(self, epoch, logs=None):
        if not self.clock.epoch():
            self.model.stop_training = True


class StockKeras:
    """`fit` with stock layers, the augmentation as stock layers in front of the network.

    Stock augmentation means something else than torchvision's (see the README); it is timed as what
    a user of stock Keras would write for flip, crop and jitter.
    """

    def __init__(self, order: Order, images: Images):
        self.order, self.images = order, images
        dataset = images.dataset
        self.model = compile_model(order.recipe, dataset.image_shape, dataset.num_classes)

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        pipeline = "tf.data" if keras.config.backend() == "tensorflow" else "a PyDataset"
        return f"stock Keras `fit` on {pipeline}, augmentation by stock layers"

    def train(self, clock: Clock) -> None:
        """Train until the clock says that it is enough."""
        best = keras.callbacks.ModelCheckpoint(
            str(Path(self.order.directory, "best.keras")), monitor="val_loss", save_best_only=True
        )
        self.model.fit(
            stock_pipeline(self.order.recipe, *self.images.trained()),
            epochs=self.order.epochs,
            shuffle=False,
            validation_data=self.images.validated(),
            validation_batch_size=VALIDATION_BATCH,
            callbacks=[best, Waiting(clock)],
            verbose=0,
        )

    def moments(self) -> list[np.ndarray]:
        """Adam's first moments; none of another optimizer."""
        return first_moments(self.model)


def first_moments(model: keras.Model) -> list[np.ndarray]:
    """The first moments of a compiled model's Adam, float32; none of another optimizer."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not isinstance(optimizer, keras.optimizers.Adam):
        return []
    return [keras.ops.convert_to_numpy(momentum) for _, momentum, _ in adam_state(optimizer)]


class StockBatches(keras.utils.PyDataset):
    """Shuffled batches, each augmented by stock layers, as one writes it on torch and JAX."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int, augment: Callable):
        super().__init__()
        self.images, self.labels = images, labels
        self.batch_size, self.augment = batch_size, augment
        self.order = np.random.permutation(len(images))

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.augment(self.images[chosen], training=True), self.labels[chosen]

    def on_epoch_end(self):
        np.random.shuffle(self.order)


def stock_pipeline(recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> Iterable:
    """What a user of stock Keras gives to `fit`: tf.data on TensorFlow, a PyDataset elsewhere."""
    size = recipe.train.batch_size
    augment = _stock_augmentation(recipe, images.shape[1:3])
    if keras.config.backend() != "tensorflow":
        return StockBatches(images, labels, size, augment)
    import tensorflow as tf

    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    batches = pairs.shuffle(len(images)).batch(size)
    augmented = batches.map(lambda x, y: (augment(x, training=True), y), tf.data.AUTOTUNE)
    return augmented.prefetch(tf.data.AUTOTUNE)


def _stock_augmentation(recipe: Recipe, size: tuple[int, int]) -> Callable:
    settings = recipe.augmentation
    if not any(settings.model_dump().values()):
        return lambda images, training: images
    steps = [
        layers.RandomFlip("horizontal"),
        layers.ZeroPadding2D(settings.crop_padding),
        layers.RandomCrop(*size),
        layers.RandomColorJitter(
            value_range=(0, 255),
            brightness_factor=settings.brightness,
            contrast_factor=settings.contrast,
            saturation_factor=settings.saturation,
        ),
    ]

    def augment(images, training):
        images = keras.ops.cast(images, "float32")
        for step in steps:
            padding = isinstance(step, layers.ZeroPadding2D)
            images = step(images) if padding else step(images, training=training)
        return images

    return augment
