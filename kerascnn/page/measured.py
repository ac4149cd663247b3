"""What a run has to say without its images: figures, classes, confusion, curves, diagnosis."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation import metrics
from kerascnn.page.charts import build_chart
from kerascnn.recipe import Recipe, changes_from_shipped
from kerascnn.records.run import Environment
from kerascnn.run import Run
from kerascnn.show.words import visible

# Longer names of classes, runs and files are cut.
MOST_LETTERS = 60
# With more classes, a matrix of them is no longer looked at; its largest cells are.
MOST_CLASSES = 24
MOST_CONFUSIONS = 40


@dataclass(frozen=True)
class Measured:
    """An evaluated run, read once and checked.

    Attributes:
        run: the run.
        identity: names it in the page's addresses.
        recipe: its resolved recipe.
        history: see `Run.read_history`; empty of converted weights.
        stored: the content of `metrics.json`.
        class_names: name of each label, without what would turn the direction of writing.
        labels, predictions: int (num_images,).
        probabilities: float (num_images, num_classes).
    """

    run: Run
    identity: str
    recipe: Recipe
    history: dict[str, list[float]]
    stored: dict[str, object]
    class_names: tuple[str, ...]
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int64 (num_classes, num_classes); rows are true classes."""
        return metrics.confusion_matrix(self.labels, self.predictions, len(self.class_names))

    @property
    def accuracy(self) -> float:
        """Test accuracy, a fraction."""
        return float(np.mean(self.labels == self.predictions))

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the lowest validation loss, from 1; None without a history."""
        return self.history.best_epoch

    @property
    def dataset(self) -> str:
        """Name of the data set; of a folder only the last part of its path."""
        return shorten(re.split(r"[/\\]", self.recipe.data.dataset.rstrip("/\\"))[-1])

    def reported(self, name: str) -> float | None:
        """What the study reported, None where it did not."""
        return self.stored["reported"].get(name)

    def reported_of_class(self, index: int) -> float | None:
        """What the study reported for a class, None where it did not."""
        return _number(self.stored["test"]["per_class"][index].get("reported"))


def read_measured(run: Run, identity: str) -> Measured:
    """Read an evaluated run.

    Raises:
        RunError: if it was not evaluated, or its files are damaged or do not fit together.
    """
    recipe = run.recipe
    if not run.is_evaluated:
        raise RunError(_why_not_evaluated(run))
    stored, arrays = run.read_metrics(), run.read_predictions()
    names = tuple(shorten(name) for name in stored.class_names)
    if not _fit_together(names, **arrays):
        raise RunError(
            f"The predictions of run '{run.name}' do not fit its metrics; "
            f"`kerascnn evaluate {run.path}` writes both anew."
        )
    return Measured(run, identity, recipe, run.read_history(), stored, names, **arrays)


def shorten(name: str) -> str:
    """A name from outside, in one line, not too long, without what turns the way of writing."""
    plain = visible(name)
    return plain if len(plain) <= MOST_LETTERS else plain[: MOST_LETTERS - 1] + "…"


def describe_run(measured: Measured) -> dict[str, object]:
    """The run as plain data for the page's templates; pictures are added by others."""
    recipe = measured.recipe
    confusion = measured.confusion
    return {
        "id": measured.identity,
        "name": shorten(measured.run.name),
        "recipe": recipe.name,
        "title": visible(recipe.title or recipe.name),
        "dataset": measured.dataset,
        "seed": recipe.train.seed,
        "facts": _facts(measured),
        "settings": _settings(recipe),
        "notes": _notes(measured),
        "figures": _figures(measured),
        "num_images": len(measured.labels),
        "diagnosis": _diagnose(measured, confusion),
        "charts": describe_curves(measured),
        "classes": describe_classes(measured, confusion),
        "matrix": _matrix(measured.class_names, confusion),
        "confusions": _largest_confusions(measured.class_names, confusion),
    }


