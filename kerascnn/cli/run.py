"""`kerascnn run` and `kerascnn resume`: train, evaluate, and show it beside what was reported."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerascnn.backend import require_backend, why_slower
from kerascnn.cli.evaluate import load_with_progress, show
from kerascnn.cli.options import (
    BatchSize,
    DataDir,
    DatasetName,
    Epochs,
    Json,
    RecipeName,
    RunName,
    RunsDir,
    Seed,
    Settings,
)
from kerascnn.cli.output import err, print_json, remark
from kerascnn.errors import LookInterrupted, SlowerWarning, Terminated, TrainingInterrupted
from kerascnn.show.words import counted

if TYPE_CHECKING:
    from kerascnn.data import Dataset
    from kerascnn.recipe import Recipe
    from kerascnn.run import Run


def run(
    recipe: RecipeName,
    dataset: DatasetName = None,
    epochs: Epochs = None,
    seed: Seed = None,
    batch_size: BatchSize = None,
    set_: Settings = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast/--no-fast", help="Train with kerascnn's own fast step, or as stock Keras does."
        ),
    ] = True,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the last run of this recipe and seed, if there is one."
        ),
    ] = False,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Train a recipe, evaluate its best epoch, and show it beside what the study reported."""
    from kerascnn.data import with_absolute_folder
    from kerascnn.recipe import load_recipe, parse_values
    from kerascnn.run.find import find_begun

    options = {
        "data.dataset": dataset,
        "train.epochs": epochs,
        "train.seed": seed,
        "train.batch_size": batch_size,
    }
    values = parse_values(set_, options)
    resolved = with_absolute_folder(load_recipe(recipe).with_values(values))
    if resume and (begun := find_begun(runs_dir, resolved)):
        _resume(begun, data_dir, json)
        return
    require_backend()
    with interruptible():
        from kerascnn.training import train

        loaded = load_with_progress(resolved.data.dataset, data_dir)
        call = partial(train, resolved, runs_dir, dataset=loaded, fast=fast)
        _evaluate(_show_training(resolved, call), loaded, json)


def resume(
    run: RunName = "latest",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Go on with a run that was interrupted, from its last whole epoch, then evaluate it.

    On the same machine, with the same backend and number of threads, weights, history (but for its
    seconds) and predictions are bit for bit those of a run that was never interrupted.
    """
    from kerascnn.run.find import find_run

    _resume(find_run(run, runs_dir), data_dir, json)


def _resume(run: Run, data_dir: Path | None, json: bool) -> None:
    if run.status == "finished":
        remark(f"{run.path} is finished: there is nothing to resume.")
        if json:
            print_json(run.read_metrics())
        return
    require_backend()
    with interruptible():
        from kerascnn.training import resume

        loaded = load_with_progress(run.recipe.data.dataset, data_dir)
        _show_training(run.recipe, partial(resume, run, dataset=loaded))
        _evaluate(run, loaded, json)


@contextmanager
def interruptible(how_to_go_on: str = "") -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, and say how to go on where no run tells it."""

    def terminate(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        by_signal = isinstance(getattr(interrupt, "cause", interrupt), Terminated)
        what = "Terminated" if by_signal else "Interrupted"
        if isinstance(interrupt, TrainingInterrupted):
            run = interrupt.run
            what += f": {run.path} holds {run.status}; `kerascnn resume {run.path}` goes on"
        elif isinstance(interrupt, LookInterrupted):
            what += f" after {interrupt.done:,} of {interrupt.total:,} pictures"
            kept = f"{interrupt.kept:,} are kept, and the same command goes on from there"
            what += f"; {kept if interrupt.kept else 'nothing is kept'}"
        elif how_to_go_on:
            what += f": {how_to_go_on}"
        remark(f"{what}.", "yellow")
        raise typer.Exit(128 + (signal.SIGTERM if by_signal else signal.SIGINT)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _evaluate(run: Run, dataset: Dataset, json: bool) -> None:
    remark(f"Trained {run.path}; evaluating the epoch of lowest validation loss ...")
    show(run, dataset, json)


def _show_training(recipe: Recipe, train: Callable[..., Run]) -> Run:
    """Call `train` with what shows its progress."""
    from kerascnn.cli.training_display import TrainingDisplay

    display = TrainingDisplay(err, recipe.train.batch_size)

    def started(run: Run) -> None:
        count, done = counted(recipe.train.epochs, "epoch"), len(run.read_history())
        going_on = f" after epoch {done}" if done else ""
        remark(f"{recipe.name} on {recipe.data.dataset}, {count}, into {run.path}{going_on}")
        if slower := why_slower(recipe.train.precision):
            remark(slower, "yellow")

    try:
        with warnings.catch_warnings(category=SlowerWarning, action="ignore"):
            return train(callbacks=(display,), started=started)
    finally:
        display.close()
