"""A training run leaves its history, its best model and its surroundings; the seed decides it."""

import dataclasses
import json
import math
import re

import keras
import numpy as np
import pytest
from made.colors import DATASET, NUM_TEST, NUM_TRAIN, RECIPE, draw_colors

import kerascnn.training
from kerascnn.backend import describe_backend
from kerascnn.data import split_validation
from kerascnn.errors import RecipeError, TrainingError, TrainingInterrupted
from kerascnn.model.build import build_model
from kerascnn.run.contents import HISTORY_COLUMNS
from kerascnn.run.find import list_runs
from kerascnn.training import build_batches, train


def train_here(values=None, **settings):
    recipe = RECIPE.with_values(values or {})
    return train(recipe, "runs", **{"dataset": DATASET, **settings})


def validation_of(recipe):
    _, validation = split_validation(NUM_TRAIN, 0.2, recipe.train.seed)
    return DATASET.train_images[validation], DATASET.train_labels[validation]


def loss_of(model, images, labels):
    logits = model.predict(images, verbose=0).astype("float64")
    log_sums = np.log(np.exp(logits).sum(axis=1))
    return float(np.mean(log_sums - logits[np.arange(len(labels)), labels]))


def test_history_has_a_row_an_epoch(tmp_path):
    run = train_here()
    history = run.read_history()
    assert tuple(history) == HISTORY_COLUMNS
    assert history.epoch == (1, 2)
    assert all(0 <= value <= 1 for value in history.accuracy + history.val_accuracy)
    assert history.loss[1] < history.loss[0]
    # 24 images validate: their accuracy is a whole number of them.
    shares = 24 * np.array(history.val_accuracy)
    np.testing.assert_allclose(shares, shares.round(), atol=1e-4)
    assert run.path.parent.name == "runs"
    assert run.status == "trained"
    assert re.fullmatch(r"adam-lr0\.001-seed0-\d{8}-\d{6}", run.name)


def test_training_learns_what_is_easy_to_learn():
    run = train_here({"train.epochs": 3, "model.dropout": 0.0})
    assert run.read_history().accuracy[-1] > 0.8


def test_stored_recipe_is_the_resolved_one():
    run = train_here({"train.epochs": 1, "train.seed": 5})
    assert run.recipe == RECIPE.with_values({"train.epochs": 1, "train.seed": 5})


def test_environment_says_where_and_with_what():
    run = train_here({"train.epochs": 1})
    environment = json.loads((run.path / "environment.json").read_text())
    described = describe_backend()
    assert environment.items() >= described.items()
    assert set(environment) == {
        *described,
        "fast_step",
        "num_parameters",
        "commit",
        "started",
        "wall_seconds",
    }
    assert environment["backend"] == keras.config.backend()
    assert environment["fast_step"] is True
    assert environment["num_parameters"] == build_model(RECIPE, (32, 32, 3), 3).count_params()
    assert environment["wall_seconds"] > 0
    assert environment["commit"] is None or re.fullmatch("[0-9a-f]{40}", environment["commit"])


def test_network_that_does_not_fit_the_images_leaves_no_run():
    with pytest.raises(RecipeError, match="too small"):
        train_here({"model.filters": [4] * 6, "model.pool_after": [1, 2, 3, 4, 5, 6]})
    assert list_runs() == []


