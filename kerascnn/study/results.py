"""Evaluated runs as numbers, recipe by recipe and seed by seed: what a study is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.evaluation.metrics import Spread, collapsed_class, describe_seeds, pooled_spread
from kerascnn.recipe import Recipe
from kerascnn.run import Run
from kerascnn.run.find import is_finished, list_runs, trains_as
from kerascnn.study.readings import Reading

# What a study reports of a run; `class NAME` is the test accuracy of a class.
QUANTITIES = ("best_val_loss", "best_epoch", "train_loss", "accuracy")


@dataclass(frozen=True)
class Result:
    """One evaluated run.

    Attributes:
        run: where it is.
        recipe: its recipe.
        history: see `Run.read_history`.
        metrics: content of `metrics.json`, see `evaluate`.
        epoch: see `Reading.epoch`.
    """

    run: Run
    recipe: Recipe
    history: dict[str, list[float]]
    metrics: dict[str, object]
    epoch: int | None = None

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self.recipe.train.seed

    @property
    def has_collapsed(self) -> bool:
        """Whether nearly every test image is called one class."""
        return collapsed_class(np.array(self.metrics["test"]["confusion"])) is not None

    def value(self, quantity: str) -> float | None:
        """One of `QUANTITIES`, `class NAME` or `gap`; None where it is not known.

        Shares are fractions; `gap` is by what validation loss ends above training loss.
        """
        if self.epoch is not None:
            return self._value_at(quantity)
        if quantity == "gap":
            return self.history["val_loss"][-1] - self.history["loss"][-1]
        if quantity.startswith("class "):
            return self.class_accuracies().get(quantity.removeprefix("class "))
        if quantity == "accuracy":
            return self.metrics["test"]["accuracy"]
        return self.metrics[quantity]

    def class_accuracies(self) -> dict[str, float]:
        """Class name to test accuracy, of the classes that have test images."""
        rows = self.metrics["test"]["per_class"]
        return {row["name"]: row["accuracy"] for row in rows if row["count"]}

    def _value_at(self, quantity: str) -> float | None:
        columns = {
            "best_val_loss": "val_loss",
            "train_loss": "loss",
            "accuracy": "val_accuracy",
        }
        if self.epoch == 0:
            best = self.metrics["best_epoch"] - 1
            return self.history["loss"][best] if quantity == "train_loss" else None
        column = self.history[columns[quantity]] if quantity in columns else []
        index = self.epoch - 1 if self.epoch > 0 else len(column) - 1
        return column[index] if 0 <= index < len(column) else None


def find_results(
    runs_dir: str | Path, reading: Reading, recipes: list[Recipe]
) -> dict[str, list[Result]]:
    """Finished runs that trained as a reading of these recipes says, one a seed, by recipe.

    What a run is called does not matter; of two with one seed the later one counts. Damaged runs
    are passed over, see `find_damaged`.

    Returns:
        The recipe's name to its results, in the order of the seeds; without recipes that have none.
    """
    finished = [run for run in list_runs(runs_dir) if is_finished(run)]
    found = {}
    for recipe in recipes:
        if not reading.concerns(recipe.name):
            continue
        wanted = reading.resolve(recipe)
        by_seed = {}
        for run in finished:
            if trains_as(run.recipe, wanted.with_values({"train.seed": run.recipe.train.seed})):
                by_seed[run.recipe.train.seed] = _load(run, reading.epoch)
        if by_seed:
            found[recipe.name] = [by_seed[seed] for seed in sorted(by_seed)]
    return found


def spread_of(results: dict[str, list[Result]], quantity: str) -> Spread | None:
    """How far seeds lie apart in a quantity, pooled over recipes; None where no two seeds ran.

    The accuracies of all classes are pooled, too, as multiples of `class_scale`. Runs that have
    collapsed to one class do not count: they hardly differ.
    """
    groups = [
        group
        for runs in results.values()
        for group in _groups([run for run in runs if not run.has_collapsed], quantity)
    ]
    return pooled_spread(groups)


def class_scale(share: float) -> float:
    """By what the accuracies of classes vary: sqrt(p (1 - p)), a weak class more than a strong."""
    return math.sqrt(max(share * (1 - share), 0.01))


def summarize(results: dict[str, list[Result]]) -> list[dict[str, object]]:
    """A row a recipe: reported beside measured.

    Returns:
        Rows of `recipe`, `seeds`, and `figures`: a list of `quantity`, `reported` (None where the
        study says nothing) and `measured` with `mean`, `sd` (None for one seed), `low`, `high` and
        `num_seeds`. The classes are those that the study names for the recipe.
    """
    return [
        {
            "recipe": name,
            "seeds": [result.seed for result in runs],
            "figures": [_figure(runs, *each) for each in reported_of(runs[0].recipe)],
        }
        for name, runs in results.items()
    ]


def reported_of(recipe: Recipe) -> list[tuple[str, float | None]]:
    """Each quantity, and each class that the study names, with what it reported."""
    reported = recipe.comparable
    figures = [(quantity, getattr(reported, quantity)) for quantity in QUANTITIES]
    figures += [(f"class {name}", figure) for name, figure in reported.per_class.items()]
    return [(quantity, figure.value if figure else None) for quantity, figure in figures]


def _figure(runs: list[Result], quantity: str, reported: float | None) -> dict[str, object]:
    values = [value for run in runs if (value := run.value(quantity)) is not None]
    measured = describe_seeds(values) if values else None
    return {"quantity": quantity, "reported": reported, "measured": measured}


def _groups(runs: list[Result], quantity: str) -> list[list[float]]:
    if not runs:
        return []
    if quantity.startswith("class "):
        return [_scaled(runs, name) for name in runs[0].class_accuracies()]
    values = [run.value(quantity) for run in runs]
    return [[value for value in values if value is not None]]


def _scaled(runs: list[Result], class_name: str) -> list[float]:
    values = [run.class_accuracies().get(class_name) for run in runs]
    known = [value for value in values if value is not None]
    return [value / class_scale(math.fsum(known) / len(known)) for value in known]


def _load(run: Run, epoch: int | None) -> Result:
    return Result(run, run.recipe, run.read_history(), run.read_metrics(), epoch)