def describe_curves(measured: Measured) -> list[dict[str, object]]:
    """Charts of loss and accuracy, see `charts.build_chart`; none without a history."""
    history, best = measured.history, measured.best_epoch
    if best is None:
        return []
    charts = []
    for key, title, form, reported in (
        ("loss", "Loss", ".3f", measured.reported("best_val_loss")),
        ("accuracy", "Accuracy", ".1%", None),
    ):
        series = [
            {"name": "training", "values": history[key], "style": "quiet"},
            {"name": "validation", "values": history[f"val_{key}"], "style": "main"},
        ]
        mark = {"series": 1, "epoch": best}
        identity = f"{measured.identity}-{key}"
        charts.append(build_chart(identity, title, series, form, mark, reported))
    return charts


def describe_classes(measured: Measured, confusion: np.ndarray) -> list[dict[str, object]]:
    """For each class `name`, `accuracy`, `low`, `high`, `count`, `reported`, `difference`."""
    names = measured.class_names
    reported = {name: measured.reported_of_class(index) for index, name in enumerate(names)}
    return [
        row.model_dump() | {"difference": _difference(row.accuracy, row.reported)}
        for row in metrics.per_class(confusion, names, reported)
    ]


def identify(runs: list[Run]) -> list[str]:
    """A name for each run that an address takes after `#`, no two alike."""
    names: list[str] = []
    for run in runs:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "-", run.name) or "run"
        count = 1
        while (name := plain if count == 1 else f"{plain}-{count}") in names:
            count += 1
        names.append(name)
    return names


def _why_not_evaluated(run: Run) -> str:
    status = run.status
    command = "resume" if "epochs" in status else "evaluate"
    return (
        f"Run '{run.name}' cannot be shown yet: {status}, not evaluated. "
        f"`kerascnn {command} {run.path}` goes on."
    )


def _fit_together(names, labels, predictions, probabilities) -> bool:
    count = len(names)
    if labels.ndim != 1 or not len(labels) or predictions.shape != labels.shape:
        return False
    if probabilities.shape != (len(labels), count) or not np.isfinite(probabilities).all():
        return False
    both = np.concatenate([labels, predictions])
    return both.dtype.kind in "iu" and both.min() >= 0 and both.max() < count


def _facts(measured: Measured) -> list[str]:
    environment = _environment(measured.run)
    backend, device = environment.backend, environment.device
    facts = [f"seed {measured.recipe.train.seed}", _epochs(len(measured.history["epoch"]))]
    if isinstance(backend, str):
        facts.append(visible(f"{backend} on {device}" if isinstance(device, str) else backend))
    facts += [_date(environment.started), _duration(environment.wall_seconds)]
    return [fact for fact in facts if fact]


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"


def _environment(run: Run) -> Environment:
    # It tells when and where; a page of a run that lost it leaves that out.
    try:
        return run.read_environment()
    except RunError:
        return Environment()


def _date(started: object) -> str:
    try:
        when = datetime.fromisoformat(started)
    except (TypeError, ValueError):
        return ""
    return f"{when.day} {when:%B %Y}"


def _duration(seconds: object) -> str:
    seconds = _number(seconds)
    if not seconds:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _settings(recipe: Recipe) -> list[tuple[str, str]]:
    train, model = recipe.train, recipe.model
    pooled = ", ".join(map(str, model.pool_after)) or "no block"
    return [
        (
            "Optimizer",
            f"{'SGD' if train.optimizer == 'sgd' else 'Adam'}, rate {train.learning_rate:g}",
        ),
        ("Batch size", str(train.batch_size)),
        ("Dropout", f"{model.dropout:g}"),
        ("Augmentation", "yes" if augments(recipe) else "no"),
        ("Filters", ", ".join(map(str, model.filters))),
        ("Pooling after block", pooled),
    ]


def augments(recipe: Recipe) -> bool:
    """Whether a recipe changes its training images at all."""
    return any(recipe.augmentation.model_dump().values())


