"""The study's network as a functional Keras model, with PyTorch's initial weights and constants."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from kerascnn.backend import keep_tensorflow_out
from kerascnn.errors import RecipeError
from kerascnn.recipe import Recipe
from kerascnn.seeds import derived_seed, random_stream


def build_model(
    recipe: Recipe, image_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10
) -> keras.Model:
    """Build the network of a recipe, with weights drawn from the recipe's seed.

    Stock Keras layers only, so a saved model loads where kerascnn is not installed. Kernels and
    biases are drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as `torch.nn.Conv2d` and
    `torch.nn.Linear` do, and are the same numbers on every backend.

    The recipe's precision is the dtype policy of all layers but `rescale` and `logits`, which
    compute in float32: pixels and losses are not rounded, as Keras's guide to mixed precision
    advises for outputs.

    Layer names: `image rescale conv1 bn1 relu1 ... pool flatten dropout1 fc1 relu4 dropout2
    logits`.

    Input shape:
        (num_images, height, width, channels), raw values from 0 to 255, uint8 or float.

    Output shape:
        (num_images, num_classes), float32 logits.

    Args:
        recipe: its `model` section, its precision and its seed are used.
        image_shape: height, width and channels of the images.
        num_classes: number of logits.

    Raises:
        RecipeError: if the images are too small for the poolings.
    """
    keep_tensorflow_out()
    _check_pooling(recipe, image_shape)
    image = keras.Input(image_shape, name="image")
    with _default_policy(_policy(recipe)):
        logits = _head(recipe, _blocks(recipe, image), num_classes)
    model = keras.Model(image, logits, name="cnn")
    _draw_weights(model, recipe.train.seed)
    return model


def in_float32(recipe: Recipe, model: keras.Model) -> keras.Model:
    """The network of a recipe with the weights of `model`, computing in float32 throughout."""
    if recipe.train.precision == "float32":
        return model
    exact = recipe.with_values({"train.precision": "float32"})
    other = build_model(exact, tuple(model.input_shape[1:]), model.output_shape[-1])
    other.set_weights(model.get_weights())
    return other


def compile_model(
    recipe: Recipe, image_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10
) -> keras.Model:
    """`build_model`, compiled with the recipe's optimizer, cross-entropy on logits and accuracy.

    In float16 small gradients would be zero, so the loss is scaled while they are computed, as
    Keras's `LossScaleOptimizer` does.
    """
    model = build_model(recipe, image_shape, num_classes)
    optimizer = _build_optimizer(recipe)
    if recipe.train.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _check_pooling(recipe: Recipe, image_shape: tuple[int, int, int]) -> None:
    pools = len(recipe.model.pool_after)
    if min(image_shape[:2]) < 2**pools:
        raise RecipeError(
            f"Images of {image_shape[0]}x{image_shape[1]} pixels are too small to be halved after "
            f"blocks {list(recipe.model.pool_after)}; list fewer in model.pool_after."
        )


def _policy(recipe: Recipe) -> str:
    precision = recipe.train.precision
    # Who tells Keras to compute in float64 means the network of every recipe.
    return keras.config.floatx() if precision == "float32" else precision


@contextlib.contextmanager
def _default_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _blocks(recipe: Recipe, image: keras.KerasTensor) -> keras.KerasTensor:
    pool = layers.MaxPooling2D(2, strides=2, name="pool")
    # In bfloat16 the factor alone would be wrong by 0.4 %.
    exact = keras.config.floatx()
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale", dtype=exact)(image)
    for block, filters in enumerate(recipe.model.filters, start=1):
        x = _convolution(filters, recipe.model.kernel_size, x.shape[-1], f"conv{block}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        if block in recipe.model.pool_after:
            x = pool(x)
    return layers.Flatten(name="flatten")(x)


def _head(recipe: Recipe, x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    settings, seed = recipe.model, recipe.train.seed
    x = layers.Dropout(settings.dropout, seed=derived_seed(seed, "dropout", 1), name="dropout1")(x)
    x = _dense(settings.units, x.shape[-1], "fc1")(x)
    x = layers.ReLU(name=f"relu{len(settings.filters) + 1}")(x)
    x = layers.Dropout(settings.dropout, seed=derived_seed(seed, "dropout", 2), name="dropout2")(x)
    return _dense(num_classes, x.shape[-1], "logits", dtype=keras.config.floatx())(x)


def _convolution(filters: int, kernel_size: int, channels: int, name: str) -> layers.Layer:
    fan_in = kernel_size**2 * channels
    return layers.Conv2D(
        filters, kernel_size, padding="same", name=name, **_pytorch_initializers(fan_in)
    )


def _dense(units: int, fan_in: int, name: str, **settings: str) -> layers.Layer:
    return layers.Dense(units, name=name, **_pytorch_initializers(fan_in), **settings)


def _pytorch_initializers(fan_in: int) -> dict[str, keras.Initializer]:
    bound = fan_in**-0.5
    return {
        "kernel_initializer": keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
    }


def _draw_weights(model: keras.Model, seed: int) -> None:
    # The initializers above have the same distribution, but each backend draws its own numbers.
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    for index, layer in enumerate(weighted):
        generator = random_stream(seed, "weights", index)
        bound = np.prod(layer.kernel.shape[:-1]) ** -0.5
        for variable in (layer.kernel, layer.bias):
            variable.assign(generator.uniform(-bound, bound, variable.shape).astype("float32"))


def _build_optimizer(recipe: Recipe) -> keras.Optimizer:
    settings = recipe.train
    if settings.optimizer == "adam":
        # PyTorch's epsilon; Keras adds it before the bias correction, so they differ a little.
        return keras.optimizers.Adam(settings.learning_rate, epsilon=1e-8)
    return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
