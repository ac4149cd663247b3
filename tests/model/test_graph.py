"""Layers of nested models are named, found and cut, and the user's model stays as it was."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerascnn.errors import ModelError
from kerascnn.look.activations import feature_maps, filter_scores
from kerascnn.model.axes import to_channels_last
from kerascnn.model.graph import describe_layers, find_output, truncate

IMAGES = np.random.default_rng(0).random((3, 12, 10, 3), "float32")


def base(name="base", side=(12, 10)):
    image = keras.Input((*side, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    return keras.Model(image, x, name=name)


def transfer(inner, sequential=False):
    """Keras's guide to transfer learning."""
    head = [
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dropout(0.2, name="drop"),
        layers.Dense(1, name="head"),
    ]
    before = [layers.RandomFlip("horizontal", name="flip"), layers.Rescaling(2.0, -1.0, name="to")]
    if sequential:
        return keras.Sequential([keras.Input((12, 10, 3)), *before, inner, *head])
    image = keras.Input((12, 10, 3))
    x = before[1](before[0](image))
    x = inner(x, training=False)
    for layer in head:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_layer_of_a_nested_model_is_named_by_its_path_or_by_its_own_name(sequential):
    inner = base()
    model = transfer(inner, sequential)
    expected = inner.get_layer("conv")(IMAGES * 2 - 1)
    for name in ("base/conv", "conv"):
        maps = feature_maps(model, IMAGES, name)
        np.testing.assert_allclose(maps, keras.ops.convert_to_numpy(expected), atol=1e-5)
    names = [name for name, _ in describe_layers(model)]
    assert names.index("to") < names.index("base") < names.index("base/conv") < names.index("pool")
    assert ("base/relu", (None, 12, 10, 4)) in describe_layers(model)


def test_a_model_deep_inside_others_is_cut():
    inner = base()
    middle = keras.Sequential([keras.Input((12, 10, 3)), inner], name="middle")
    outer = keras.Sequential([keras.Input((12, 10, 3)), middle, layers.ReLU()], name="outer")
    image = keras.Input((12, 10, 3))
    model = keras.Model(image, layers.Flatten()(outer(image * 3.0)))
    expected = keras.ops.convert_to_numpy(inner.get_layer("conv")(IMAGES * 3))
    maps = feature_maps(model, IMAGES, "outer/middle/base/conv")
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    cut = truncate(model, "outer/middle/base/conv")
    assert {id(each) for each in cut.weights} <= {id(each) for each in model.weights}


def test_each_use_of_a_shared_nested_model_can_be_named():
    inner = base()
    image = keras.Input((12, 10, 3))
    joined = layers.Concatenate()([inner(image), inner(image * 2.0)])
    model = keras.Model(image, joined)
    conv = inner.get_layer("conv")
    once, twice = (keras.ops.convert_to_numpy(conv(IMAGES * scale)) for scale in (1, 2))
    for name, expected in {
        "base:1/conv": once,
        "base:2/conv": twice,
        "base/conv": twice,
        "conv": twice,
        "base:1/conv:1": once,
    }.items():
        np.testing.assert_allclose(feature_maps(model, IMAGES, name), expected, atol=1e-5)


def test_a_name_that_several_nested_models_have_is_refused_with_their_paths():
    image = keras.Input((12, 10, 3))
    model = keras.Model(image, layers.Add()([base("left")(image), base("right")(image)]))
    with pytest.raises(ModelError, match=r"left/conv, right/conv"):
        truncate(model, "conv")
    assert truncate(model, "right/conv").output_shape == (None, 12, 10, 4)


def test_a_layer_whose_own_name_holds_a_slash_or_colon_is_found():
    image = keras.Input((12, 10, 3))
    conv, other = layers.Conv2D(4, 3, name="a"), layers.Conv2D(5, 3, name="b")
    model = keras.Model(image, other(conv(image)), name="base")
    # Keras refuses such names now; files of before may have them.
    conv.name, other.name = "block/conv", "conv:1"
    assert truncate(model, "block/conv").output_shape == (None, 10, 8, 4)
    assert truncate(model, "conv:1").output_shape == (None, 8, 6, 5)
    model = transfer(model)
    assert find_output(model, "base/block/conv").shape == (None, 10, 8, 4)


def test_the_error_for_an_unknown_layer_of_a_large_model_offers_the_nearest_and_is_short():
    image = x = keras.Input((2, 2, 3))
    for number in range(300):
        x = layers.ReLU(name=f"relu_{number}")(x)
    model = keras.Model(image, x)
    with pytest.raises(ModelError) as raised:
        truncate(model, "rellu_250")
    assert "Did you mean 'relu_250'?" in str(raised.value)
    assert "and 291 more" in str(raised.value)
    assert len(str(raised.value)) < 600
    with pytest.raises(ModelError, match="Did you mean 'base/conv'"):
        truncate(transfer(base()), "base/conv1")


