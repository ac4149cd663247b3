"""Predicting by torch's own calls gives what Keras's predict gives."""

import keras
import numpy as np
import pytest
from keras import layers

from kerascnn.errors import ModelError
from kerascnn.model.build import build_model
from kerascnn.model.calls import predict
from kerascnn.recipe import load_recipe

RECIPE = load_recipe("adam-lr0.001")
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3)).astype("uint8")
of_torch = pytest.mark.skipif(keras.config.backend() != "torch", reason="torch has native calls")


def trained(precision="float32"):
    """The study's network, its batch normalizations at some other place than the first."""
    model = build_model(RECIPE.with_values({"train.precision": precision}))
    chance = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([chance.uniform(0.5, 2, each.shape) for each in layer.weights])
    return model


def branching():
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3)(image)
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Add()([x, x]))))


@pytest.mark.parametrize("make", [trained, branching], ids=lambda make: make.__name__)
@pytest.mark.parametrize("batch_size", [7, 30, 100])
def test_any_model_predicts_as_by_keras(make, batch_size):
    model = make()
    (found,) = predict(model, IMAGES, batch_size)
    expected = model.predict(IMAGES, verbose=0)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_predicts_as_by_keras_but_for_rounding(precision):
    model = trained(precision)
    (found,) = predict(model, IMAGES, 10)
    expected = model.predict(IMAGES, verbose=0)
    assert found.dtype == "float32"
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@of_torch
def test_only_other_models_are_left_to_keras(monkeypatch):
    asked = []
    original = keras.Model.predict
    monkeypatch.setattr(
        keras.Model, "predict", lambda *a, **k: asked.append(1) or original(*a, **k)
    )
    predict(trained(), IMAGES, 10)
    assert not asked
    predict(branching(), IMAGES, 10)
    assert asked


def test_no_images_and_images_of_another_size():
    assert predict(trained(), IMAGES[:1], 10)[0].shape == (1, 10)
    with pytest.raises(ModelError, match="fails when it is called"):
        predict(trained(), IMAGES[:, :16], 10)
