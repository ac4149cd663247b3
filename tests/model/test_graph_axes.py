"""Which axis holds filters follows from the layers before, through whatever moves axes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerascnn.data.batches import ImageArray
from kerascnn.errors import ModelError
from kerascnn.look.activations import feature_maps, filter_scores, top_activations
from kerascnn.look.survey import Pass, measure
from kerascnn.model.axes import filters_axis, to_channels_last

IMAGES = np.random.default_rng(0).random((2, 6, 8, 3), "float32")


def conv_first(image, filters=4):
    """A convolution with its filters in axis 1, of pictures with their channels last."""
    x = layers.Permute((3, 1, 2))(image)
    conv = layers.Conv2D(filters, 3, padding="same", data_format="channels_first", name="conv")
    return conv(x)


def axis_of(change, shape=(6, 8, 3)):
    image = keras.Input(shape)
    return filters_axis(change(conv_first(image) if len(shape) == 3 else image))


AFTER = {
    "as it is": (lambda x: x, 1),
    "permute": (lambda x: layers.Permute((2, 3, 1))(x), 3),
    "permute to the middle": (lambda x: layers.Permute((3, 1, 2))(x), 2),
    "transpose": (lambda x: ops.transpose(x, (0, 2, 3, 1)), 3),
    "moveaxis": (lambda x: ops.moveaxis(x, 1, -1), 3),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, -1), 3),
    "permuted twice": (lambda x: layers.Permute((3, 1, 2))(layers.Permute((2, 3, 1))(x)), 1),
    "relu": (lambda x: ops.relu(layers.Activation("tanh")(x)), 1),
    "pooling": (lambda x: layers.MaxPooling2D(data_format="channels_first")(x), 1),
    "pooling told wrongly": (lambda x: layers.MaxPooling2D(data_format="channels_last")(x), 1),
    "padding": (lambda x: ops.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), 1),
    "addition": (lambda x: layers.Add()([x, ops.square(x)]) * 2.0 + 1.0, 1),
    "concatenation": (lambda x: layers.Concatenate(axis=1)([x, x]), 1),
    "normalization": (lambda x: layers.BatchNormalization(axis=1)(x), 1),
    "a gate": (
        lambda x: (
            x
            * layers.Reshape((4, 1, 1))(
                layers.GlobalAveragePooling2D(data_format="channels_first")(x)
            )
        ),
        1,
    ),
    "mean of rows": (lambda x: ops.mean(x, axis=2), 1),
    "mean kept": (lambda x: ops.mean(x, axis=(2, 3), keepdims=True), 1),
    "part": (lambda x: x[:, :, 1:, ::2], 1),
    "row": (lambda x: x[:, :, 0], 1),
    "row of columns": (lambda x: ops.moveaxis(x, 1, 3)[:, 2], 2),
    "longer": (lambda x: ops.squeeze(ops.expand_dims(ops.expand_dims(x, 1), -1), -1)[:, 0], 1),
    "reshaped": (lambda x: layers.Reshape((4, 48))(x), 1),
    "reshaped behind": (lambda x: ops.reshape(layers.Permute((2, 3, 1))(x), (-1, 48, 4)), 2),
    "einsum": (lambda x: ops.einsum("nchw->nhcw", x), 2),
    "dense": (lambda x: layers.Dense(5)(x), 3),
    "matrix": (lambda x: ops.matmul(x, np.ones((8, 5), "float32")), 3),
    "einsum dense": (lambda x: layers.EinsumDense("abcd,be->acde", (6, 8, 5))(x), 3),
    "a later convolution": (lambda x: layers.Conv2D(5, 1)(layers.Permute((2, 3, 1))(x)), 3),
    "units": (lambda x: layers.Flatten()(x), 1),
    "cast": (lambda x: ops.cast(x, "float16"), 1),
}


@pytest.mark.parametrize("case", AFTER)
def test_the_axis_of_filters_follows_from_the_layers(case):
    change, expected = AFTER[case]
    assert axis_of(change) == expected


class Same(layers.Layer):
    def call(self, inputs):
        return inputs * 2


class Halved(layers.Layer):
    def call(self, inputs):
        return inputs[:, :, ::2]


def test_a_layer_of_ones_own_that_keeps_the_shape_keeps_the_axes():
    assert axis_of(lambda x: Same()(x)) == 1
    assert axis_of(lambda x: layers.BatchNormalization(axis=1)(Halved()(x))) == 1
    assert axis_of(lambda x: layers.Conv2D(2, 1)(Halved()(x))) == 3


UNKNOWN = {
    "reshape": lambda x: layers.Reshape((8, 6, 4))(x),
    "own layer": lambda x: Halved()(x),
    "mean of filters": lambda x: ops.mean(x, axis=1),
    "against each other": lambda x: layers.Add()([x, layers.Conv2D(8, 1, padding="same")(x)]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_it_does_not_follow_it_is_asked_for(case):
    image = keras.Input((6, 8, 3))
    output = UNKNOWN[case](conv_first(image))
    with pytest.raises(ModelError, match=r"--data-format") as raised:
        to_channels_last(output)
    assert str(tuple(output.shape)) in str(raised.value)
    shape = tuple(output.shape)
    if len(shape) == 4:
        first = to_channels_last(output, "channels_first").shape
        assert first == (None, *shape[2:], shape[1])
        assert to_channels_last(output, "channels_last").shape == shape
    with pytest.raises(ModelError, match="channels_last, channels_first"):
        to_channels_last(output, "first")


def test_maps_behind_permutations_are_those_of_the_same_convolution():
    image = keras.Input((6, 8, 3))
    x = layers.Permute((2, 3, 1), name="back")(conv_first(image))
    model = keras.Model(image, layers.ReLU(name="relu")(x))
    conv = model.get_layer("conv")
    expected = ops.conv(IMAGES, conv.kernel, 1, "same", "channels_last") + conv.bias
    expected = ops.convert_to_numpy(expected)
    for name in ("conv", "back"):
        np.testing.assert_allclose(feature_maps(model, IMAGES, name), expected, atol=1e-5)
    maps = feature_maps(model, IMAGES, "relu")
    np.testing.assert_allclose(maps, np.maximum(0, expected), atol=1e-5)
    assert top_activations(model, IMAGES, "relu", 1).indices.shape == (4, 1)


def test_the_data_format_that_is_said_goes_before():
    image = keras.Input((6, 8, 3))
    model = keras.Model(image, layers.Reshape((8, 6, 4), name="odd")(conv_first(image)))
    maps = feature_maps(model, IMAGES, "odd", data_format="channels_first")
    assert maps.shape == (2, 6, 4, 8)
    (scores,) = filter_scores(model, IMAGES, "odd", data_format="channels_last")
    assert scores[0].shape == (2, 4)
    assert top_activations(model, IMAGES, "odd", 1, data_format="channels_first").k == 1
    # The kernels of four filters are no kernels of eight columns.
    pixels = ImageArray((255 * IMAGES).astype("uint8"))
    asked = Pass(model, pixels, "conv", lambda images: [images], "odd", "channels_last")
    assert measure(asked).kernels is None


def test_pictures_with_their_channels_first_are_known_by_their_shape():
    assert filters_axis(layers.Rescaling(2.0)(keras.Input((3, 12, 10)))) == 1
    assert filters_axis(layers.Rescaling(2.0)(keras.Input((12, 10, 3)))) == 3
    assert filters_axis(layers.Rescaling(2.0)(keras.Input((4, 12, 10)))) == 1


@pytest.mark.parametrize(
    ("tokens", "grid", "dropped"),
    [(16, (4, 4), 0), (17, (4, 4), 1), (15, (1, 15), 0), (1, (1, 1), 0), (2, (1, 2), 0)],
)
def test_tokens_are_a_square_where_they_can_be_one(tokens, grid, dropped):
    image = keras.Input((tokens, 6))
    model = keras.Model(image, layers.Dense(3, name="tokens")(image))
    rows = np.random.default_rng(0).random((2, tokens, 6), "float32")
    maps = feature_maps(model, rows, "tokens")
    assert maps.shape == (2, *grid, 3)
    expected = ops.convert_to_numpy(model(ops.convert_to_tensor(rows)))[:, dropped:]
    np.testing.assert_allclose(maps.reshape(2, -1, 3), expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16"])
def test_scores_are_reckoned_in_float32(policy):
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(4, 1, name="conv", dtype=policy, kernel_initializer="ones")(image)
    model = keras.Model(image, x)
    images = np.random.default_rng(0).random((5, 64, 64, 3), "float32") * 80
    maps = feature_maps(model, images, "conv").astype("float64")
    (answers,) = filter_scores(model, images, "conv", ("mean", "max", "l2"))
    expected = maps.mean((1, 2)), maps.max((1, 2)), np.sqrt((maps**2).sum((1, 2)))
    for answer, value in zip(answers, expected, strict=True):
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, value, rtol=1e-5)


def test_a_global_policy_does_not_change_how_scores_are_reckoned():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        test_scores_are_reckoned_in_float32("mixed_float16")
    finally:
        keras.config.set_dtype_policy("float32")
