"""`kerascnn run`: train, evaluate, and show accuracy per class beside what was reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.output import DataDir, Json, RunsDir, complete_recipe, err, print_json, remark


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
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Train a recipe, evaluate its best epoch, and show it beside what the study reported."""
    from kerascnn.recipe import load_recipe, parse_setting

    values = dict(parse_setting(setting) for setting in set_ or [])
    given = {
        "data.dataset": dataset,
        "train.epochs": epochs,
        "train.seed": seed,
        "train.batch_size": batch_size,
    }
    values |= {key: value for key, value in given.items() if value is not None}
    resolved = _with_absolute_folder(load_recipe(recipe).with_values(values))

    from kerascnn.backend import require_backend
    from kerascnn.cli.evaluate import load_with_progress, show

    require_backend()
    loaded = load_with_progress(resolved.data.dataset, data_dir)
    trained = _train(resolved, loaded, runs_dir, fast)
    remark(f"Trained {trained.path}; evaluating the epoch of lowest validation loss ...")

    from kerascnn.evaluate import evaluate

    measured = evaluate(trained, dataset=loaded)
    if json:
        print_json(measured)
    else:
        show(trained, measured)


def _with_absolute_folder(recipe):
    """The recipe, so that it means the same folder from everywhere."""
    from kerascnn.data import DATASETS

    name = recipe.data.dataset
    if name in DATASETS or not Path(name).is_dir():
        return recipe
    return recipe.with_values({"data.dataset": str(Path(name).resolve())})


def _train(recipe, dataset, runs_dir: Path, fast: bool):
    from kerascnn.errors import TrainingInterrupted
    from kerascnn.progress import TrainingDisplay
    from kerascnn.train import train

    display = TrainingDisplay(err, recipe.train.batch_size)
    title = f"{recipe.name} on {dataset.name}, {recipe.train.epochs} epochs"
    try:
        return train(
            recipe,
            runs_dir,
            callbacks=(display,),
            dataset=dataset,
            fast=fast,
            started=lambda run: remark(f"{title}, into {run.path}"),
        )
    except TrainingInterrupted as interrupt:
        display.close()
        run = interrupt.run
        remark(f"Interrupted. {run.path} holds {run.status}.", "yellow")
        if run.best_path.exists():
            remark(f"`kerascnn evaluate {run.path}` evaluates its best epoch so far.")
        raise typer.Exit(130) from None
    finally:
        display.close()
