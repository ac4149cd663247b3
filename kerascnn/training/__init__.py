"""Train a recipe: compile, fit, and keep the epoch of lowest validation loss."""

import subprocess
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import keras

from kerascnn.backend import describe_backend, require_backend, why_slower
from kerascnn.data import Dataset, load_dataset, split_validation
from kerascnn.denormals import flush_denormals
from kerascnn.errors import DatasetError, RunError, SlowerWarning, TrainingInterrupted
from kerascnn.model.build import compile_model
from kerascnn.recipe import Recipe, differences, parse_recipe
from kerascnn.recipe.toml import parse_toml
from kerascnn.records.run import Checkpoint, Environment
from kerascnn.run import Run
from kerascnn.run.find import create_run
from kerascnn.training.augment import build_augmentation
from kerascnn.training.batches import TrainingBatches
from kerascnn.training.callbacks import FiniteLoss, KeepRun
from kerascnn.training.checkpoint import restore
from kerascnn.training.steps import use_fast_step

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
    model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
    run = create_run(recipe, runs_dir)
    with run.locked():
        begin = Checkpoint(recipe=recipe.to_toml(), dataset=dataset.training_digest(), fast=fast)
        run.write_environment(_describe(model, fast))
        run.write_checkpoint(begin)
        if started:
            started(run)
        _fit(run, begin, model, dataset, callbacks)
    return run


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
    `best.keras` also holds its date.

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
        checkpoint, recipe = _checkpoint_of(run), run.recipe
        if len(checkpoint.history) == recipe.train.epochs:
            _finish(run, checkpoint)
            return run
        dataset = dataset or load_dataset(recipe.data.dataset, data_dir)
        if dataset.training_digest() != checkpoint.dataset:
            raise DatasetError(
                f"The data set '{dataset.name}' is not the one that run '{run.name}' began with: "
                "its images or labels have changed."
            )
        model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
        environment = run.read_environment()
        again = (*environment.resumed, _describe(model, checkpoint.fast))
        run.write_environment(environment.model_copy(update={"resumed": again}))
        if checkpoint.history:
            restore(model, run.read_arrays())
        if started:
            started(run)
        _fit(run, checkpoint, model, dataset, callbacks)
    return run


def _checkpoint_of(run: Run) -> Checkpoint:
    checkpoint = run.read_checkpoint()
    if checkpoint is None:
        raise RunError(f"Run '{run.name}' has no checkpoint to go on from.")
    try:
        began = parse_recipe(parse_toml(checkpoint.recipe), f"the checkpoint of run '{run.name}'")
    except ValueError as error:
        raise RunError(f"The checkpoint of run '{run.name}' holds no recipe: {error}.") from None
    if changes := differences(began, run.recipe):
        raise RunError(
            f"The recipe of run '{run.name}' was changed since it began: {'; '.join(changes)}. "
            "Change it back, or begin another run."
        )
    return checkpoint


def _describe(model: keras.Model, fast: bool) -> Environment:
    """What `environment.json` says; gives the model its fast step."""
    return Environment(
        **describe_backend(),
        fast_step=fast and use_fast_step(model),
        num_parameters=model.count_params(),
        commit=_git_commit(),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _fit(
    run: Run, checkpoint: Checkpoint, model: keras.Model, dataset: Dataset, callbacks: Callbacks
) -> None:
    recipe = run.recipe
    batches, validation = build_batches(recipe, dataset)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.begin(epoch))
    keep = KeepRun(run, checkpoint)
    try:
        with flush_denormals():
            model.fit(
                batches,
                initial_epoch=len(checkpoint.history),
                epochs=recipe.train.epochs,
                shuffle=False,
                validation_data=validation,
                validation_batch_size=VALIDATION_BATCH_SIZE,
                callbacks=[begin, FiniteLoss(run), keep, *callbacks],
                verbose=0,
            )
    except KeyboardInterrupt as interrupt:
        raise TrainingInterrupted(run, interrupt) from None
    _finish(run, keep.checkpoint)


def _finish(run: Run, checkpoint: Checkpoint) -> None:
    run.write_checkpoint(checkpoint)  # without the arrays, which are not needed any more
    seconds = round(sum(row.seconds for row in checkpoint.history), 2)
    environment = run.read_environment()
    run.write_environment(environment.model_copy(update={"wall_seconds": seconds}))


def build_batches(recipe: Recipe, dataset: Dataset) -> tuple[TrainingBatches, tuple]:
    """Training batches, augmented, and validation images and labels, never augmented."""
    images, labels, settings = dataset.train_images, dataset.train_labels, recipe.train
    fraction = recipe.data.validation_fraction
    training, validation = split_validation(len(images), fraction, settings.seed)
    augmentation = build_augmentation(recipe)
    augment = augmentation if augmentation.steps else None
    batches = TrainingBatches(images, labels, settings.batch_size, settings.seed, augment, training)
    return batches, (images[validation], labels[validation])


def _git_commit() -> str | None:
    """The commit that this package is checked out at, if it is."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
