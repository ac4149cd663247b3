"""What numbers say about a classifier: accuracy, intervals, confusion, comparison, diagnosis.

Arrays in, numbers out. `labels` and `predictions` are integers (num_images,); accuracies are
fractions from 0 to 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerascnn.records.run import (
    ClassAccuracy,
    Collapse,
    Diagnosis,
    History,
    Overfitting,
    SeedSummary,
    StillImproving,
)

# A classifier that gives one class this share of its predictions has collapsed.
COLLAPSED_SHARE = 0.99
# Overfitting is called so where validation loss at the end lies this much above its best.
OVERFITTING_MARGIN = 0.05
# The end of a run is this last share of its epochs. Still improving: the best epoch lies there.
LAST_SHARE = 0.1


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float | None:
    """Share of predictions that are right; None where there are no images."""
    return float(np.mean(labels == predictions)) if len(labels) else None


def cross_entropy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -log p(label), natural logarithm, probabilities no lower than 1e-7."""
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.maximum(given, 1e-7), dtype="float64")))


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts, int64 (num_classes, num_classes); rows are true classes, columns predicted ones."""
    pairs = labels.astype("int64") * num_classes + predictions
    cells = np.bincount(pairs, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share by Wilson's score (Wilson 1927); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    from scipy.stats import binomtest

    low, high = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(low), float(high)


def per_class(
    confusion: np.ndarray, class_names: Sequence[str], reported: Mapping[str, float]
) -> tuple[ClassAccuracy, ...]:
    """Accuracy (recall) of each class with its 95 % Wilson interval, beside what was reported.

    Args:
        confusion: see `confusion_matrix`.
        class_names: name of each label.
        reported: from names of classes to fractions; classes may be missing.
    """
    rows = []
    for index, (name, row) in enumerate(zip(class_names, confusion, strict=True)):
        right, count = int(row[index]), int(row.sum())
        low, high = wilson_interval(right, count)
        rows.append(
            ClassAccuracy(
                name=name,
                accuracy=right / count if count else None,
                low=low,
                high=high,
                count=count,
                reported=reported.get(name),
            )
        )
    return tuple(rows)


@dataclass(frozen=True)
class PairedTest:
    """Two classifiers on the same images.

    Attributes:
        difference: accuracy of b less that of a; None where there are no images.
        only_a, only_b: images that only one of them has right.
        p_value: two-sided; how often chance alone divides those images as unevenly.
    """

    difference: float | None
    only_a: int
    only_b: int
    p_value: float


def compare_paired(
    labels: np.ndarray, predictions_a: np.ndarray, predictions_b: np.ndarray
) -> PairedTest:
    """Whether two classifiers differ on the same images: McNemar's exact test (McNemar 1947)."""
    from scipy.stats import binomtest

    right_a, right_b = predictions_a == labels, predictions_b == labels
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    difference = (only_b - only_a) / len(labels) if len(labels) else None
    one_only = only_a + only_b
    p_value = float(binomtest(only_a, one_only).pvalue) if one_only else 1.0
    return PairedTest(difference, only_a, only_b, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being many, by Holm's step-down method (Holm 1979), in their order."""
    order, adjusted = np.argsort(p_values, kind="stable"), np.empty(len(p_values))
    raised = np.sort(p_values) * np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return adjusted.tolist()


def describe_seeds(values: Sequence[float]) -> SeedSummary:
    """Values, one a seed, in short; see `SeedSummary`."""
    if not values:
        return SeedSummary()
    return SeedSummary(
        mean=math.fsum(values) / len(values),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        low=min(values),
        high=max(values),
        num_seeds=len(values),
    )


@dataclass(frozen=True)
class Spread:
    """How far runs that differ in their seed alone lie apart.

    Attributes:
        sd: standard deviation, pooled.
        df: its degrees of freedom, runs less groups.
    """

    sd: float
    df: int

    def margin(self, num_runs: int, num_new: float = 1) -> float:
        """How far the mean of new runs may lie from that of `num_runs`, 95 %, by Student's t.

        Args:
            num_runs: how many were measured.
            num_new: how many are new; `math.inf` for the expectation.
        """
        from scipy.stats import t

        return float(t.ppf(0.975, self.df)) * self.sd * math.sqrt(1 / num_runs + 1 / num_new)


def pooled_spread(groups: Sequence[Sequence[float]]) -> Spread | None:
    """Spread within groups of values, each of one kind; None where none has two."""
    groups = [np.array(group) for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in groups)
    if not df:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Spread(math.sqrt(squares / df), df)


def epoch_noise(losses: Sequence[float]) -> float | None:
    """Standard deviation of one epoch's loss around its trend; None for fewer than 5 epochs.

    From second differences over the later half, which a straight trend does not touch; of
    independent noise they have six times its variance.
    """
    later = np.array(losses[len(losses) // 2 :] if len(losses) >= 10 else losses)
    if len(later) < 5:
        return None
    second = np.diff(later, 2)
    return float(np.sqrt(np.mean(second**2) / 6))


class Trend(NamedTuple):
    """How a curve goes on the whole.

    Attributes:
        slope: least squares, an epoch.
        error: its standard error.
        df: its degrees of freedom.
    """

    slope: float
    error: float
    df: int


def trend_after_lowest(losses: Sequence[float]) -> Trend | None:
    """Whether a curve turns up: its trend after its lowest stretch, see `trend`.

    The lowest stretch, of the lowest mean of three epochs, does not count itself: it was chosen for
    being low, and with it any noise would seem to rise.
    """
    if len(losses) < 3:
        return None
    return trend(losses[int(np.convolve(losses, np.ones(3) / 3, mode="valid").argmin()) + 3 :])


def trend(losses: Sequence[float]) -> Trend | None:
    """The trend of a curve, a loss an epoch; None for fewer than four epochs."""
    from scipy.stats import linregress

    if len(losses) < 4:
        return None
    line = linregress(np.arange(len(losses)), losses)
    return Trend(float(line.slope), float(line.stderr), len(losses) - 2)


def mean_trend(trends: Sequence[Trend]) -> tuple[float, float]:
    """Mean slope of several curves, and half the width of its 95 % interval, by Student's t."""
    from scipy.stats import t

    slope = math.fsum(each.slope for each in trends) / len(trends)
    error = math.sqrt(math.fsum(each.error**2 for each in trends)) / len(trends)
    return slope, float(t.ppf(0.975, sum(each.df for each in trends))) * error


def collapsed_class(confusion: np.ndarray) -> int | None:
    """The class that nearly all predictions name, if one does."""
    predicted = confusion.sum(axis=0)
    share = predicted.max() / max(1, predicted.sum())
    return int(predicted.argmax()) if len(predicted) > 1 and share >= COLLAPSED_SHARE else None


def last_epochs(epochs: int) -> int:
    """How many epochs count as the end of a run."""
    return max(1, round(epochs * LAST_SHARE))


def diagnose(
    history: History, confusion: np.ndarray, class_names: Sequence[str]
) -> tuple[Diagnosis, ...]:
    """What a teacher would notice; an empty history tells nothing of its curves."""
    if collapsed := _diagnose_collapse(confusion, class_names):
        return (collapsed,)
    if not len(history):
        return ()
    found = _diagnose_overfitting(history) or _diagnose_unfinished(history)
    return (found,) if found else ()


def _diagnose_collapse(confusion: np.ndarray, class_names: Sequence[str]) -> Collapse | None:
    collapsed = collapsed_class(confusion)
    if collapsed is None:
        return None
    name, share = class_names[collapsed], confusion[:, collapsed].sum() / confusion.sum()
    message = f"collapsed: {share:.1%} of the images are called {name}, whatever they show"
    return Collapse(class_name=name, share=float(share), message=message)


def _diagnose_overfitting(history: History) -> Overfitting | None:
    # One epoch's validation loss is noisy; so are losses under dropout and augmentation, which may
    # lie above validation's to the end.
    ending = float(np.median(history.val_loss[-last_epochs(len(history)) :]))
    best, lowest = history.best_epoch, history.best_val_loss
    gap = ending - history.train_loss
    has_risen = ending > lowest * (1 + OVERFITTING_MARGIN)
    if not has_risen or gap <= 0 or history.train_loss >= history.loss[best - 1]:
        return None
    message = (
        f"overfitting since epoch {best}: validation loss rose from {lowest:.3f} to {ending:.3f} "
        f"while training loss fell to {history.train_loss:.3f} (gap {gap:.3f})"
    )
    return Overfitting(since_epoch=best, gap=gap, message=message)


def _diagnose_unfinished(history: History) -> StillImproving | None:
    epochs, best = len(history), history.best_epoch
    if best <= epochs - last_epochs(epochs):
        return None
    message = f"still improving at the end: epoch {best} of {epochs} is the best; try more epochs"
    return StillImproving(best_epoch=best, message=message)
