"""What numbers say about a classifier: accuracy, intervals, confusion, comparison, diagnosis.

Arrays in, numbers out. `labels` and `predictions` are integers (num_images,); accuracies are
fractions from 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
    cells = np.bincount(
        labels.astype("int64") * num_classes + predictions, minlength=num_classes**2
    )
    return cells.reshape(num_classes, num_classes)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share by Wilson's score (Wilson 1927); (0, 1) where there are no trials."""
    if not trials:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(int(successes), int(trials)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def per_class(confusion: np.ndarray) -> list[dict[str, float | None]]:
    """For each class: `accuracy` (recall), its 95 % Wilson interval `low` to `high`, and `count`.

    The accuracy of a class without images is None.
    """
    rows = []
    for index, row in enumerate(confusion):
        right, count = int(row[index]), int(row.sum())
        low, high = wilson_interval(right, count)
        share = right / count if count else None
        rows.append({"accuracy": share, "low": low, "high": high, "count": count})
    return rows


def compare_paired(
    labels: np.ndarray, predictions_a: np.ndarray, predictions_b: np.ndarray
) -> dict[str, float | None]:
    """Whether two classifiers differ on the same images: McNemar's exact test (McNemar 1947).

    Returns:
        `difference` (accuracy of b less that of a; None where there are no images), `only_a` and
        `only_b` (images that only one has right) and `p_value`, two-sided: how often chance alone
        divides those images as unevenly.
    """
    right_a, right_b = predictions_a == labels, predictions_b == labels
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    difference = (only_b - only_a) / len(labels) if len(labels) else None
    return {
        "difference": difference,
        "only_a": only_a,
        "only_b": only_b,
        "p_value": _sign_test(only_a, only_b),
    }


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted for being many, by Holm's step-down method (Holm 1979), in their order."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = np.empty(len(p_values)), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, highest)
    return adjusted.tolist()


def describe_seeds(values: list[float]) -> dict[str, float | int | None]:
    """`mean`, `sd` (None for one value), `low`, `high` and `num_seeds` of a value a seed.

    Where there are no values, all are None but `num_seeds`.
    """
    if not values:
        return dict.fromkeys(("mean", "sd", "low", "high")) | {"num_seeds": 0}
    return {
        "mean": math.fsum(values) / len(values),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "low": min(values),
        "high": max(values),
        "num_seeds": len(values),
    }


@dataclass(frozen=True)
class Spread:
    """Standard deviation between runs that differ in their seed alone.

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

        factor = math.sqrt(1 / num_runs + 1 / num_new)
        return float(t.ppf(0.975, self.df)) * self.sd * factor


def pooled_spread(groups: list[list[float]]) -> Spread | None:
    """Spread within groups of values, each of one kind; None where none has two."""
    groups = [np.array(group) for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in groups)
    if not df:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Spread(math.sqrt(squares / df), df)


def epoch_noise(losses: list[float]) -> float | None:
    """Standard deviation of one epoch's loss around its trend; None for fewer than 5 epochs.

    From second differences over the later half, which a straight trend does not touch; of
    independent noise they have six times its variance.
    """
    later = np.array(losses[len(losses) // 2 :] if len(losses) >= 10 else losses)
    if len(later) < 5:
        return None
    second = np.diff(later, 2)
    return float(np.sqrt(np.mean(second**2) / 6))


def trend_after_lowest(losses: list[float]) -> tuple[float, float, int] | None:
    """Whether a curve turns up: its trend after its lowest stretch, see `trend`.

    The lowest stretch, of the lowest mean of three epochs, does not count itself: it was chosen for
    being low, and with it any noise would seem to rise.
    """
    if len(losses) < 3:
        return None
    return trend(losses[int(np.convolve(losses, np.ones(3) / 3, mode="valid").argmin()) + 3 :])


def trend(losses: list[float]) -> tuple[float, float, int] | None:
    """Least-squares slope an epoch, its standard error and degrees of freedom.

    None for fewer than four epochs.
    """
    from scipy.stats import linregress

    if len(losses) < 4:
        return None
    line = linregress(np.arange(len(losses)), losses)
    return float(line.slope), float(line.stderr), len(losses) - 2


def mean_trend(trends: list[tuple[float, float, int]]) -> tuple[float, float]:
    """Mean slope of several curves, and half the width of its 95 % interval, by Student's t."""
    from scipy.stats import t

    slope = math.fsum(each[0] for each in trends) / len(trends)
    error = math.sqrt(math.fsum(each[1] ** 2 for each in trends)) / len(trends)
    return slope, float(t.ppf(0.975, sum(each[2] for each in trends))) * error


def collapsed_class(confusion: np.ndarray) -> int | None:
    """The class that nearly all predictions name, if one does."""
    predicted = confusion.sum(axis=0)
    share = predicted.max() / max(1, predicted.sum())
    return int(predicted.argmax()) if len(predicted) > 1 and share >= COLLAPSED_SHARE else None


def best_epoch(val_loss: list[float]) -> int:
    """Epoch of the lowest validation loss, counted from 1; the first of several."""
    return int(np.argmin(val_loss)) + 1


def last_epochs(epochs: int) -> int:
    """How many epochs count as the end of a run."""
    return max(1, round(epochs * LAST_SHARE))


def diagnose(
    history: dict[str, list[float]], confusion: np.ndarray, class_names: list[str]
) -> list[dict[str, object]]:
    """What a teacher would notice; each finding has a `kind` and a `message`.

    Kinds: `collapsed` (with `class`), `overfitting` (with `since_epoch` and `gap`),
    `still_improving` (with `best_epoch`). An empty history tells nothing of the last two.
    """
    collapsed = _diagnose_collapse(confusion, class_names)
    if collapsed:
        return [collapsed]
    if not history["val_loss"]:
        return []
    found = _diagnose_overfitting(history) or _diagnose_unfinished(history)
    return [found] if found else []


def _sign_test(one: int, other: int) -> float:
    if not one + other:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue)


