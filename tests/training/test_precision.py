"""A recipe's precision is Keras's dtype policy of that name, on every backend and to the end."""

import keras
import numpy as np
import pytest
from keras import layers
from made.interrupted import DATASET, RECIPE, Interrupt, assert_same_run

from kerascnn.backend import why_slower
from kerascnn.errors import RecipeError, SlowerWarning, TrainingInterrupted
from kerascnn.evaluation import evaluate, load_best_model
from kerascnn.look.activations import feature_maps, top_activations
from kerascnn.model.build import compile_model, in_float32
from kerascnn.recipe import load_recipe, parse_recipe
from kerascnn.training import resume, train
from kerascnn.training.steps import use_fast_step

pytestmark = pytest.mark.filterwarnings("ignore::kerascnn.errors.SlowerWarning")
BACKEND = keras.config.backend()
torch_only = pytest.mark.skipif(BACKEND != "torch", reason="the other backends take Keras's step")
MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
STUDY = load_recipe("adam-lr0.001")
SMALL = STUDY.with_values(
    {"model.filters": [4, 6, 8], "model.units": 16, "model.dropout": 0.0, "train.optimizer": "sgd"}
)


def images_and_labels(num_images=40, side=16):
    chance = np.random.default_rng(1)
    images = chance.integers(0, 256, (num_images, side, side, 3)).astype("uint8")
    return images, chance.integers(0, 10, num_images).astype("int32")


def small(precision, learning_rate=1.0):
    values = {"train.precision": precision, "train.learning_rate": learning_rate}
    return compile_model(SMALL.with_values(values), (16, 16, 3))


def test_a_recipe_without_the_key_is_of_float32():
    assert STUDY.train.precision == "float32"
    content = STUDY.model_dump()
    del content["train"]["precision"]
    assert parse_recipe(content, "a recipe") == STUDY
    mixed = STUDY.with_values({"train.precision": "mixed_bfloat16"})
    assert 'precision = "mixed_bfloat16"' in mixed.to_toml()


def test_another_precision_is_refused_with_those_there_are():
    with pytest.raises(RecipeError) as caught:
        STUDY.with_values({"train.precision": "bfloat16"})
    assert str(caught.value) == (
        "In recipe 'adam-lr0.001': train.precision = \"bfloat16\": must be 'float32', "
        "'mixed_bfloat16' or 'mixed_float16'."
    )


@pytest.mark.parametrize("precision", MIXED)
def test_layers_compute_in_it_between_pixels_and_logits(precision):
    model = compile_model(STUDY.with_values({"train.precision": precision}))
    inner = {"image", "rescale", "logits"}
    kinds = {each.name: each.compute_dtype for each in model.layers}
    assert {kinds.pop(name) for name in inner} == {"float32"}
    assert set(kinds.values()) == {MIXED[precision]}
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert model.output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    scales = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales == (precision == "mixed_float16")


def gradients(model, images, labels):
    """Of SGD at rate 1 what a weight lost in one step, all in a row; and the loss."""
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in model.trainable_weights]
    loss = float(model.train_on_batch(images, labels)[0])
    after = [np.array(keras.ops.convert_to_numpy(each)) for each in model.trainable_weights]
    return np.concatenate([(a - b).ravel() for a, b in zip(before, after, strict=True)]), loss


@torch_only
@pytest.mark.parametrize("precision", MIXED)
def test_gradients_are_no_further_from_exact_ones_than_those_of_stock_keras(precision):
    batch = images_and_labels()
    exact, loss = gradients(small("float32"), *batch)
    stock, stock_loss = gradients(small(precision), *batch)
    model = small(precision)
    assert use_fast_step(model)
    fast, fast_loss = gradients(model, *batch)
    size = np.linalg.norm(exact)
    of_stock, of_fast = (np.linalg.norm(each - exact) / size for each in (stock, fast))
    # One part in 2 ** 9 of each number, or in 2 ** 12, is rounded away, layer by layer.
    assert 0 < of_fast < 1.2 * of_stock < (0.2 if precision == "mixed_bfloat16" else 0.02)
    assert fast_loss == pytest.approx(stock_loss, rel=2e-3)
    assert fast_loss == pytest.approx(loss, rel=1e-2)


