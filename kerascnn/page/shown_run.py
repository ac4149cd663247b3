"""A run as the page lays it out: figures, notes, curves, confusion; and its pictures, if any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from kerascnn.errors import RunError
from kerascnn.page.charts import Chart, Series, build_chart
from kerascnn.page.measured import MOST_CLASSES, Measured, shorten
from kerascnn.recipe import Recipe, changes_from_shipped
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    Quantity,
    Unit,
)
from kerascnn.records.run import Environment, SplitMeasures
from kerascnn.run import Run
from kerascnn.show.words import counted, time_in_words, visible

MOST_CONFUSIONS = 15
LOSS, TEST_LOSS = Quantity("loss", Unit.LOSS), Quantity("test_loss", Unit.LOSS)


@dataclass(frozen=True)
class Figure:
    """A number of a run, written, and beside it what the study reported, where it did."""

    title: str
    value: str
    remark: str = ""
    reported: str = ""
    difference: str = ""


@dataclass(frozen=True)
class Confused:
    """How many images of one class are called another, and what share of the class that is."""

    label: str
    prediction: str
    count: int
    share: float


@dataclass(frozen=True)
class Pictures:
    """Test images and filters of a run.

    Attributes:
        sheet: name of the sheet of its test images.
        examples: see `examples.choose_examples`.
        cells: see `examples.choose_cells`.
        explorer: see `explorer.explore`.
    """

    sheet: str
    examples: dict[str, list[dict[str, object]]]
    cells: dict[str, list[list[int]]]
    explorer: dict[str, object]


@dataclass(frozen=True)
class Draws:
    """Training images and draws of their augmentation.

    Attributes:
        rows: places of pictures, a row an image, the original first.
    """

    rows: list[list[dict[str, object]]]


@dataclass(frozen=True)
class ShownRun:
    """A run in full.

    Attributes:
        id: names it in addresses.
        recipe, title, seed: what it trained.
        facts: how it was made, in a few words each.
        settings: name and value of what its recipe says.
        notes: what must be known to read its numbers.
        figures: the numbers of the run as a whole.
        diagnosis: what a teacher would notice.
        charts: none without a history.
        test: how good the model is on the test images.
        matrix: how strong the color of each cell of the confusion is, in percent; None where there
            are too many classes.
        confusions: the most frequent errors.
        augments: whether its training images are augmented.
        pictures: None on a page without pictures.
        draws: None where nothing is augmented, or on a page without pictures.
    """

    id: str
    recipe: str
    title: str
    seed: int
    facts: list[str]
    settings: list[tuple[str, str]]
    notes: list[str]
    figures: list[Figure]
    diagnosis: list[str]
    charts: list[Chart]
    test: SplitMeasures
    matrix: list[list[int]] | None
    confusions: list[Confused]
    augments: bool
    pictures: Pictures | None
    draws: Draws | None

    def for_script(self) -> dict[str, object]:
        """What the page's script needs: the classes, and what the cells of the matrix open."""
        return {
            "names": [row.name for row in self.test.per_class],
            "cells": self.pictures.cells if self.pictures else {},
            "sheet": self.pictures and self.pictures.sheet,
        }


def describe_run(
    measured: Measured, pictures: Pictures | None = None, draws: Draws | None = None
) -> ShownRun:
    """A run in full, with its pictures."""
    recipe, evaluation = measured.recipe, measured.evaluation
    confusion = np.array(evaluation.test.confusion)
    return ShownRun(
        id=measured.identity,
        recipe=recipe.name,
        title=visible(recipe.title or recipe.name),
        seed=recipe.train.seed,
        facts=_facts(measured),
        settings=_settings(recipe),
        notes=_notes(measured),
        figures=_figures(measured),
        diagnosis=[visible(found.message) for found in evaluation.diagnosis],
        charts=_charts(measured),
        test=evaluation.test,
        matrix=_matrix(confusion),
        confusions=_largest_confusions(measured.class_names, confusion),
        augments=augments(recipe),
        pictures=pictures,
        draws=draws,
    )


def augments(recipe: Recipe) -> bool:
    """Whether a recipe changes its training images at all."""
    return any(recipe.augmentation.model_dump().values())


def _facts(measured: Measured) -> list[str]:
    environment = _environment(measured.run)
    facts = [f"seed {measured.recipe.train.seed}", counted(len(measured.history), "epoch")]
    if environment.backend:
        device = f" on {environment.device}" if environment.device else ""
        facts.append(visible(environment.backend + device))
    facts.append(_date(environment.started))
    if environment.wall_seconds:
        facts.append(time_in_words(environment.wall_seconds))
    return [fact for fact in facts if fact]


def _environment(run: Run) -> Environment:
    # It tells when and where; a page of a run that lost it leaves that out.
    try:
        return run.read_environment()
    except RunError:
        return Environment()


def _date(started: str | None) -> str:
    try:
        when = datetime.fromisoformat(started or "")
    except ValueError:
        return ""
    return f"{when.day} {when:%B %Y}"


