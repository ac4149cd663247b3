"""Many networks trained as one computation learn what each learns alone."""

import keras
import numpy as np
import pytest
from made.interrupted import DATASET, NUMBERS, RECIPE

from kerascnn.errors import BackendError, RecipeError, TrainingError
from kerascnn.model.build import compile_model
from kerascnn.model.compilation import build_metrics
from kerascnn.run.find import list_runs
from kerascnn.training import resume, train
from kerascnn.training import together as module
from kerascnn.training.steps import use_fast_step
from kerascnn.training.together import train_together

on_torch = pytest.mark.skipif(keras.config.backend() != "torch", reason="what torch alone does")
SEEDS = (0, 1, 2)
SGD = {"train.optimizer": "sgd", "train.learning_rate": 0.05}


def recipes(seeds=SEEDS, **values):
    return [RECIPE.with_values({"train.seed": seed, **values}) for seed in seeds]


def rows(run):
    history = run.read_history()
    return np.array([history[column] for column in NUMBERS])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train_together(recipes(), tmp_path_factory.mktemp("whole"), dataset=DATASET)


def images_and_labels(steps, networks, batch_size, shape):
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (steps, networks, batch_size, *shape), "uint8")
    return images, chance.integers(0, 10, (steps, networks, batch_size))


def losses_alone(models, images, labels):
    """Losses (steps, networks), each network by its own fast step."""
    for model in models:
        model.optimizer.build(model.trainable_variables)
        assert use_fast_step(model)
        build_metrics(model, labels[0, 0], model(images[0, 0].astype("float32")))
    return [
        [
            _loss_of_step(model, *batch)
            for model, *batch in zip(models, *of_step, strict=True)
        ]
        for of_step in zip(images, labels, strict=True)
    ]  # fmt: skip


def _loss_of_step(model, images, labels):
    model.reset_metrics()
    return float(model.train_function([(images, labels)])["loss"])


def losses_together(step, images, labels):
    return [
        step.train(*module._side_by_side(list(zip(*of_step, strict=True))))[0].tolist()
        for of_step in zip(images, labels, strict=True)
    ]


@on_torch
@pytest.mark.parametrize(
    "values",
    [{}, SGD, SGD | {"train.momentum": 0.9}, {"model.kernel_size": 5, "model.dropout": 0.0}],
    ids=["adam", "sgd", "momentum", "other network"],
)
def test_first_steps_are_those_of_each_network_alone(values):
    from kerascnn.training.steps.together import TogetherStep

    alone, others = ([compile_model(recipe) for recipe in recipes(**values)] for _ in range(2))
    batches = images_and_labels(5, len(SEEDS), 20, (32, 32, 3))
    step = TogetherStep(others)
    np.testing.assert_allclose(
        losses_together(step, *batches), losses_alone(alone, *batches), rtol=1e-5
    )
    step.settle()
    for one, other in zip(alone, others, strict=True):
        assert int(other.optimizer.iterations) == 5
        for mine, theirs in zip(one.variables, other.variables, strict=True):
            np.testing.assert_allclose(
                keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(theirs), atol=2e-3
            )


@on_torch
def test_normalization_of_one_number_is_that_of_keras():
    from kerascnn.training.steps.together import TogetherStep

    values = {"model.pool_after": [1, 2]}  # the third block sees a pixel
    alone, others = ([compile_model(r, (4, 4, 3)) for r in recipes(**values)] for _ in range(2))
    batches = images_and_labels(3, len(SEEDS), 1, (4, 4, 3))
    losses = losses_together(TogetherStep(others), *batches)
    np.testing.assert_allclose(losses, losses_alone(alone, *batches), rtol=1e-4)


