"""Train a recipe: compile, fit, and keep the epoch of lowest validation loss."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import keras

from kerascnn.backend import require_backend, why_slower
from kerascnn.data import Dataset, load_dataset
from kerascnn.denormals import flush_denormals
from kerascnn.errors import SlowerWarning, TrainingInterrupted
from kerascnn.recipe import Recipe
from kerascnn.run import Run
from kerascnn.training.batches import build_batches, feed
from kerascnn.training.callbacks import FiniteLoss, KeepRun
from kerascnn.training.trainee import (
    Trainee,
    begin_training,
    continue_training,
    find_checkpoint,
    finish_training,
)

# Validation images a step: the result does not depend on it, the speed does.
VALIDATION_BATCH_SIZE = 500

Callbacks = tuple[keras.callbacks.Callback, ...]


def train(
    recipe: Recipe,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    callbacks: Callbacks = (),
    dataset: Dataset | None = None,
    fast: bool = True,
    started: Callable[[Run], object] | None = None,
) -> Run:
    """Train the network of a recipe into a new run directory.

    Args:
        data_dir: directory of prepared TFDS data sets, see `load_dataset`.
        callbacks: further Keras callbacks, for instance a display.
        dataset: images and labels to use instead of loading `recipe.data.dataset`.
        fast: whether to take kerascnn's training step where there is one for the backend.
        started: called with the run before its first epoch.

    Returns:
        The run, with its history and its best model.

    Raises:
        DatasetError: if the data set cannot be loaded.
        RunError: if the run directory cannot be written.
        TrainingError: if the loss is not finite; the run holds the epochs until then.
        TrainingInterrupted: a KeyboardInterrupt with the run, which holds the epochs until then.

    Warns:
        SlowerWarning: if the recipe's precision takes longer here than float32.
    """
    require_backend()
    if slower := why_slower(recipe.train.precision):
        warnings.warn(slower, SlowerWarning, stacklevel=2)
    dataset = dataset or load_dataset(recipe.data.dataset, data_dir)
    with ExitStack() as locks:
        trainee = begin_training(recipe, dataset, runs_dir, locks, fast)
        if started:
            started(trainee.run)
        _fit(trainee, dataset, callbacks)
    return trainee.run


def resume(
    run: Run,
    data_dir: str | Path | None = None,
    callbacks: Callbacks = (),
    dataset: Dataset | None = None,
    started: Callable[[Run], object] | None = None,
) -> Run:
    """Go on with a run that was interrupted, from its last whole epoch.

    On one machine, backend and number of threads, weights, history (but for its seconds) and
    predictions are bit for bit those of a run that was never interrupted. The files are not:
    `best.keras` also holds its date. A run that trained together with others goes on alone, to the
    same but for rounding.

    Args:
        run: unfinished, or finished: then nothing is done.
        data_dir, callbacks, dataset, started: as for `train`.

    Raises:
        RunError: if another process trains the run, its recipe was changed, or it has no
            checkpoint.
        DatasetError: if the data set cannot be loaded, or is another one than the run's.
        TrainingError, TrainingInterrupted: as for `train`.
    """
    require_backend()
    with run.locked():
        run.settle()
        checkpoint, recipe = find_checkpoint(run), run.recipe
        if len(checkpoint.history) == recipe.train.epochs:
            finish_training(run, checkpoint)
            return run
        dataset = dataset or load_dataset(recipe.data.dataset, data_dir)
        trainee = continue_training(run, dataset)
        if started:
            started(run)
        _fit(trainee, dataset, callbacks)
    return run


def _fit(trainee: Trainee, dataset: Dataset, callbacks: Callbacks) -> None:
    run, checkpoint = trainee.run, trainee.checkpoint
    batches, validation = build_batches(run.recipe, dataset)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.begin(epoch))
    keep = KeepRun(run, checkpoint)
    try:
        with flush_denormals():
            trainee.model.fit(
                feed(batches),
                initial_epoch=len(checkpoint.history),
                epochs=run.recipe.train.epochs,
                shuffle=False,
                validation_data=validation,
                validation_batch_size=VALIDATION_BATCH_SIZE,
                callbacks=[begin, FiniteLoss(run), keep, *callbacks],
                verbose=0,
            )
    except KeyboardInterrupt as interrupt:
        raise TrainingInterrupted(run, interrupt) from None
    finish_training(run, keep.checkpoint)
