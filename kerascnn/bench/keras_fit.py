"""The two peers that call `model.fit`: stock Keras, and this package."""

from __future__ import annotations

import time

import keras
import numpy as np
from keras import layers

from kerascnn.backend import describe_backend
from kerascnn.bench import VALIDATION_IMAGES
from kerascnn.model.build import compile_model
from kerascnn.recipe import Recipe
from kerascnn.training.augment import build_augmentation
from kerascnn.training.batches import TrainingBatches
from kerascnn.training.steps import use_fast_step

VALIDATION_BATCH = 500


class StepClock(keras.callbacks.Callback):
    """Time of the steps alone: starting `fit` costs the same for 60 steps as for 100,000."""

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())

    @property
    def milliseconds(self) -> float:
        """Mean time from one step's end to the next one's."""
        return (self.ends[-1] - self.ends[0]) * 1000 / max(1, len(self.ends) - 1)


class StockKeras:
    """`fit` with stock layers, the augmentation as stock layers in front of the network.

    Stock augmentation means something else than torchvision's (see the README); it is timed as what
    a user of stock Keras would write for flip, crop and jitter.
    """

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray):
        self.size = recipe.train.batch_size
        self.model = compile_model(recipe)
        self.batches = stock_pipeline(recipe, images, labels)
        self.validation = images[:2000], labels[:2000]

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        pipeline = "tf.data" if keras.config.backend() == "tensorflow" else "a PyDataset"
        return f"stock Keras `fit` on {pipeline} with stock augmentation layers"

    def about(self) -> dict:
        """What else the bench tells of this peer."""
        described = describe_backend()
        return {
            "backend": described["backend"],
            "device": described["device"],
            "mflop_image": training_mflop(self.model),
        }

    def train(self) -> float:
        """Milliseconds a training step, from the end of the first to that of the last."""
        clock = StepClock()
        self.model.fit(self.batches, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
        return clock.milliseconds

    def validate(self) -> float:
        """Seconds for 10,000 validation images, measured on fewer."""
        start = time.perf_counter()
        self.model.evaluate(*self.validation, batch_size=VALIDATION_BATCH, verbose=0)
        seconds = time.perf_counter() - start
        return seconds * VALIDATION_IMAGES / len(self.validation[0])


class Kerascnn(StockKeras):
    """This package: its batches, its augmentation, its step where there is one."""

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray):
        super().__init__(recipe, images, labels)
        augmentation = build_augmentation(recipe)
        used = augmentation if augmentation.steps else None
        self.batches = TrainingBatches(images, labels, self.size, recipe.train.seed, used)
        self.is_fast = use_fast_step(self.model)

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        return f"kerascnn, {'its own training step' if self.is_fast else 'the stock training step'}"

    def train(self) -> float:
        """Milliseconds a training step, from the end of the first to that of the last."""
        milliseconds = super().train()
        self.batches.epoch += 1
        return milliseconds


def training_mflop(model: keras.Model) -> float:
    """Multiplications and additions, in millions, of one image's training step.

    Counted are convolutions and fully connected layers, 2 a weight and output pixel, three times:
    forward, and backward to the inputs and to the weights. The first convolution has no inputs to
    go back to.
    """
    total, first = 0, True
    for layer in model.layers:
        if not isinstance(layer, layers.Conv2D | layers.Dense):
            continue
        pixels = np.prod(layer.output.shape[1:-1], dtype=int)
        total += (2 if first else 3) * 2 * int(np.prod(layer.kernel.shape)) * pixels
        first = False
    return total / 1e6


class StockBatches(keras.utils.PyDataset):
    """Shuffled batches, each augmented by stock layers, as one writes it on torch and JAX."""

    def __init__(self, images, labels, batch_size: int, augment):
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


def stock_pipeline(recipe: Recipe, images: np.ndarray, labels: np.ndarray):
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


def _stock_augmentation(recipe: Recipe, size: tuple[int, int]):
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
