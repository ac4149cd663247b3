"""Which input of a model takes pictures, and of what shape."""

import keras
import pytest
from keras import layers

from kerascnn.errors import ModelError
from kerascnn.model.inputs import picture_input


def model_of(*shapes):
    inputs = [keras.Input(shape, name=f"in{place}") for place, shape in enumerate(shapes)]
    return keras.Model(inputs, [layers.Flatten()(each) for each in inputs])


@pytest.mark.parametrize(
    ("shape", "image_shape", "channels_first"),
    [
        ((8, 9, 3), (8, 9, 3), False),
        ((3, 8, 9), (8, 9, 3), True),
        ((1, 8, 9), (8, 9, 1), True),
        ((8, 9, 4), (8, 9, 4), False),
        ((4, 8, 9), (8, 9, 4), True),
        ((3, 8, 3), (3, 8, 3), False),
    ],
)
def test_shape_tells_where_channels_are(shape, image_shape, channels_first):
    found = picture_input(model_of(shape))
    assert (found.image_shape, found.channels_first) == (image_shape, channels_first)
    assert not found.any_size


def test_a_size_that_is_left_open_is_224():
    image = keras.Input((None, None, 3))
    found = picture_input(keras.Model(image, layers.Conv2D(2, 3)(image)))
    assert (found.image_shape, found.any_size) == ((224, 224, 3), True)


def test_the_input_without_a_constant_takes_the_pictures():
    model = model_of((2,), (8, 8, 3), (8, 8, 1))
    found = picture_input(model, {"in0": 1.0, "in2": 0.0})
    assert (found.place, found.image_shape) == (1, (8, 8, 3))
    with pytest.raises(ModelError, match=r"has 3 inputs, in0 \(None, 2\), in1"):
        picture_input(model, {"in0": 1.0})
    with pytest.raises(ModelError, match="no input 'in3'; it has in0, in1, in2"):
        picture_input(model, {"in3": 1.0})


@pytest.mark.parametrize(
    ("shape", "words"),
    [((10,), "expected pictures"), ((8, 8, 5), "with 5 channels"), ((0, 8, 3), "have no pixels")],
)
def test_an_input_that_takes_no_pictures_is_refused(shape, words):
    image = keras.Input(shape)
    with pytest.raises(ModelError, match=words):
        picture_input(keras.Model(image, layers.Identity()(image)))


def test_a_model_with_a_call_of_its_own_is_refused_in_true_words():
    class Own(keras.Model):
        def call(self, images):
            return images

    model = Own()
    model(keras.ops.zeros((1, 8, 8, 3)))
    with pytest.raises(ModelError, match="a class with a `call` of its own"):
        picture_input(model)