@on_torch
def test_each_run_is_that_of_its_seed_alone(whole, tmp_path):
    for recipe, outcome in zip(recipes(), whole, strict=True):
        assert outcome.error is None
        assert outcome.run.status == "trained"
        assert outcome.run.recipe == recipe
        assert outcome.run.read_environment()["together"] == 3
        alone = train(recipe, tmp_path, dataset=DATASET)
        assert alone.read_environment()["together"] is None
        np.testing.assert_allclose(rows(outcome.run), rows(alone), rtol=1e-3)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Runs of which each has two whole epochs and part of another."""
    steps = []

    def interrupt(self, batch, logs=None):
        steps.append(batch)
        if len(steps) == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.FiniteLoss, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_together(recipes(), tmp_path, dataset=DATASET)
    runs = list_runs(tmp_path)
    assert [run.status for run in runs] == ["2 of 4 epochs"] * 3
    return runs


@on_torch
def test_interrupted_it_goes_on_bit_for_bit(whole, interrupted):
    outcomes = train_together(recipes(), interrupted[0].path.parent, dataset=DATASET)
    for outcome, expected in zip(outcomes, whole, strict=True):
        assert len(outcome.run.read_environment()["resumed"]) == 1
        np.testing.assert_array_equal(rows(outcome.run), rows(expected.run))


@on_torch
def test_run_that_trained_with_others_goes_on_alone(whole, interrupted):
    for run in interrupted:
        (expected,) = [each.run for each in whole if each.run.recipe == run.recipe]
        np.testing.assert_allclose(rows(resume(run, dataset=DATASET)), rows(expected), rtol=0.01)


@on_torch
def test_interrupted_between_two_runs_the_one_behind_catches_up(whole, tmp_path, monkeypatch):
    kept, keep = [], module.KeepRun.on_epoch_end

    def interrupt(self, epoch, logs=None):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(epoch)
        keep(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(module.KeepRun, "on_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_together(recipes(), tmp_path, dataset=DATASET)
    assert kept == [0, 0, 0, 1]
    for outcome, expected in zip(
        train_together(recipes(), tmp_path, dataset=DATASET), whole, strict=True
    ):
        np.testing.assert_allclose(rows(outcome.run), rows(expected.run), rtol=0.01)


@on_torch
def test_network_whose_loss_is_not_finite_stops_alone(whole, tmp_path, monkeypatch):
    begin = module.begin_training

    def begin_one_with_nan(recipe, *arguments, **settings):
        trainee = begin(recipe, *arguments, **settings)
        if recipe.train.seed == 1:
            kernel = trainee.model.get_layer("conv2").kernel
            kernel.assign(keras.ops.full(kernel.shape, np.nan))
        return trainee

    monkeypatch.setattr(module, "begin_training", begin_one_with_nan)
    first, second, third = train_together(recipes(), tmp_path, dataset=DATASET)
    assert "The loss became nan in epoch 1, step 1" in str(second.error)
    assert second.run.status == "0 of 4 epochs"
    for outcome, expected in ((first, whole[0]), (third, whole[2])):
        assert outcome.run.status == "trained"
        np.testing.assert_allclose(rows(outcome.run), rows(expected.run), rtol=0.01)


@on_torch
def test_what_is_trained_is_left_as_it_is(whole):
    runs_dir = whole[0].run.path.parent
    again = train_together(recipes((1, 3)), runs_dir, dataset=DATASET)
    assert again[0].run.path == whole[1].run.path
    assert again[1].run.read_environment()["together"] is None  # it was alone


@on_torch
def test_recipes_must_differ_in_their_seeds_alone(tmp_path):
    two = [*recipes((0,)), *recipes((1,), **{"model.dropout": 0.1})]
    with pytest.raises(TrainingError, match=r"here also: model\.dropout was 0\.35, is 0\.1\."):
        train_together(two, tmp_path, dataset=DATASET)


@on_torch
def test_networks_that_do_not_fit_the_images_leave_no_run(tmp_path):
    deep = recipes(**{"model.filters": [4] * 6, "model.pool_after": [1, 2, 3, 4, 5, 6]})
    with pytest.raises(RecipeError, match="too small"):
        train_together(deep, tmp_path, dataset=DATASET)
    assert list_runs(tmp_path) == []


@on_torch
def test_mixed_precision_is_refused(tmp_path):
    mixed = recipes(**{"train.precision": "mixed_bfloat16"})
    with pytest.raises(TrainingError, match="in float32, not in mixed_bfloat16"):
        train_together(mixed, tmp_path, dataset=DATASET)
    assert list_runs(tmp_path) == []


@pytest.mark.skipif(keras.config.backend() == "torch", reason="torch does")
def test_other_backends_do_not_train_together(tmp_path):
    with pytest.raises(BackendError, match="on torch"):
        train_together(recipes(), tmp_path, dataset=DATASET)
