"""`kerascnn run-together`: what `kerascnn reproduce --together` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.evaluate import load_with_progress, show
from kerascnn.cli.options import DataDir, Json, RunsDir
from kerascnn.cli.output import fail, remark
from kerascnn.cli.run import interruptible
from kerascnn.errors import TrainingError


def run_together(
    recipes: Annotated[list[str], typer.Argument(help="Files that differ in their seeds alone.")],
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Train recipes that differ in their seeds alone as one computation, then evaluate each run.

    A recipe with an unfinished run goes on with it.
    """
    from kerascnn.backend import require_backend
    from kerascnn.recipe import load_recipe

    loaded = [load_recipe(recipe) for recipe in recipes]
    require_backend()
    with interruptible(f"the same command goes on with what is in {runs_dir}"):
        from kerascnn.training.together import train_together

        dataset = load_with_progress(loaded[0].data.dataset, data_dir)
        outcomes = train_together(loaded, runs_dir, dataset=dataset)
        for recipe, outcome in zip(loaded, outcomes, strict=True):
            if outcome.error:
                name = f"{recipe.name}, seed {recipe.train.seed}"
                fail(TrainingError(f"{name}: {outcome.error}"))
            elif outcome.run.status != "finished":
                remark(f"Trained {outcome.run.path}; evaluating it ...")
                show(outcome.run, dataset, json)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)
