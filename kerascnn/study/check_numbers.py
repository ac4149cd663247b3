"""Checks of claims that are numbers, differences of numbers, or the order of numbers."""

import math
from collections.abc import Sequence

import numpy as np

from kerascnn.evaluation import metrics
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    GAP,
    TRAIN_LOSS,
    Quantity,
    Unit,
    class_accuracy,
    percent,
    points,
)
from kerascnn.records.study import NamedQuantity, Verdict
from kerascnn.show.words import counted
from kerascnn.study.evidence import Evidence
from kerascnn.study.finding import Finding
from kerascnn.study.results import class_scale

# Test accuracy of one recipe less that of another.
GAIN = Quantity("gain", Unit.SHARE_DIFFERENCE)
# Half of the last digit that the study gives; a difference is one of two such numbers.
ROUNDING = {
    Unit.LOSS: 0.0005,
    Unit.LOSS_DIFFERENCE: 0.001,
    Unit.SHARE: 0.005,
    Unit.SHARE_DIFFERENCE: 0.01,
}
# Where chance alone reaches further than this, that a number fits says nothing: half of what the
# study makes much of, 0.08 in loss, 3 points in accuracy, 10 points in that of a class.
TELLING = {BEST_VAL_LOSS: 0.04, TRAIN_LOSS: 0.04, GAP: 0.04, ACCURACY: 0.015}
TELLING_OF_CLASS = 0.05
# Nearer to where the verdict turns than this share of the reach, it is called close.
CLOSE = 0.05
# A statement of order holds, or does not, from this probability on.
SURE = 0.95
NUM_DRAWS = 20_000
UNKNOWN_SPREAD = (
    "How far seeds lie apart is not known, because no recipe that learns was run with two seeds."
)


def number(evidence: Evidence, recipe: str, *, quantity: NamedQuantity, reported: float) -> Finding:
    """Whether a reported number is one that these runs could have given, too."""
    mean = evidence.mean(recipe, quantity)
    # With as many digits as the study gives.
    told = percent(reported, 0) if quantity.unit is Unit.SHARE else quantity.write(reported)
    said = f"Measured {_measured(evidence, recipe, quantity)}, reported {told}."
    if quantity == GAP:
        said += " Both are validation loss less training loss at the end."
    if quantity == ACCURACY and evidence.runs(recipe)[0].epoch is not None:
        text = (
            f"{said} This is accuracy on the validation images, because only the model of the "
            "best epoch saw the test images."
        )
        return Finding(Verdict.UNCHECKABLE, text, reported, mean)
    return _compare(quantity, mean, reported, evidence.margin(recipe, quantity), said)


def best_epoch(evidence: Evidence, recipe: str, *, reported: float) -> Finding:
    """Whether validation loss at the reported epoch is as low as the lowest, but for noise."""
    runs = evidence.runs(recipe)
    could_be = [epoch for run in runs for epoch in _lowest_epochs(run.history.val_loss)]
    low, high = min(could_be), max(could_be)
    verdict = Verdict.HOLDS if low <= reported <= high else Verdict.FAILS
    if verdict == Verdict.HOLDS and high - low > max(5, 0.2 * runs[0].metrics.epochs):
        verdict = Verdict.UNTOLD
    text = (
        f"Measured {_measured(evidence, recipe, BEST_EPOCH)}, reported "
        f"{BEST_EPOCH.write(reported)}. By the noise of validation loss from epoch to epoch, the "
        f"best could be any epoch from {low} to {high}."
    )
    return Finding(verdict, text, reported, evidence.mean(recipe, BEST_EPOCH))


def gain(evidence: Evidence, before: str, after: str, *, reported: float) -> Finding:
    """Whether test accuracy gains as much as reported from one recipe to another."""
    gained = evidence.mean(after, ACCURACY) - evidence.mean(before, ACCURACY)
    margin = evidence.difference_margin(before, after)
    said = f"The gain is {points(gained)} points, reported {points(reported, 0)} points."
    return _compare(GAIN, gained, reported, margin, said)


def class_gain(
    evidence: Evidence, before: str, after: str, *, class_name: str, reported: float
) -> Finding:
    """Whether the test accuracy of one class gains as much as reported."""
    quantity = class_accuracy(class_name)
    low, high = (evidence.mean(recipe, quantity) for recipe in (before, after))
    margins = [evidence.margin(recipe, quantity) for recipe in (before, after)]
    margin = None if None in margins else math.hypot(*margins)
    said = f"It goes from {percent(low)} to {percent(high)}, reported {points(reported, 0)} points."
    return _compare(GAIN, high - low, reported, margin, said)


def equal(evidence: Evidence, one: str, other: str, *, tolerance: float) -> Finding:
    """Whether two recipes reach the same test accuracy, within a tolerance."""
    difference = evidence.mean(other, ACCURACY) - evidence.mean(one, ACCURACY)
    margin = evidence.difference_margin(one, other, math.inf)
    said = f"The accuracy of {other} less that of {one} is {points(difference)} points"
    if margin is None:
        return Finding(Verdict.UNTOLD, f"{said}. {UNKNOWN_SPREAD}", 0.0, difference)
    verdict = Verdict.UNTOLD
    if abs(difference) + margin <= tolerance:
        verdict = Verdict.HOLDS
    elif abs(difference) - margin > tolerance:
        verdict = Verdict.FAILS
    text = (
        f"{said}, give or take {_width(GAIN, margin)} (95 %). It is a match where all of "
        f"this lies within {_width(GAIN, tolerance)}."
        f"{_how_close(abs(difference) + margin, tolerance)}"
    )
    return Finding(verdict, text, 0.0, difference)