class Rate(keras.callbacks.Callback):
    """Lets the last of three epochs unlearn."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.01 if epoch < 2 else 5.0


def test_best_model_is_that_of_the_epoch_of_lowest_validation_loss():
    run = train_here({"train.epochs": 3}, callbacks=(Rate(),))
    val_loss = run.read_history()["val_loss"]
    best = val_loss.index(min(val_loss))
    assert best < 2
    model = keras.saving.load_model(run.best_path)
    assert loss_of(model, *validation_of(RECIPE)) == pytest.approx(val_loss[best], rel=1e-4)


def test_best_model_is_replaced_while_validation_loss_falls():
    run = train_here()
    val_loss = run.read_history()["val_loss"]
    model = keras.saving.load_model(run.best_path)
    assert loss_of(model, *validation_of(RECIPE)) == pytest.approx(min(val_loss), rel=1e-4)


def weights_of(run):
    return keras.saving.load_model(run.best_path, compile=False).get_weights()


def test_same_seed_gives_the_same_run_bit_for_bit():
    runs = [train_here() for _ in range(2)]
    one, other = (run.read_history() for run in runs)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert one[column] == other[column]
    for a, b in zip(*map(weights_of, runs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_of_other_generators_does_not_matter():
    first = train_here({"train.epochs": 1})
    keras.utils.set_random_seed(99)
    second = train_here({"train.epochs": 1})
    assert first.read_history()["loss"] == second.read_history()["loss"]


def test_another_seed_gives_another_run():
    one, other = (train_here({"train.epochs": 1, "train.seed": seed}) for seed in (0, 1))
    assert one.read_history()["loss"] != other.read_history()["loss"]


def test_fast_step_trains_as_stock_keras_does():
    settings = {"train.optimizer": "sgd", "model.dropout": 0.0}
    runs = [train_here(settings, fast=fast) for fast in (True, False)]
    assert [run.read_environment()["fast_step"] for run in runs] == [True, False]
    one, other = (run.read_history() for run in runs)
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        # The same but for the order of summation, which ten steps enlarge.
        np.testing.assert_allclose(one[column], other[column], rtol=1e-3)


def test_validation_images_do_not_train_and_are_not_augmented():
    batches, (images, labels) = build_batches(RECIPE, DATASET)
    np.testing.assert_array_equal(images, validation_of(RECIPE)[0])
    np.testing.assert_array_equal(labels, validation_of(RECIPE)[1])
    assert images.dtype == np.uint8

    training = {image.tobytes() for image in DATASET.train_images[batches.indices]}
    assert len(training) == 96
    assert not training & {image.tobytes() for image in images}


def test_training_images_are_augmented():
    batches, _ = build_batches(RECIPE, DATASET)
    images, _ = batches[0]
    known = {image.astype("float32").tobytes() for image in DATASET.train_images}
    assert not known & {image.tobytes() for image in images}


def test_each_epoch_trains_in_its_own_order(monkeypatch):
    asked = []

    class Recorded(kerascnn.training.batches.TrainingBatches):
        def make_block(self, block):
            images, labels = super().make_block(block)
            asked.append(labels)
            return images, labels

    monkeypatch.setattr("kerascnn.training.batches.TrainingBatches", Recorded)
    train_here({"train.epochs": 3})
    batches, _ = build_batches(RECIPE, DATASET)
    # A backend may look at some images of the first epoch beforehand, to learn their shapes.
    labels = np.concatenate(asked)[-3 * 96 :].reshape(3, 96)
    for epoch in range(3):
        expected = DATASET.train_labels[batches.order(epoch)]
        np.testing.assert_array_equal(labels[epoch], expected)


def test_images_of_a_recipe_without_augmentation_train_as_they_are():
    off = dict.fromkeys(
        [f"augmentation.{name}" for name in ("brightness", "contrast", "saturation")], 0.0
    )
    off |= {"augmentation.horizontal_flip": 0.0, "augmentation.crop_padding": 0}
    batches, _ = build_batches(RECIPE.with_values(off), DATASET)
    assert batches.augmentation is None
    images, labels = batches[0]
    order = batches.order(0)[: len(images)]
    np.testing.assert_array_equal(images, DATASET.train_images[order])
    np.testing.assert_array_equal(labels, DATASET.train_labels[order])


def test_pixels_and_labels_of_the_data_set_are_left_as_they_were():
    dataset = draw_colors(NUM_TRAIN, NUM_TEST)
    train_here({"train.epochs": 1}, dataset=dataset)
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(dataset, field), getattr(DATASET, field))


def test_test_images_have_no_part_in_training():
    zeros = np.zeros_like(DATASET.test_images)
    other = dataclasses.replace(DATASET, test_images=zeros, test_labels=DATASET.test_labels * 0)
    one, two = train_here({"train.epochs": 1}), train_here({"train.epochs": 1}, dataset=other)
    assert one.read_history()["val_loss"] == two.read_history()["val_loss"]


def test_started_is_called_with_the_run_before_the_first_epoch():
    seen = []
    run = train_here(
        {"train.epochs": 1},
        started=lambda run: seen.append((run.path, run.read_history()["epoch"], run.recipe.name)),
    )
    assert seen == [(run.path, [], "adam-lr0.001")]


class Explode(keras.callbacks.Callback):
    """Makes the rate absurd from an epoch on; at 1e30 TensorFlow's loss is huge, but finite."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.optimizer.learning_rate = math.inf


