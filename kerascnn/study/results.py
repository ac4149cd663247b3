"""Evaluated runs as numbers, recipe by recipe and seed by seed: what a study is compared with."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kerascnn.evaluation.metrics import Spread, collapsed_class, describe_seeds, pooled_spread
from kerascnn.recipe import Recipe
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    GAP,
    OF_RUN,
    TRAIN_LOSS,
    Quantity,
    class_accuracy,
)
from kerascnn.records.run import Evaluation, History
from kerascnn.records.study import StudyFigure, StudyRow
from kerascnn.run import Run
from kerascnn.run.find import is_finished, trains_as
from kerascnn.study.readings import OtherEpoch, Reading

Results = dict[str, list["Result"]]


@dataclass(frozen=True)
class Result:
    """One evaluated run; `epoch` is that of the reading, see `Reading.epoch`."""

    run: Run
    recipe: Recipe
    history: History
    metrics: Evaluation
    epoch: int | OtherEpoch | None = None

    @property
    def seed(self) -> int:
        return self.recipe.train.seed

    @cached_property
    def training(self) -> Recipe:
        """The recipe with the seed 0: that of all runs which differ in their seed alone."""
        return self.recipe.with_seed(0)

    @cached_property
    def collapsed_to(self) -> str | None:
        """The class that nearly every test image is called, if there is one."""
        label = collapsed_class(self.confusion)
        return None if label is None else self.metrics.class_names[label]

    @property
    def confusion(self) -> np.ndarray:
        """Counts of test images; rows are true classes, columns predicted ones."""
        return np.array(self.metrics.test.confusion)

    def value(self, quantity: Quantity) -> float | None:
        """What was measured of a quantity; None where it is not known."""
        if self.epoch is not None:
            return self._value_at_epoch(quantity)
        if quantity.class_name is not None:
            return self.class_accuracies.get(quantity.class_name)
        return self._of_run[quantity]

    @cached_property
    def class_accuracies(self) -> dict[str, float]:
        """Class name to test accuracy, of the classes that have test images."""
        return {row.name: row.accuracy for row in self.metrics.test.per_class if row.count}

    @cached_property
    def _of_run(self) -> dict[Quantity, float | None]:
        return {
            BEST_VAL_LOSS: self.metrics.best_val_loss,
            BEST_EPOCH: self.metrics.best_epoch,
            TRAIN_LOSS: self.metrics.train_loss,
            ACCURACY: self.metrics.test.accuracy,
            GAP: self.history.val_loss[-1] - self.history.loss[-1],
        }

    def _value_at_epoch(self, quantity: Quantity) -> float | None:
        history = self.history
        columns = {TRAIN_LOSS: history.loss}
        if self.epoch is OtherEpoch.TRAINING_LOSS_OF_BEST:
            number = self.metrics.best_epoch
        else:
            number = len(history) if self.epoch is OtherEpoch.LAST else self.epoch
            columns |= {BEST_VAL_LOSS: history.val_loss, ACCURACY: history.val_accuracy}
        column = columns.get(quantity, ())
        return column[number - 1] if number <= len(column) else None


def load_results(runs: Iterable[Run]) -> list[Result]:
    """The finished ones of these runs; damaged runs are passed over, see `find_damaged`."""
    return [
        Result(run, run.recipe, run.read_history(), run.read_metrics())
        for run in runs
        if is_finished(run)
    ]


def select_results(
    results: Sequence[Result], reading: Reading, recipes: Iterable[Recipe]
) -> Results:
    """Results of runs that trained as a reading of these recipes says, one a seed, by recipe.

    What a run is called does not matter; of two with one seed the later one counts.

    Args:
        results: see `load_results`, the oldest run first.
        recipes: those that the reading does not concern are passed over.

    Returns:
        The recipe's name to its results, in the order of the seeds; without recipes that have none.
    """
    found = {}
    for recipe in recipes:
        if not reading.concerns(recipe.name):
            continue
        wanted = reading.resolve(recipe, 0)
        by_seed = {
            result.seed: replace(result, epoch=reading.epoch)
            for result in results
            if trains_as(result.training, wanted)
        }
        if by_seed:
            found[recipe.name] = [by_seed[seed] for seed in sorted(by_seed)]
    return found


def values_of(runs: Iterable[Result], quantity: Quantity) -> list[float]:
    """A quantity of each run that knows it."""
    return [value for run in runs if (value := run.value(quantity)) is not None]


def spread_of(results: Results, quantity: Quantity) -> Spread | None:
    """How far seeds lie apart in a quantity, pooled over recipes; None where no two seeds ran.

    The accuracies of all classes are pooled, too, as multiples of `class_scale`. Runs that have
    collapsed to one class do not count: they hardly differ.
    """
    groups = []
    for runs in results.values():
        runs = [run for run in runs if run.collapsed_to is None]
        if quantity.class_name is None:
            groups.append(values_of(runs, quantity))
        elif runs:
            groups += [_scaled(runs, class_accuracy(name)) for name in runs[0].class_accuracies]
    return pooled_spread(groups)


def class_scale(share: float) -> float:
    """How far the accuracy p of a class varies: sqrt(p (1 - p)), most for a weak class."""
    return math.sqrt(max(share * (1 - share), 0.01))


def summarize(results: Results) -> list[StudyRow]:
    """A row a recipe: reported beside measured."""
    return [_summarize(name, runs) for name, runs in results.items()]


def _summarize(recipe_name: str, runs: list[Result]) -> StudyRow:
    reported = runs[0].recipe.comparable
    of_run = [(quantity, getattr(reported, quantity.name)) for quantity in OF_RUN]
    of_classes = [(class_accuracy(name), given) for name, given in reported.per_class.items()]
    return StudyRow(
        recipe=recipe_name,
        seeds=[run.seed for run in runs],
        of_run=[_figure(runs, quantity, given and given.value) for quantity, given in of_run],
        of_classes=[_figure(runs, quantity, given.value) for quantity, given in of_classes],
    )


def _figure(runs: list[Result], quantity: Quantity, reported: float | None) -> StudyFigure:
    values = values_of(runs, quantity)
    measured = describe_seeds(values) if values else None
    return StudyFigure(quantity=quantity, reported=reported, measured=measured)


def _scaled(runs: list[Result], quantity: Quantity) -> list[float]:
    values = values_of(runs, quantity)
    return [value / class_scale(math.fsum(values) / len(values)) for value in values]