def _notes(measured: Measured) -> list[str]:
    notes, run = [], measured.run
    done, epochs = len(measured.history["epoch"]), measured.recipe.train.epochs
    if measured.recipe.data.dataset != "cifar10":
        notes.append(
            f"These are numbers of the data set “{measured.dataset}”, not CIFAR-10 numbers; "
            "nothing that was reported compares with them."
        )
    elif changes := changes_from_shipped(measured.recipe):
        notes.append(
            f"This run was not trained as recipe “{measured.recipe.name}” says, of which the "
            f"figures were reported: {'; '.join(changes)}."
        )
    if not done and run.converted_from is not None:
        notes.append(
            f"No curves: the weights were converted from “{shorten(run.converted_from)}”, which "
            "tells nothing of their training."
        )
    elif done < epochs:
        notes.append(f"This run is not finished: {done} of {epochs} epochs are done.")
    return notes


def _figures(measured: Measured) -> list[dict[str, object]]:
    """What is reported beside what was measured; `form` says how values are written."""
    right, total = int(np.sum(measured.labels == measured.predictions)), len(measured.labels)
    low, high = metrics.wilson_interval(right, total)
    figures = [
        _figure(measured, "Test accuracy", "accuracy", measured.accuracy, "percent")
        | {"remark": f"95 %: {100 * low:.1f} – {100 * high:.1f} %"}
    ]
    history, best = measured.history, measured.best_epoch
    if best:
        lowest, count = history["val_loss"][best - 1], len(history["epoch"])
        figures += [
            _figure(measured, "Best validation loss", "best_val_loss", lowest, "loss"),
            _figure(measured, "Best epoch", "best_epoch", best, "count")
            | {"remark": f"of {_epochs(count)}"},
            _figure(
                measured, "Training loss, last epoch", "train_loss", history["loss"][-1], "loss"
            ),
        ]
    loss = metrics.cross_entropy(measured.labels, measured.probabilities)
    return [*figures, _figure(measured, "Test loss", "test_loss", loss, "loss")]


def _figure(measured, title, key, value, form) -> dict[str, object]:
    reported = measured.reported(key)
    difference = _difference(value, reported)
    return {
        "title": title,
        "value": value,
        "form": form,
        "reported": reported,
        "difference": difference,
        "remark": "",
    }


def _difference(value: float | None, reported: float | None) -> float | None:
    return None if value is None or reported is None else value - reported


def _diagnose(measured: Measured, confusion: np.ndarray) -> list[str]:
    found = metrics.diagnose(measured.history, confusion, list(measured.class_names))
    return [finding.message for finding in found]


def _matrix(names: tuple[str, ...], confusion: np.ndarray) -> list[dict[str, object]] | None:
    """Rows of true classes with `cells` of `count`, `mix` (how strong its color is) and `kind`."""
    if len(names) > MOST_CLASSES:
        return None
    rows = []
    for index, counts in enumerate(confusion):
        shares = counts / max(1, counts.sum())
        cells = [
            {
                "column": column,
                "count": int(count),
                # Letters stand out from up to 70 %. The root shows the few that are wrong beside
                # the many that are right.
                "mix": round(float(100 * (share if column == index else math.sqrt(share)) * 0.7)),
                "kind": "hit" if column == index else "miss",
            }
            for column, (count, share) in enumerate(zip(counts, shares, strict=True))
        ]
        rows.append({"name": names[index], "cells": cells})
    return rows


def _largest_confusions(names: tuple[str, ...], confusion: np.ndarray) -> list[dict[str, object]]:
    """The most frequent errors: `row` and `column`, `label`, `prediction`, `count`, `share`."""
    wrong = confusion * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    rows = []
    for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[row, column]:
            share = float(wrong[row, column] / confusion[row].sum())
            pair = {"row": int(row), "column": int(column), "count": int(wrong[row, column])}
            rows.append(pair | {"label": names[row], "prediction": names[column], "share": share})
    return rows


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None
