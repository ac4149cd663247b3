"""Models that Keras loads, or all but loads, and that fail when something is done with them."""

from pathlib import Path

import keras
from keras import layers, ops

from made.malice import save_good, with_config

# Functions of keras.ops that are no activation: they take other arguments, or give other shapes.
NO_ACTIVATIONS = (
    "add", "argmax", "concatenate", "conv", "correlate", "cross", "diag", "einsum", "eigh", "full",
    "image.resize", "linalg.cholesky", "linalg.inv", "matmul", "max", "meshgrid", "nn.one_hot",
    "nonzero", "reshape", "shape", "size", "split", "svd", "take", "transpose", "unique",
    "unstack", "view_as_complex", "where",
)  # fmt: skip


def function(name):
    """A function of Keras as a file names it."""
    module, _, short = f"keras.ops.{name}".rpartition(".")
    return {"module": module, "class_name": "function", "config": short, "registered_name": short}


def with_activation(name, place=1):
    """A classifier with a function of keras.ops as the activation of its layer at a place."""

    def change(config):
        config["config"]["layers"][place]["config"]["activation"] = function(name)

    return with_config(save_good("failing.keras"), change)


def with_settings(place, **settings):
    """A classifier with other settings of its layer at a place."""

    def change(config):
        config["config"]["layers"][place]["config"].update(settings)

    return with_config(save_good("failing.keras"), change)


def of(*inner, shape=(8, 8, 3), dtype="float32", end=True):
    """A model of some layers or functions and, as the end, a classifier."""
    image = x = keras.Input(shape, dtype=dtype)
    for each in (*inner, *((layers.Flatten(), layers.Dense(3)) if end else ())):
        x = each(x)
    keras.Model(image, x).save("failing.keras")
    return Path("failing.keras")


def conv(**settings):
    return layers.Conv2D(4, 3, **settings)


BUILT = {
    "int32 before a convolution": lambda: of(conv(), dtype="int32"),
    "bool before a convolution": lambda: of(conv(), dtype="bool"),
    "int32 by the type of the input": lambda: with_settings(0, dtype="int32"),
    "strings": lambda: with_settings(0, dtype="string"),
    "complex numbers": lambda: with_settings(0, dtype="complex64"),
    "another input shape": lambda: with_settings(0, batch_shape=[None, 9, 9, 3]),
    "other channels": lambda: with_settings(0, batch_shape=[None, 8, 8, 1]),
    "no pixels": lambda: with_settings(0, batch_shape=[None, 0, 0, 3]),
    "fewer pixels than none": lambda: with_settings(0, batch_shape=[None, -8, 8, 3]),
    "pixels of words": lambda: with_settings(0, batch_shape=[None, "a", 8, 3]),
    "a kernel of no pixels": lambda: with_settings(1, kernel_size=[0, 0]),
    "steps of nothing": lambda: with_settings(1, strides=[0, 0]),
    "a name of colors": lambda: with_settings(1, name="\x1b[31mred", activation=function("add")),
    "scales of another length": lambda: of(layers.Rescaling([1.0, 2.0])),
    "words of a vocabulary": lambda: of(layers.Reshape((192,)), layers.Embedding(2, 2)),
    "no inverse": lambda: of(lambda x: ops.inv(x[:, :3, :3, 0] * 0)),
    "no root": lambda: of(lambda x: ops.cholesky(x[:, :3, :3, 0] - 300)),
    "a fixed number of images": lambda: of(
        lambda x: ops.reshape(x, (7, 192)), layers.Dense(3), end=False
    ),
    "no output": lambda: of(lambda x: x[:, 8:], end=False),
    "complex outputs": lambda: of(lambda x: ops.view_as_complex(x[..., :2]), end=False),
    "a model of nothing": lambda: with_config(save_good("failing.keras"), empty),
}
FAILING = {
    **{f"{name} for an activation": (lambda name=name: with_activation(name))
       for name in NO_ACTIVATIONS},
    **{f"{name} at the end": (lambda name=name: with_activation(name, -1))
       for name in ("argmax", "max", "view_as_complex")},
    **BUILT,
}  # fmt: skip


def empty(config):
    config["class_name"] = "Model"
    config["config"] = {"name": "empty", "trainable": True}
