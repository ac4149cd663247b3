"""The two peers that call `model.fit`: stock Keras, and this package."""

import time
from collections.abc import Callable, Iterable

import keras
import numpy as np
from keras import layers

from kerascnn.backend import describe_backend
from kerascnn.bench import TIMED_IMAGES
from kerascnn.model.build import compile_model
from kerascnn.recipe import Recipe
from kerascnn.training.augment import build_augmentation
from kerascnn.training.batches import TrainingBatches
from kerascnn.training.steps import use_fast_step

VALIDATION_BATCH = 500


class StockKeras:
    """`fit` with stock layers, the augmentation as stock layers in front of the network.

    Stock augmentation means something else than torchvision's (see the README); it is timed as what
    a user of stock Keras would write for flip, crop and jitter.
    """

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray):
        self.size = recipe.train.batch_size
        self.model = compile_model(recipe)
        self.batches = stock_pipeline(recipe, images, labels)
        self.validation = images[:TIMED_IMAGES], labels[:TIMED_IMAGES]

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        pipeline = "tf.data" if keras.config.backend() == "tensorflow" else "a PyDataset"
        return f"stock Keras `fit` on {pipeline} with stock augmentation layers"

    def train(self) -> list[float]:
        """Train for a turn; the times at which its steps end."""
        ends = []
        clock = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
        )
        self.model.fit(self.batches, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
        return ends

    def validate(self) -> int:
        """Evaluate some images; how many."""
        self.model.evaluate(*self.validation, batch_size=VALIDATION_BATCH, verbose=0)
        return len(self.validation[0])


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

    def train(self) -> list[float]:
        """Train for a turn; the times at which its steps end."""
        ends = super().train()
        self.batches.epoch += 1
        return ends

    def describe_network(self) -> dict[str, object]:
        """On what the network trains, and with how much arithmetic."""
        described = describe_backend()
        return {
            "backend": described["backend"],
            "device": described["device"],
            "mflop_image": training_mflop(self.model),
        }


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