def _settings(recipe: Recipe) -> list[tuple[str, str]]:
    train, model = recipe.train, recipe.model
    optimizer = "SGD" if train.optimizer == "sgd" else "Adam"
    pooled = ", ".join(map(str, model.pool_after)) or "no block"
    return [
        ("Optimizer", f"{optimizer}, rate {train.learning_rate:g}"),
        ("Batch size", str(train.batch_size)),
        ("Dropout", f"{model.dropout:g}"),
        ("Augmentation", "yes" if augments(recipe) else "no"),
        ("Filters", ", ".join(map(str, model.filters))),
        ("Pooling after block", pooled),
    ]


def _notes(measured: Measured) -> list[str]:
    notes, run, recipe = [], measured.run, measured.recipe
    done, epochs, tested = len(measured.history), recipe.train.epochs, measured.evaluation.epochs
    if recipe.data.dataset != "cifar10":
        notes.append(
            f"These are numbers of the data set “{measured.dataset}”, not CIFAR-10 numbers. "
            "Nothing that the study reported can be compared with them."
        )
    elif changes := changes_from_shipped(recipe):
        notes.append(
            f"The study reported its figures of recipe “{recipe.name}”, but this run was trained "
            f"with other settings: {'; '.join(changes)}."
        )
    if not done and run.converted_from is not None:
        notes.append(
            f"There are no curves: the weights were converted from “{shorten(run.converted_from)}”,"
            " and that file says nothing about their training."
        )
    elif done < epochs:
        notes.append(f"This run is not finished: {done} of {epochs} epochs are done.")
    if done != tested:
        notes.append(f"It was evaluated after {counted(tested, 'epoch')}.")
    return notes


def _figures(measured: Measured) -> list[Figure]:
    """What was measured beside what was reported."""
    found, test = measured.evaluation, measured.evaluation.test
    reported = found.reported
    interval = f"95 %: {100 * test.low:.1f} – {100 * test.high:.1f} %"
    figures = [_figure("Test accuracy", ACCURACY, test.accuracy, reported.accuracy, interval)]
    if found.best_epoch is not None:
        lowest, last = found.best_val_loss, found.train_loss
        epochs = f"of {counted(found.epochs, 'epoch')}"
        figures += [
            _figure("Best validation loss", BEST_VAL_LOSS, lowest, reported.best_val_loss),
            _figure("Best epoch", BEST_EPOCH, found.best_epoch, reported.best_epoch, epochs),
            _figure("Training loss, last epoch", TRAIN_LOSS, last, reported.train_loss),
        ]
    return [*figures, _figure("Test loss", TEST_LOSS, test.loss, None)]


def _figure(
    title: str, quantity: Quantity, value: float | None, reported: float | None, remark: str = ""
) -> Figure:
    written = quantity.write(value)
    if value is None or reported is None:
        return Figure(title, written, remark)
    # No more digits than a report has.
    is_share = quantity.unit is Unit.SHARE
    told = f"{100 * reported:.4g} %" if is_share else quantity.write(reported)
    return Figure(title, written, remark, told, _write_difference(quantity, value - reported))


def _write_difference(quantity: Quantity, difference: float) -> str:
    if quantity.unit is Unit.EPOCH:
        return f"{difference:+.0f}"
    is_share = quantity.unit is Unit.SHARE
    unit = Unit.SHARE_DIFFERENCE if is_share else Unit.LOSS_DIFFERENCE
    return Quantity(quantity.name, unit).write(difference)


def _charts(measured: Measured) -> list[Chart]:
    """Loss and accuracy over epochs."""
    history, identity = measured.history, measured.identity
    if not len(history):
        return []
    best, reported = history.best_epoch, measured.evaluation.reported.best_val_loss
    losses = _pair(history.loss, history.val_loss)
    accuracies = _pair(history.accuracy, history.val_accuracy)
    return [
        build_chart(f"{identity}-loss", "Loss", LOSS, losses, best, reported),
        build_chart(f"{identity}-accuracy", "Accuracy", ACCURACY, accuracies, best),
    ]


def _pair(training: tuple[float, ...], validation: tuple[float, ...]) -> list[Series]:
    return [Series("training", training, "quiet"), Series("validation", validation)]


def _matrix(confusion: np.ndarray) -> list[list[int]] | None:
    if len(confusion) > MOST_CLASSES:
        return None
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    # Letters stand out from up to 70 %. The root shows the few that are wrong beside the many that
    # are right.
    is_right = np.eye(len(confusion), dtype=bool)
    return (100 * np.where(is_right, shares, np.sqrt(shares)) * 0.7).round().astype(int).tolist()


def _largest_confusions(names: tuple[str, ...], confusion: np.ndarray) -> list[Confused]:
    wrong = confusion * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        Confused(names[row], names[column], int(count), float(count / confusion[row].sum()))
        for row, column in pairs
        if (count := wrong[row, column])
    ]