def test_loss_that_is_not_finite_ends_training_and_keeps_the_epochs_before():
    values = {"train.optimizer": "sgd", "train.epochs": 3}
    with pytest.raises(TrainingError) as caught:
        train_here(values, callbacks=(Explode(1),))
    message = str(caught.value)
    assert re.match(r"The loss became (nan|inf) in epoch 2, step \d+\. 'runs/", message)
    assert "\n" not in message
    (run,) = list_runs("runs")
    history = run.read_history()
    assert history["epoch"] == [1]
    assert math.isfinite(history["loss"][0])
    assert run.status == "1 of 3 epochs"
    model = keras.saving.load_model(run.best_path)
    assert loss_of(model, *validation_of(RECIPE)) == pytest.approx(history["val_loss"][0], rel=1e-4)


def test_loss_that_is_not_finite_in_the_first_epoch_leaves_a_valid_run():
    with pytest.raises(TrainingError, match="in epoch 1, step"):
        train_here({"train.optimizer": "sgd"}, callbacks=(Explode(0),))
    (run,) = list_runs("runs")
    assert run.describe()["status"] == "0 of 2 epochs"


class Losses(keras.callbacks.Callback):
    """What each step gives."""

    def on_epoch_begin(self, epoch, logs=None):
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(float(logs["loss"]))


@pytest.mark.parametrize("at", [1, 24, 25, 26, 39])
def test_the_step_is_named_though_some_are_read_together(at):
    losses = Losses()
    explode = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: (
            batch == at and setattr(losses.model.optimizer, "learning_rate", math.inf)
        )
    )
    with pytest.raises(TrainingError) as caught:
        train_here({"train.optimizer": "sgd", "train.batch_size": 2}, callbacks=(losses, explode))
    first = next(step for step, loss in enumerate(losses.steps, 1) if not math.isfinite(loss))
    assert f"in epoch 1, step {first}. " in str(caught.value)
    assert at < first <= len(losses.steps) < first + 25


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


def test_interrupted_training_keeps_the_epochs_before():
    with pytest.raises(TrainingInterrupted) as caught:
        train_here({"train.epochs": 3}, callbacks=(Interrupt(),))
    run = caught.value.run
    assert isinstance(caught.value, KeyboardInterrupt)
    assert run.status == "1 of 3 epochs"
    assert run.read_history()["epoch"] == [1]
    assert keras.saving.load_model(run.best_path).output_shape == (None, 3)
    assert json.loads((run.path / "environment.json").read_text())["backend"]
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == [".lock"]


def test_validation_does_not_depend_on_its_batch_size(monkeypatch):
    one = train_here({"train.epochs": 1})
    monkeypatch.setattr(kerascnn.training, "VALIDATION_BATCH_SIZE", 7)
    other = train_here({"train.epochs": 1})
    assert one.read_history()["loss"] == other.read_history()["loss"]
    assert one.read_history()["val_loss"] == pytest.approx(
        other.read_history()["val_loss"], rel=1e-5
    )