@torch_only
@pytest.mark.parametrize("precision", MIXED)
def test_every_known_layer_takes_part_in_it(precision):
    def build():
        keras.utils.set_random_seed(3)
        x = image = keras.Input((16, 16, 3))
        for layer in (
            layers.Rescaling(1 / 128, -1.0), layers.ZeroPadding2D(1),
            layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
            layers.MaxPooling2D(2), layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(scale=False), layers.Activation("gelu"),
            layers.AveragePooling2D(2), layers.Conv2D(8, 1, activation="relu"),
            layers.GlobalAveragePooling2D(), layers.Dense(8, use_bias=False),
            layers.Dense(10, dtype="float32"),
        ):  # fmt: skip
            x = layer(x)
        model = keras.Model(image, x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1.0), loss, metrics=["accuracy"])
        return model

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        stock, fast = build(), build()
    finally:
        keras.config.set_dtype_policy(before)
    assert use_fast_step(fast)
    batch = images_and_labels()
    (expected, loss), (found, fast_loss) = (gradients(each, *batch) for each in (stock, fast))
    assert fast_loss == pytest.approx(loss, rel=1e-2)
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize("fast", [True, False])
def test_a_step_that_overflows_float16_changes_nothing_and_halves_the_scale(fast):
    model = small("mixed_float16")
    if fast:
        use_fast_step(model)
    images, labels = images_and_labels()
    model.optimizer.build(model.trainable_variables)
    model.optimizer.dynamic_scale.assign(2.0**60)
    before = [np.array(keras.ops.convert_to_numpy(each)) for each in model.trainable_weights]
    loss = float(model.train_on_batch(images, labels)[0])
    assert np.isfinite(loss)
    for weight, value in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)
    assert float(keras.ops.convert_to_numpy(model.optimizer.dynamic_scale)) == 2.0**59


@pytest.mark.parametrize("precision", MIXED)
def test_such_a_run_is_resumed_bit_for_bit_and_evaluated(precision, tmp_path):
    recipe = RECIPE.with_values({"train.precision": precision})
    whole = train(recipe, tmp_path / "whole", dataset=DATASET)
    with pytest.raises(TrainingInterrupted) as caught:
        train(recipe, tmp_path / "cut", dataset=DATASET, callbacks=(Interrupt(2),))
    run = resume(caught.value.run, dataset=DATASET)
    assert run.recipe.train.precision == precision
    assert_same_run(run, whole)
    evaluation = evaluate(run, dataset=DATASET)
    assert evaluation == evaluate(whole, dataset=DATASET).model_copy(
        update={"run": evaluation.run, "wall_seconds": evaluation.wall_seconds,
                "model_sha256": evaluation.model_sha256}
    )  # fmt: skip


@pytest.mark.parametrize("precision", MIXED)
def test_looking_into_such_a_run_shows_what_float32_shows_but_for_rounding(precision, tmp_path):
    recipe = RECIPE.with_values({"train.precision": precision, "train.epochs": 1})
    run = train(recipe, tmp_path, dataset=DATASET)
    model, images = load_best_model(run), DATASET.test_images
    exact = in_float32(run.recipe, model)
    for layer in ("conv1", "relu2", "logits"):
        found, expected = (feature_maps(each, images, layer) for each in (model, exact))
        assert found.dtype == "float32"
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    found, expected = (top_activations(each, images, layer="conv1", k=3) for each in (model, exact))
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0.05)


def test_training_warns_where_the_precision_is_slower(tmp_path, monkeypatch):
    monkeypatch.setattr("kerascnn.backend._processor_flags", lambda: {"avx512f"})
    recipe = RECIPE.with_values({"train.precision": "mixed_bfloat16", "train.epochs": 1})
    with pytest.warns(SlowerWarning, match="takes longer"):
        train(recipe, tmp_path, dataset=DATASET)


def test_only_what_a_processor_lacks_is_told(monkeypatch):
    monkeypatch.setattr("kerascnn.backend.require_backend", lambda: "torch")
    monkeypatch.setattr("kerascnn.backend._device", lambda name: ("cpu", 2))
    monkeypatch.setattr("kerascnn.backend._processor_flags", lambda: {"amx_bf16"})
    assert why_slower("float32") == why_slower("mixed_bfloat16") == ""
    assert "multiplied in float32" in why_slower("mixed_float16")
    monkeypatch.setattr("kerascnn.backend._processor_flags", set)
    assert "no units for bfloat16" in why_slower("mixed_bfloat16")
    monkeypatch.setattr("kerascnn.backend._device", lambda name: ("NVIDIA H100", 1))
    assert why_slower("mixed_bfloat16") == why_slower("mixed_float16") == ""
