"""`kerascnn run` and `kerascnn resume`: train, evaluate, and show it beside what was reported."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.output import (
    DataDir,
    Json,
    RunName,
    RunsDir,
    complete_recipe,
    err,
    remark,
)
from kerascnn.errors import SelectionError, Terminated, TrainingInterrupted


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe (`kerascnn recipes`), or a file that ends in .toml.",
            autocompletion=complete_recipe,
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set: cifar10, shapes (embedded, no download), or a folder of classes."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Draws split, weights, order, augmentation and dropout.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per update.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the recipe; repeatable."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast/--no-fast", help="kerascnn's training step, or stock Keras's.")
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
    from kerascnn.recipe import load_recipe

    options = {
        "data.dataset": dataset,
        "train.epochs": epochs,
        "train.seed": seed,
        "train.batch_size": batch_size,
    }
    values = parse_values(set_, options)
    resolved = with_absolute_folder(load_recipe(recipe).with_values(values))

    from kerascnn.run.find import find_begun

    begun = find_begun(runs_dir, resolved) if resume else None
    if begun:
        _resume(begun, data_dir, json)
        return

    from kerascnn.backend import require_backend

    require_backend()
    with interruptible():
        from kerascnn.cli.evaluate import load_with_progress
        from kerascnn.training import train

        loaded = load_with_progress(resolved.data.dataset, data_dir)
        trained = _show_training(
            resolved,
            lambda **display: train(resolved, runs_dir, dataset=loaded, fast=fast, **display),
        )
        _evaluate(trained, loaded, json)


def resume(
    run: RunName = "latest",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Go on with a run that was interrupted, from its last whole epoch, then evaluate it.

    On one machine, backend and number of threads the result is bit for bit that of a run that was
    never interrupted.
    """
    from kerascnn.run.find import find_run

    _resume(find_run(run, runs_dir), data_dir, json)


def _resume(run, data_dir: Path | None, json: bool) -> None:
    if run.status == "finished":
        remark(f"{run.path} is finished: there is nothing to resume.")
        return

    from kerascnn.backend import require_backend

    require_backend()
    with interruptible():
        from kerascnn.cli.evaluate import load_with_progress
        from kerascnn.training import resume

        recipe = run.recipe
        loaded = load_with_progress(recipe.data.dataset, data_dir)
        _show_training(
            recipe,
            lambda **display: resume(run, dataset=loaded, **display),
        )
        _evaluate(run, loaded, json)


@contextmanager
def interruptible(how_to_go_on: str = "") -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, and exit as a shell expects of each.

    Args:
        how_to_go_on: said where it is not a run that was interrupted, which says so itself.
    """

    def terminate(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        cause = interrupt.cause if isinstance(interrupt, TrainingInterrupted) else interrupt
        by_signal = isinstance(cause, Terminated)
        what = "Terminated" if by_signal else "Interrupted"
        if isinstance(interrupt, TrainingInterrupted):
            run = interrupt.run
            what += f": {run.path} holds {run.status}; `kerascnn resume {run.path}` goes on"
        elif how_to_go_on:
            what += f": {how_to_go_on}"
        remark(f"{what}.", "yellow")
        raise typer.Exit(128 + (signal.SIGTERM if by_signal else signal.SIGINT)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _evaluate(run, dataset, json: bool) -> None:
    from kerascnn.cli.evaluate import show

    remark(f"Trained {run.path}; evaluating the epoch of lowest validation loss ...")
    show(run, dataset, json)


def parse_values(settings: list[str] | None, options: dict[str, object]) -> dict[str, object]:
    """Keys and values of --set, and of the options that have a key; None is not given.

    Raises:
        SelectionError: if a key is given both ways.
    """
    from kerascnn.recipe import parse_setting

    values = dict(parse_setting(setting) for setting in settings or [])
    given = {key: value for key, value in options.items() if value is not None}
    if both := sorted(values.keys() & given.keys()):
        option = both[0].rpartition(".")[2].replace("_", "-")
        raise SelectionError(f"--{option} and --set {both[0]}=... are both given; leave one.")
    return values | given


def with_absolute_folder(recipe):
    """The recipe, so that it means the same folder from everywhere."""
    from kerascnn.data import DATASETS

    name = recipe.data.dataset
    if name in DATASETS or not Path(name).is_dir():
        return recipe
    return recipe.with_values({"data.dataset": str(Path(name).resolve())})


def _show_training(recipe, train: Callable):
    """Call `train` with what shows its progress."""
    from kerascnn.cli.training_display import TrainingDisplay

    display = TrainingDisplay(err, recipe.train.batch_size)

    def started(run):
        count = "1 epoch" if recipe.train.epochs == 1 else f"{recipe.train.epochs} epochs"
        title = f"{recipe.name} on {recipe.data.dataset}, {count}"
        done = len(run.read_history())
        going_on = f" after epoch {done}" if done else ""
        remark(f"{title}, into {run.path}{going_on}")

    try:
        return train(callbacks=(display,), started=started)
    finally:
        display.close()
