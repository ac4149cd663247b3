"""How pixels are prepared for a model, against Keras's own functions."""

import keras
import numpy as np
import pytest
from keras import layers
from keras.applications import imagenet_utils, vgg16

from kerascnn.errors import ModelError, SelectionError
from kerascnn.look.preparation import FAMILIES, Preparation, missing_preprocessing
from kerascnn.model.inputs import picture_input

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), "uint8")


def flat_model(shape=(8, 8, 3)):
    image = keras.Input(shape)
    return keras.Model(image, layers.Flatten()(image))


def prepare(preparation, model=None):
    model = model or flat_model()
    return preparation.apply(IMAGES, model, picture_input(model, preparation.constants))[0]


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_modes_are_keras_own(mode):
    expected = imagenet_utils.preprocess_input(IMAGES.astype("float32"), "channels_last", mode)
    np.testing.assert_array_equal(prepare(Preparation(preprocess=mode)), expected)


@pytest.mark.parametrize("name", ["keras.applications.vgg16", "vgg16"])
def test_a_module_of_keras_applications_prepares_as_it_does(name):
    before = IMAGES.copy()
    expected = vgg16.preprocess_input(IMAGES.astype("float32"), "channels_last")
    np.testing.assert_array_equal(prepare(Preparation(preprocess=name)), expected)
    np.testing.assert_array_equal(IMAGES, before)


def test_channels_are_moved_after_the_preparation():
    found = prepare(Preparation(preprocess="caffe"), flat_model((3, 8, 8)))
    expected = prepare(Preparation(preprocess="caffe"))
    np.testing.assert_array_equal(found, np.moveaxis(expected, -1, 1))


def test_an_unknown_preparation_is_refused_with_the_nearest():
    with pytest.raises(SelectionError, match="Did you mean 'mobilenet_v2'"):
        Preparation(preprocess="keras.applications.mobilenetv2")
    with pytest.raises(SelectionError, match="not both"):
        Preparation((0, 1), "tf")
    gray = flat_model((8, 8, 1))
    with pytest.raises(ModelError, match="of 1 channels; 'tf' prepares red, green and blue"):
        Preparation(preprocess="tf").apply(IMAGES[..., :1], gray, picture_input(gray))


def test_every_family_is_a_module_that_prepares_pixels():
    for module in set(FAMILIES.values()):
        prepared = getattr(keras.applications, module).preprocess_input(IMAGES * 1.0)
        assert not np.array_equal(prepared, IMAGES)


def base():
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False)


def on_top(*before):
    image = keras.Input((32, 32, 3))
    x = image
    for layer in before:
        x = layer(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(base()(x, training=False)))


def test_an_application_that_gets_raw_pixels_is_pointed_at_its_preprocessing():
    module = "keras.applications.mobilenet_v2"
    assert missing_preprocessing(base()) == module
    assert missing_preprocessing(on_top()) == module
    assert missing_preprocessing(on_top(layers.RandomFlip(), layers.RandomCrop(32, 32))) == module
    assert missing_preprocessing(on_top(layers.Rescaling(1 / 127.5, -1))) is None
    assert missing_preprocessing(flat_model()) is None
    stacked = keras.Sequential([keras.Input((32, 32, 3)), base(), layers.Flatten()])
    assert missing_preprocessing(stacked) == module


def test_an_application_with_preprocessing_inside_needs_none():
    model = keras.applications.EfficientNetV2B0(input_shape=(32, 32, 3), weights=None, classes=2)
    assert missing_preprocessing(model) is None
