"""Train a recipe: compile, fit, and keep the epoch of lowest validation loss."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import keras

from kerascnn.augment import build_augmentation
from kerascnn.backend import describe_backend
from kerascnn.data import Dataset, load_dataset, split_validation
from kerascnn.data.batches import TrainingBatches
from kerascnn.errors import TrainingError, TrainingInterrupted
from kerascnn.model import compile_model
from kerascnn.recipe import Recipe
from kerascnn.run import Run, create_run
from kerascnn.steps import use_fast_step

# Validation images a step: the result does not depend on it, the speed does.
VALIDATION_BATCH_SIZE = 500


def train(
    recipe: Recipe,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
    dataset: Dataset | None = None,
    fast: bool = True,
    started: Callable[[Run], object] | None = None,
) -> Run:
    """Train the network of a recipe into a new run directory.

    Args:
        recipe: what to train, on what, and how.
        runs_dir: where the run directory is made.
        data_dir: directory of prepared TFDS data sets, see `load_dataset`.
        callbacks: further Keras callbacks, for instance a display.
        dataset: images and labels to use instead of loading `recipe.data.dataset`.
        fast: whether to take kerascnn's training step where there is one for the backend.
        started: called with the run once its directory is there.

    Returns:
        The run, with its history and its best model.

    Raises:
        DatasetError: if the data set cannot be loaded.
        RunError: if the run directory cannot be written.
        TrainingError: if the loss is not finite; the run holds the epochs until then.
        TrainingInterrupted: a KeyboardInterrupt with the run, which holds the epochs until then.
    """
    environment = describe_backend()
    dataset = dataset or load_dataset(recipe.data.dataset, data_dir)
    model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
    batches, validation = build_batches(recipe, dataset)
    environment |= {
        "fast_step": fast and use_fast_step(model),
        "num_parameters": model.count_params(),
        "commit": _git_commit(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    run = create_run(recipe, runs_dir)
    run.write_environment(environment)
    if started:
        started(run)
    start = time.monotonic()
    try:
        model.fit(
            batches,
            epochs=recipe.train.epochs,
            shuffle=False,
            validation_data=validation,
            validation_batch_size=VALIDATION_BATCH_SIZE,
            callbacks=[EpochOfBatches(batches), FiniteLoss(run), KeepRun(run), *callbacks],
            verbose=0,
        )
    except KeyboardInterrupt:
        raise TrainingInterrupted(run) from None
    run.write_environment(environment | {"wall_seconds": round(time.monotonic() - start, 1)})
    return run


def build_batches(recipe: Recipe, dataset: Dataset) -> tuple[TrainingBatches, tuple]:
    """Training batches, augmented, and validation images and labels, never augmented."""
    training, validation = split_validation(
        len(dataset.train_images), recipe.data.validation_fraction, recipe.train.seed
    )
    augmentation = build_augmentation(recipe)
    batches = TrainingBatches(
        dataset.train_images,
        dataset.train_labels,
        recipe.train.batch_size,
        recipe.train.seed,
        augmentation if augmentation.steps else None,
        training,
    )
    return batches, (dataset.train_images[validation], dataset.train_labels[validation])


class EpochOfBatches(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches: TrainingBatches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch


class FiniteLoss(keras.callbacks.Callback):
    """Stops training with a TrainingError where the loss is not finite."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self._check("loss", logs, f"epoch {self.epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self._check("val_loss", logs, f"validation after epoch {self.epoch}")

    def _check(self, name: str, logs: dict, place: str) -> None:
        value = float((logs or {}).get(name, 0.0))
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} in {place}. '{self.run.path}' keeps the epochs before; "
                "try a lower rate, for instance --set train.learning_rate=0.001."
            )


class KeepRun(keras.callbacks.Callback):
    """Writes each epoch's row of the history, and the model whenever validation loss is lowest."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run
        self.best = math.inf

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            self.run.write_best(self.model.save)
        row = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        seconds = round(time.monotonic() - self.start, 2)
        self.run.append_history({"epoch": epoch + 1, **row, "seconds": seconds})


def _git_commit() -> str | None:
    """The commit that this package is checked out at, if it is."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