def test_the_model_remembers_nothing_of_a_hundred_looks():
    inner = base()
    model = transfer(inner)
    every = [*model.layers, *inner.layers]
    before = [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in every]
    list(filter_scores(model, IMAGES[:1], "base/relu", ("mean", "max")))
    for _ in range(100):
        to_channels_last(truncate(model, "base/conv").outputs[0])
        to_channels_last(find_output(model, "pool"))
    assert before == [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in every]
    assert model.get_layer("pool").output.shape == (None, 4)
    assert inner.get_layer("conv").output.shape == (None, 12, 10, 4)


def test_a_nested_model_is_cut_as_it_was_called():
    image = keras.Input((12, 10, 3))
    x = layers.Dropout(0.9, name="drop", seed=1)(image)
    noisy = keras.Model(image, layers.ReLU(name="relu")(x), name="noisy")
    image = keras.Input((12, 10, 3))
    model = keras.Model(image, noisy(image, training=True))
    answer = keras.ops.convert_to_numpy(truncate(model, "noisy/relu")(IMAGES))
    assert (answer == 0).mean() > 0.8
    model = keras.Model(image, noisy(image, training=False))
    np.testing.assert_allclose(feature_maps(model, IMAGES, "noisy/relu"), IMAGES)


@pytest.mark.parametrize("form", ["dict", "list", "dict for list"])
def test_nested_models_with_several_inputs_and_outputs_are_cut(form):
    one, other = keras.Input((12, 10, 3), name="one"), keras.Input((12, 10, 3), name="other")
    conv = layers.Conv2D(4, 1, name="conv")
    shallow = conv(other)
    deep = layers.Subtract(name="less")([shallow, layers.Conv2D(4, 1, name="second")(one)])
    given = {"one": one, "other": other} if form == "dict" else [one, other]
    inner = keras.Model(given, {"deep": deep, "shallow": shallow}, name="inner")
    image = keras.Input((12, 10, 3))
    twice = image * 2.0
    given = [image, twice] if form == "list" else {"one": image, "other": twice}
    result = inner(given)
    model = keras.Model(image, layers.ReLU(name="after")(result["shallow"]))
    expected = keras.ops.convert_to_numpy(conv(IMAGES * 2))
    np.testing.assert_allclose(feature_maps(model, IMAGES, "inner/conv"), expected, atol=1e-5)
    np.testing.assert_allclose(
        feature_maps(model, IMAGES, "after"), np.maximum(expected, 0), atol=1e-5
    )
    assert feature_maps(model, IMAGES, "inner/less").shape == (3, 12, 10, 4)


def test_a_loaded_model_with_operations_of_any_name_is_cut(tmp_path):
    image = keras.Input((3, 12, 10))
    x = ops.transpose(image, (0, 2, 3, 1))
    x = ops.cast(ops.mean(x, axis=1, keepdims=True), "float16")
    x = ops.moveaxis(ops.expand_dims(ops.max(x, axis=1), 1), -1, 1)
    keras.Model(image, x).save(tmp_path / "model.keras")
    keras.utils.clear_session()
    model = keras.saving.load_model(tmp_path / "model.keras")
    for name, _ in describe_layers(model):
        next(filter_scores(model, np.moveaxis(IMAGES, -1, 1), name, ("mean", "max", "l2")))


@pytest.mark.parametrize("sequential", [True, False])
def test_the_input_of_a_nested_model_is_what_was_given_and_the_model_stays_whole(sequential):
    steps = [keras.Input((None, None, 4), name="in"), layers.Conv2D(2, 3, padding="same")]
    head = keras.Sequential(steps, name="head")
    head = head if sequential else keras.Model(head.inputs, head.outputs, name="head")
    image = keras.Input((8, 8, 3))
    levels = [layers.Conv2D(4, 3, name="level")(image), layers.Conv2D(4, 3, strides=2)(image)]
    model = keras.Model(image, [head(level) for level in levels])
    assert find_output(model, "head:1/in") is levels[0]
    given, expected = (truncate(model, name)(IMAGES[:, :8, :8]) for name in ("head:1/in", "level"))
    np.testing.assert_array_equal(ops.convert_to_numpy(given), ops.convert_to_numpy(expected))
    keras.Model(model.inputs, model.outputs)


def test_models_that_compute_what_their_graph_does_not_say_are_refused():
    class Own(keras.Model):
        def call(self, inputs, training=None):
            return super().call(inputs) * 2

    image = keras.Input((4, 4, 3))
    own = Own(image, layers.Conv2D(2, 1, name="conv")(image))
    with pytest.raises(ModelError, match="functional"):
        truncate(own, "conv")
    outer = keras.Model(image, own(image))
    with pytest.raises(ModelError, match=re.escape("no layer 'conv'")):
        truncate(outer, "conv")


def test_models_nested_so_that_their_uses_double_are_refused_in_a_line():
    model = base(side=(4, 4))
    model = keras.Model(model.inputs, layers.Conv2D(3, 1)(model.outputs[0]))
    for _ in range(30):
        image = keras.Input((4, 4, 3))
        model = keras.Model(image, model(model(image)))
    with pytest.raises(ModelError, match="100,000 times"):
        describe_layers(model)
    assert find_output(model, model.layers[-1].name).shape == (None, 4, 4, 3)
