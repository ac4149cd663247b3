"""Models with something special: a policy, an order of axes, a head, code, or no pictures."""

import warnings

import keras
import numpy as np
from keras import layers

from made.own_layers import Distiller, contrastive_loss


def mixed_float16():
    return _of_policy("mixed_float16")


def mixed_bfloat16():
    return _of_policy("mixed_bfloat16")


def bfloat16():
    return _of_policy("bfloat16")


def channels_first():
    inputs = keras.Input((3, 32, 40))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, data_format="channels_first")(x)
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.Conv2D(32, 3, strides=2, data_format="channels_first")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def quantized_int8():
    model = _small(layers.Dense(10, activation="softmax"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that have nothing to quantize
        model.quantize("int8")
    return model


def multi_label():
    return _small(layers.Dense(6, activation="sigmoid"))


def preprocessing_inside():
    """Normalization by statistics of data, and augmentation, in the model."""
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).integers(0, 256, (16, 48, 48, 3)).astype("f4"))
    inputs = keras.Input((64, 64, 3))
    x = layers.CenterCrop(48, 48)(layers.Resizing(56, 56)(inputs))
    for layer in (layers.RandomFlip(), layers.RandomZoom(0.2), layers.RandomBrightness(0.2)):
        x = layer(x)
    x = layers.Conv2D(16, 3, activation="relu")(normalization(x))
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(32, 3, strides=2, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def own_loss():
    """Compiled with a loss that is saved in the file by its name."""
    model = _small(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", contrastive_loss)
    return model


def distillation_student():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.Conv2D(32, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name="student",
    )


def distiller():
    """A model with a `call` of its own."""
    model = Distiller(distillation_student())
    model(np.zeros((1, 28, 28, 1), "float32"))
    return model


def gan_discriminator():
    return keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            layers.Conv2D(64, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def gan_generator():
    """Makes pictures of vectors."""
    return keras.Sequential(
        [
            keras.Input((128,)),
            layers.Dense(8 * 8 * 32),
            layers.Reshape((8, 8, 32)),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(3, 5, padding="same", activation="sigmoid"),
        ]
    )


def ct_scans():
    """Convolutions of volumes, in three directions."""
    inputs = keras.Input((16, 16, 8, 1))
    x = layers.MaxPool3D(2)(layers.Conv3D(8, 3, activation="relu")(inputs))
    x = layers.GlobalAveragePooling3D()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def lambda_of_no_name():
    inputs = keras.Input((32, 32, 3))
    x = layers.Lambda(lambda images: images / 255)(inputs)
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def _of_policy(policy):
    keras.config.set_dtype_policy(policy)
    try:
        return _small(layers.Dense(10, activation="softmax", dtype="float32"))
    finally:
        keras.config.set_dtype_policy("float32")


def _small(head):
    inputs = keras.Input((64, 64, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(32, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, head(x))