def _diagnose_collapse(confusion: np.ndarray, class_names: list[str]) -> dict[str, object] | None:
    collapsed = collapsed_class(confusion)
    if collapsed is None:
        return None
    name, share = class_names[collapsed], confusion[:, collapsed].sum() / confusion.sum()
    message = f"collapsed: {share:.1%} of the images are called {name}, whatever they show"
    return {"kind": "collapsed", "class": name, "share": float(share), "message": message}


def _diagnose_overfitting(history: dict[str, list[float]]) -> dict[str, object] | None:
    val_loss, loss = history["val_loss"], history["loss"]
    best = best_epoch(val_loss)
    # One epoch's validation loss is noisy; so are losses under dropout and augmentation, which may
    # lie above validation's to the end.
    ending = float(np.median(val_loss[-last_epochs(len(val_loss)) :]))
    lowest, gap = val_loss[best - 1], ending - loss[-1]
    has_risen = ending > lowest * (1 + OVERFITTING_MARGIN)
    if not has_risen or gap <= 0 or loss[-1] >= loss[best - 1]:
        return None
    message = (
        f"overfitting since epoch {best}: validation loss rose from {lowest:.3f} to {ending:.3f} "
        f"while training loss fell to {loss[-1]:.3f} (gap {gap:.3f})"
    )
    return {"kind": "overfitting", "since_epoch": best, "gap": gap, "message": message}


def _diagnose_unfinished(history: dict[str, list[float]]) -> dict[str, object] | None:
    epochs = len(history["val_loss"])
    best = best_epoch(history["val_loss"])
    if best <= epochs - last_epochs(epochs):
        return None
    message = f"still improving at the end: epoch {best} of {epochs} is the best; try more epochs"
    return {"kind": "still_improving", "best_epoch": best, "message": message}
