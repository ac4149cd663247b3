"""An evaluated run, read once and checked: what its files say, with names that can be shown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation.metrics import confusion_matrix
from kerascnn.recipe import Recipe
from kerascnn.records.run import Evaluation, History
from kerascnn.run import Run
from kerascnn.show.words import visible

# Longer names of classes, runs and files are cut.
MOST_LETTERS = 60
# With more classes, a matrix of them is no longer looked at; its largest cells are.
MOST_CLASSES = 24


@dataclass(frozen=True)
class Measured:
    """An evaluated run."""

    run: Run
    identity: str  # names it in the page's addresses
    recipe: Recipe
    history: History  # of no epoch where weights were converted
    evaluation: Evaluation  # with short names of classes
    labels: np.ndarray  # int (num_images,)
    predictions: np.ndarray  # int (num_images,)
    probabilities: np.ndarray  # float (num_images, num_classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each label, without what would turn the direction of writing."""
        return self.evaluation.class_names

    @property
    def dataset(self) -> str:
        """Name of the data set; of a folder only the last part of its path."""
        return shorten(re.split(r"[/\\]", self.recipe.data.dataset.rstrip("/\\"))[-1])


def read_measured(run: Run, identity: str) -> Measured:
    """Read a run; a RunError says so where its files are not there, or do not fit together."""
    recipe = run.recipe
    if not run.is_evaluated:
        raise RunError(_why_not_evaluated(run))
    evaluation, arrays = run.read_metrics(), run.read_predictions()
    if not _fit_together(evaluation, **arrays):
        raise RunError(
            f"The predictions of run '{run.name}' do not fit its metrics; "
            f"`kerascnn evaluate {run.path}` writes both anew."
        )
    history, short = run.read_history(), _with_short_names(evaluation)
    return Measured(run, identity, recipe, history, short, **arrays)


def shorten(name: str) -> str:
    """A name from outside, in one line, not too long, without what turns the way of writing."""
    plain = visible(name)
    return plain if len(plain) <= MOST_LETTERS else plain[: MOST_LETTERS - 1] + "…"


def identify(runs: Sequence[Run]) -> list[str]:
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
    told = f"Run '{run.name}' cannot be shown: it was not evaluated yet ({run.status})."
    if "epochs" in run.status:
        return f"{told} `kerascnn resume {run.path}` trains it to the end and evaluates it."
    return f"{told} `kerascnn evaluate {run.path}` does it."


def _fit_together(
    evaluation: Evaluation, labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray
) -> bool:
    count = len(evaluation.class_names)
    if labels.ndim != 1 or not len(labels) or predictions.shape != labels.shape:
        return False
    if probabilities.shape != (len(labels), count) or not np.isfinite(probabilities).all():
        return False
    both = np.concatenate([labels, predictions])
    if both.dtype.kind not in "iu" or both.min() < 0 or both.max() >= count:
        return False
    found = confusion_matrix(labels, predictions, count)
    return tuple(map(tuple, found.tolist())) == evaluation.test.confusion


def _with_short_names(evaluation: Evaluation) -> Evaluation:
    test = evaluation.test
    rows = [row.model_copy(update={"name": shorten(row.name)}) for row in test.per_class]
    short = test.model_copy(update={"per_class": tuple(rows)})
    return evaluation.model_copy(update={"test": short})
