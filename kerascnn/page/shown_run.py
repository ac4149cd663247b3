"""A run as the page lays it out: figures, notes, curves, confusion; and its pictures, if any."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

from kerascnn.errors import RunError
from kerascnn.page.charts import Chart, Series
from kerascnn.page.measured import MOST_CLASSES, Measured, shorten
from kerascnn.recipe import Recipe, changes_from_shipped
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    Quantity,
    Unit,
    points,
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
class Pictures:
    """Test images and filters of a run, as the modules `examples` and `explorer` choose them."""

    sheet: str  # of its test images
    examples: dict[str, list[dict[str, object]]]
    cells: dict[str, list[list[int]]]
    explorer: dict[str, object]


@dataclass(frozen=True)
class ShownRun:
    """A run in full; one that lacks pictures or draws is shown without."""

    measured: Measured
    pictures: Pictures | None = None
    # Places of training images and of draws of their augmentation: a row an image, itself first.
    draws: list[list[dict[str, object]]] | None = None

    @property
    def id(self) -> str:
        return self.measured.identity

    @property
    def recipe(self) -> Recipe:
        return self.measured.recipe

    @property
    def title(self) -> str:
        return visible(self.recipe.title or self.recipe.name)

    @property
    def test(self) -> SplitMeasures:
        return self.measured.evaluation.test

    @property
    def facts(self) -> list[str]:
        """How it was made, in a few words each."""
        environment = _environment(self.measured.run)
        device = f" on {environment.device}" if environment.device else ""
        seconds = environment.wall_seconds
        facts = [
            f"seed {self.recipe.train.seed}",
            counted(len(self.measured.history), "epoch"),
            environment.backend and visible(environment.backend + device),
            _date(environment.started),
            seconds and time_in_words(seconds),
            environment.together and f"together with {environment.together - 1} other seeds",
        ]
        return [fact for fact in facts if fact]

    @property
    def settings(self) -> list[tuple[str, str]]:
        train, model = self.recipe.train, self.recipe.model
        optimizer = "SGD" if train.optimizer == "sgd" else "Adam"
        return [
            ("Optimizer", f"{optimizer}, rate {train.learning_rate:g}"),
            ("Batch size", str(train.batch_size)),
            ("Precision", train.precision),
            ("Dropout", f"{model.dropout:g}"),
            ("Augmentation", "yes" if self.recipe.augments else "no"),
            ("Filters", ", ".join(map(str, model.filters))),
            ("Pooling after block", ", ".join(map(str, model.pool_after)) or "no block"),
        ]

    @property
    def notes(self) -> list[str]:
        """What must be known to read its numbers."""
        notes, recipe = [], self.recipe
        done, tested = len(self.measured.history), self.measured.evaluation.epochs
        if recipe.data.dataset != "cifar10":
            notes.append(
                f"These are numbers of the data set “{self.measured.dataset}”, not CIFAR-10 "
                "numbers. Nothing that the study reported can be compared with them."
            )
        elif changes := changes_from_shipped(recipe):
            notes.append(
                f"The study reported its figures for recipe “{recipe.name}”, but this run was "
                f"trained with other settings: {'; '.join(changes)}."
            )
        if not done and (source := self.measured.run.converted_from) is not None:
            notes.append(
                f"There are no curves: the weights were converted from “{shorten(source)}”, and "
                "that file says nothing about their training."
            )
        elif done < recipe.train.epochs:
            notes.append(
                f"This run is not finished: {done} of {recipe.train.epochs} epochs are done."
            )
        if done != tested:
            notes.append(f"The figures were measured after {counted(tested, 'epoch')}.")
        return notes

    @property
    def figures(self) -> list[Figure]:
        found, test = self.measured.evaluation, self.test
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

    @property
    def diagnosis(self) -> list[str]:
        """What a teacher would notice."""
        return [visible(found.message) for found in self.measured.evaluation.diagnosis]

    @cached_property
    def charts(self) -> list[Chart]:
        """Loss and accuracy over epochs; none without a history."""
        history = self.measured.history
        if not len(history):
            return []
        best, reported = history.best_epoch, self.measured.evaluation.reported.best_val_loss
        losses = _pair(history.loss, history.val_loss)
        accuracies = _pair(history.accuracy, history.val_accuracy)
        return [
            Chart(f"{self.id}-loss", "Loss", LOSS, losses, best, reported),
            Chart(f"{self.id}-accuracy", "Accuracy", ACCURACY, accuracies, best),
        ]

    @cached_property
    def matrix(self) -> list[list[int]] | None:
        """How strong the color of each cell of the confusion is, in percent; None of too many."""
        confusion = np.array(self.test.confusion)
        if len(confusion) > MOST_CLASSES:
            return None
        shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
        # Letters stand out from up to 70 %. The root shows the few that are wrong beside the many
        # that are right.
        is_right = np.eye(len(confusion), dtype=bool)
        mixes = 100 * np.where(is_right, shares, np.sqrt(shares)) * 0.7
        return mixes.round().astype(int).tolist()

    @property
    def confusions(self) -> list[tuple[str, str, int, float]]:
        """The most frequent errors: class, what it is called, how many, what share of the class."""
        names, confusion = self.measured.class_names, np.array(self.test.confusion)
        wrong = confusion * (1 - np.eye(len(names), dtype=int))
        order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
        return [
            (names[row], names[column], int(wrong[row, column]), share)
            for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
            if (share := float(wrong[row, column] / max(1, confusion[row].sum())))
        ]

    def for_script(self) -> dict[str, object]:
        return {
            "names": self.measured.class_names,
            "cells": self.pictures.cells if self.pictures else {},
            "sheet": self.pictures and self.pictures.sheet,
        }


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


def _figure(
    title: str, quantity: Quantity, value: float | None, reported: float | None, remark: str = ""
) -> Figure:
    written = quantity.write(value)
    if value is None or reported is None:
        return Figure(title, written, remark)
    difference = value - reported
    if quantity.unit is Unit.EPOCH:
        return Figure(title, written, remark, quantity.write(reported), f"{difference:+.0f}")
    if quantity.unit is Unit.SHARE:
        told = f"{100 * reported:.4g} %"  # no more digits than a report has
        return Figure(title, written, remark, told, f"{points(difference)} points")
    return Figure(title, written, remark, quantity.write(reported), f"{difference:+.3f}")


def _pair(training: tuple[float, ...], validation: tuple[float, ...]) -> list[Series]:
    return [Series("training", training, "quiet"), Series("validation", validation)]
