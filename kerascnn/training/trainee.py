"""What trains: a network, the run that keeps it, and how far it is."""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import keras

from kerascnn.backend import describe_backend
from kerascnn.data import Dataset
from kerascnn.errors import DatasetError, RunError
from kerascnn.model.build import compile_model
from kerascnn.recipe import Recipe, differences, parse_recipe
from kerascnn.recipe.toml import parse_toml
from kerascnn.records.run import Checkpoint, Environment
from kerascnn.run import Run
from kerascnn.run.find import create_run
from kerascnn.training.checkpoint import restore
from kerascnn.training.steps import use_fast_step


@dataclass
class Trainee:
    """A network that is trained into a run.

    Attributes:
        run: locked by this process.
        checkpoint: the run's when this process began with it.
        model: compiled, with the checkpoint's weights.
    """

    run: Run
    checkpoint: Checkpoint
    model: keras.Model


def begin_training(
    recipe: Recipe,
    dataset: Dataset,
    runs_dir: str | Path,
    locks: ExitStack,
    fast: bool = True,
    together: int = 1,
) -> Trainee:
    """Begin with a new run.

    Args:
        locks: holds the run's lock from here on.
        fast: whether to take kerascnn's training step where there is one for the backend.
        together: how many networks train as one computation.

    Raises:
        RecipeError: if the recipe's network does not fit the images; there is no run then.
        RunError: if the run directory cannot be written.
    """
    # All that takes time comes first: a run is never there for long without its checkpoint.
    model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
    environment = _describe(model, fast, together)
    digest = dataset.training_digest()
    checkpoint = Checkpoint(recipe=recipe.to_toml(), dataset=digest, fast=fast)
    run = create_run(recipe, runs_dir)
    locks.enter_context(run.locked())
    run.write_environment(environment)
    run.write_checkpoint(checkpoint)
    return Trainee(run, checkpoint, model)


def continue_training(run: Run, dataset: Dataset, together: int = 1) -> Trainee:
    """Go on with a run from its last whole epoch.

    Args:
        run: settled and locked.
        together: how many networks train as one computation from here on.

    Raises:
        RunError: if its recipe was changed, or it has no checkpoint.
        DatasetError: if the data set is another one than the run's.
    """
    checkpoint, recipe = find_checkpoint(run), run.recipe
    if dataset.training_digest() != checkpoint.dataset:
        raise DatasetError(
            f"The data set '{dataset.name}' is not the one that run '{run.name}' began with: "
            "its images or labels have changed."
        )
    model = compile_model(recipe, dataset.image_shape, dataset.num_classes)
    environment = run.read_environment()
    again = (*environment.resumed, _describe(model, checkpoint.fast, together))
    run.write_environment(environment.model_copy(update={"resumed": again}))
    if checkpoint.history:
        restore(model, run.read_arrays())
    return Trainee(run, checkpoint, model)


def find_checkpoint(run: Run) -> Checkpoint:
    """How far a run is.

    Raises:
        RunError: if its recipe was changed since, or it has no checkpoint.
    """
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


def finish_training(run: Run, checkpoint: Checkpoint) -> None:
    """Store that a run is trained to its end."""
    run.write_checkpoint(checkpoint)  # without the arrays, which are not needed any more
    seconds = round(sum(row.seconds for row in checkpoint.history), 2)
    environment = run.read_environment()
    run.write_environment(environment.model_copy(update={"wall_seconds": seconds}))


def _describe(model: keras.Model, fast: bool, together: int) -> Environment:
    """What `environment.json` says; gives the model its fast step."""
    return Environment(
        **describe_backend(),
        fast_step=fast and use_fast_step(model),
        **({"together": together} if together > 1 else {}),
        num_parameters=model.count_params(),
        commit=_git_commit(),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _git_commit() -> str | None:
    """The commit that this package is checked out at, if it is."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