def strongest(evidence: Evidence, recipe: str, *, classes: tuple[str, ...]) -> Finding:
    """Whether these classes have the highest test accuracy."""
    return _extreme(evidence, recipe, classes, -1)


def weakest(evidence: Evidence, recipe: str, *, classes: tuple[str, ...]) -> Finding:
    """Whether these classes have the lowest test accuracy."""
    return _extreme(evidence, recipe, classes, 1)


def reach_of_noise(val_loss: Sequence[float]) -> float:
    """How far two epochs of a validation loss may lie apart by noise, 95 %."""
    return 1.96 * math.sqrt(2) * (metrics.epoch_noise(val_loss) or 0.0)


def _compare(
    quantity: Quantity, measured: float, reported: float, margin: float | None, said: str
) -> Finding:
    """Whether a reported number lies no further off than another measurement may."""
    if margin is None:
        return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}", reported, measured)
    another, telling = "run", TELLING.get(quantity, TELLING_OF_CLASS)
    if quantity == GAIN:  # where chance reaches half of it, no gain at all would be as near
        another, telling = "pair of runs", abs(reported) / 2
    reach, apart = margin + ROUNDING[quantity.unit], abs(measured - reported)
    verdict = Verdict.FAILS
    if apart <= reach:
        verdict = Verdict.HOLDS if margin <= telling else Verdict.UNTOLD
    text = (
        f"{said} One more {another} may lie {_width(quantity, reach)} off by chance and rounding."
        f"{_how_close(apart, reach)}"
    )
    return Finding(verdict, text, reported, measured)


def _extreme(evidence: Evidence, recipe: str, named: tuple[str, ...], sign: int) -> Finding:
    runs = evidence.runs(recipe)
    classes = runs[0].class_accuracies
    means = {name: evidence.mean(recipe, class_accuracy(name)) for name in classes}
    order = sorted(means, key=lambda name: sign * means[name])[: len(named) + 1]
    listed = ", ".join(f"{name} {percent(means[name])}" for name in order)
    end = "highest" if sign < 0 else "lowest"
    said = f"The {end} are {listed} ({counted(len(runs), 'seed')})."
    draws = _draw_class_accuracies(evidence, recipe, means)
    if draws is None:
        return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}")
    return _judge_extreme(sign * draws, [list(means).index(name) for name in named], said)


def _judge_extreme(draws: np.ndarray, named: list[int], said: str) -> Finding:
    """Whether the named columns are the lowest ones of the draws."""
    places = np.argsort(draws, axis=1)[:, : len(named)]
    in_order = float((places == named).all(axis=1).mean())
    as_set = float((np.sort(places, axis=1) == np.sort(named)).all(axis=1).mean())
    others = [column for column in range(draws.shape[1]) if column not in named]
    beaten = max((draws[:, n] > draws[:, o]).mean() for n in named for o in others)
    # One pair of many seems beaten by chance sooner than a single one.
    surely_beaten = beaten >= 1 - (1 - SURE) / (len(named) * len(others))
    verdict = Verdict.FAILS if surely_beaten else Verdict.UNTOLD
    if as_set >= SURE:
        verdict = Verdict.HOLDS
    text = (
        f"{said} With another seed and other test images, the statement would be true in "
        f"{percent(as_set, 0)} of cases"
    )
    if len(named) > 1:
        text += f", and in the order named in {percent(in_order, 0)}"
    return Finding(verdict, f"{text}.")


def _draw_class_accuracies(
    evidence: Evidence, recipe: str, accuracies: dict[str, float]
) -> np.ndarray | None:
    """Accuracies of the classes with a new seed and images, (draws, classes); always the same."""
    spread = evidence.spread(class_accuracy(next(iter(accuracies))))
    if spread is None:
        return None
    runs, means = evidence.runs(recipe), np.array(list(accuracies.values()))
    counts = np.array([row.count for row in runs[0].metrics.test.per_class if row.count])
    random, shape = np.random.default_rng(0), (NUM_DRAWS, len(means))
    sds = np.array(list(map(class_scale, means))) * spread.sd
    of_seeds = sds * math.sqrt(1 + 1 / len(runs)) * random.standard_t(spread.df, shape)
    of_images = np.sqrt(means * (1 - means) / counts) * random.standard_normal(shape)
    return means + of_seeds + of_images


def _lowest_epochs(val_loss: Sequence[float]) -> list[int]:
    """The epochs that could be the best, but for noise from epoch to epoch."""
    near = min(val_loss) + reach_of_noise(val_loss)
    return [epoch for epoch, loss in enumerate(val_loss, 1) if loss <= near]


def _measured(evidence: Evidence, recipe: str, quantity: Quantity) -> str:
    values = evidence.values(recipe, quantity)
    mean = quantity.write(evidence.mean(recipe, quantity))
    if len(values) == 1:
        return f"{mean} (1 seed)"
    low, high = quantity.write(min(values)), quantity.write(max(values))
    return f"{mean} ({low} to {high}, {len(values)} seeds)"


def _how_close(apart: float, bound: float) -> str:
    return " This is a close call." if abs(apart - bound) < CLOSE * bound else ""


def _width(quantity: Quantity, margin: float) -> str:
    is_loss = quantity.unit in (Unit.LOSS, Unit.LOSS_DIFFERENCE)
    return f"{margin:.3f}" if is_loss else f"{100 * margin:.1f} points"
