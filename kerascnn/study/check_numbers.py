"""Checks of claims that are numbers, differences of numbers, or the order of numbers."""

from __future__ import annotations

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
from kerascnn.records.study import Verdict
from kerascnn.study.evidence import Check, Evidence
from kerascnn.study.finding import Finding, seeds
from kerascnn.study.results import class_scale

# Test accuracy of one recipe less that of another.
GAIN = Quantity("gain", Unit.SHARE_DIFFERENCE)
# Half of the last digit that the study gives; the gap is a difference of two such numbers.
ROUNDING = {Unit.LOSS: 0.0005, Unit.LOSS_DIFFERENCE: 0.001, Unit.SHARE: 0.005}
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


def number(recipe: str, quantity: Quantity, reported: float) -> Check:
    """A check that a reported number is one that these runs could have given, too."""

    def find(evidence: Evidence) -> Finding:
        values = evidence.values(recipe, quantity)
        mean, margin = evidence.mean(recipe, quantity), evidence.margin(recipe, quantity)
        said = f"Measured {_measured(quantity, values)}, reported {_told(quantity, reported)}."
        if quantity == GAP:
            said += " Both are validation loss less training loss at the end."
        if quantity == ACCURACY and evidence.runs(recipe)[0].epoch is not None:
            text = (
                f"{said} This is accuracy on the validation images, because only the model of the "
                "best epoch saw the test images."
            )
            return Finding(Verdict.UNCHECKABLE, text, reported, mean)
        if margin is None:
            return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}", reported, mean)
        reach, apart = margin + ROUNDING[quantity.unit], abs(mean - reported)
        verdict = Verdict.FAILS
        if apart <= reach:
            is_telling = margin <= TELLING.get(quantity, TELLING_OF_CLASS)
            verdict = Verdict.HOLDS if is_telling else Verdict.UNTOLD
        text = (
            f"{said} One more run may lie {_width(quantity, reach)} off by chance and rounding."
            f"{_how_close(apart, reach)}"
        )
        return Finding(verdict, text, reported, mean)

    return Check((recipe,), find, quantity)


def best_epoch(recipe: str, reported: float) -> Check:
    """A check that validation loss at the reported epoch is as low as the lowest, but for noise."""

    def find(evidence: Evidence) -> Finding:
        runs, values = evidence.runs(recipe), evidence.values(recipe, BEST_EPOCH)
        ranges = [_lowest_epochs(run.history.val_loss) for run in runs]
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        verdict = Verdict.HOLDS if low <= reported <= high else Verdict.FAILS
        if verdict == Verdict.HOLDS and high - low > max(5, 0.2 * runs[0].metrics.epochs):
            verdict = Verdict.UNTOLD
        text = (
            f"Measured {_measured(BEST_EPOCH, values)}, reported {BEST_EPOCH.write(reported)}. "
            "By the noise of validation loss from epoch to epoch, the best could be any epoch from "
            f"{low} to {high}."
        )
        return Finding(verdict, text, reported, evidence.mean(recipe, BEST_EPOCH))

    return Check((recipe,), find, BEST_EPOCH)


def gain(before: str, after: str, reported: float) -> Check:
    """A check of a reported gain in test accuracy from one recipe to another."""

    def find(evidence: Evidence) -> Finding:
        gained = evidence.mean(after, ACCURACY) - evidence.mean(before, ACCURACY)
        margin = evidence.difference_margin(before, after)
        said = f"The gain is {points(gained)} points, reported {points(reported, 0)} points."
        return _judge_gain(gained, reported, margin, said)

    return Check((before, after), find, GAIN)


def class_gain(before: str, after: str, name: str, reported: float) -> Check:
    """A check of a reported gain in the test accuracy of one class."""
    quantity = class_accuracy(name)

    def find(evidence: Evidence) -> Finding:
        means = [evidence.mean(recipe, quantity) for recipe in (before, after)]
        margins = [evidence.margin(recipe, quantity) for recipe in (before, after)]
        said = (
            f"It goes from {percent(means[0])} to {percent(means[1])}, reported "
            f"{points(reported, 0)} points."
        )
        margin = None if None in margins else math.hypot(*margins)
        return _judge_gain(means[1] - means[0], reported, margin, said)

    return Check((before, after), find, GAIN)


def equal(one: str, other: str, tolerance: float) -> Check:
    """A check that two recipes reach the same test accuracy, within a tolerance."""

    def find(evidence: Evidence) -> Finding:
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

    return Check((one, other), find, GAIN)


def strongest(recipe: str, names: tuple[str, ...]) -> Check:
    """A check that these classes have the highest test accuracy."""
    return _extreme(recipe, names, -1)


def weakest(recipe: str, names: tuple[str, ...]) -> Check:
    """A check that these classes have the lowest test accuracy."""
    return _extreme(recipe, names, 1)


def reach_of_noise(val_loss: Sequence[float]) -> float:
    """How far two epochs of a validation loss may lie apart by noise, 95 %."""
    return 1.96 * math.sqrt(2) * (metrics.epoch_noise(val_loss) or 0.0)


def _judge_gain(gained: float, reported: float, margin: float | None, said: str) -> Finding:
    if margin is None:
        return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}", reported, gained)
    # The gain is a difference of two numbers, both rounded.
    reach, apart = margin + 2 * ROUNDING[Unit.SHARE], abs(gained - reported)
    verdict = Verdict.FAILS
    if apart <= reach:
        # Else no gain at all would lie as near.
        verdict = Verdict.HOLDS if margin <= abs(reported) / 2 else Verdict.UNTOLD
    text = (
        f"{said} One more pair of runs may lie {_width(GAIN, reach)} off by chance and rounding."
        f"{_how_close(apart, reach)}"
    )
    return Finding(verdict, text, reported, gained)


def _extreme(recipe: str, names: tuple[str, ...], sign: int) -> Check:
    def find(evidence: Evidence) -> Finding:
        accuracies = _class_means(evidence, recipe)
        order = sorted(accuracies, key=lambda name: sign * accuracies[name])
        listed = ", ".join(
            f"{name} {percent(accuracies[name])}" for name in order[: len(names) + 1]
        )
        end, count = "highest" if sign < 0 else "lowest", len(evidence.runs(recipe))
        said = f"The {end} are {listed} ({seeds(count)})."
        draws = _draw_class_accuracies(evidence, recipe, accuracies)
        if draws is None:
            return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}")
        named = [list(accuracies).index(name) for name in names]
        return _judge_extreme(sign * draws, named, said)

    return Check((recipe,), find)


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


def _class_means(evidence: Evidence, recipe: str) -> dict[str, float]:
    names = evidence.runs(recipe)[0].class_accuracies()
    return {name: evidence.mean(recipe, class_accuracy(name)) for name in names}


def _draw_class_accuracies(
    evidence: Evidence, recipe: str, accuracies: dict[str, float]
) -> np.ndarray | None:
    """Accuracies of the classes with a new seed and images, (draws, classes); always the same."""
    spread = evidence.spread(class_accuracy(next(iter(accuracies))))
    if spread is None:
        return None
    rows = evidence.runs(recipe)[0].metrics.test.per_class
    counts = [row.count for row in rows if row.count]
    means = np.array(list(accuracies.values()))
    random = np.random.default_rng(0)
    shape = (NUM_DRAWS, len(means))
    scales = np.array([class_scale(mean) for mean in means])
    of_seeds = scales * spread.sd * math.sqrt(1 + 1 / len(evidence.runs(recipe)))
    of_images = np.sqrt(means * (1 - means) / np.array(counts))
    return (
        means
        + of_seeds * random.standard_t(spread.df, shape)
        + of_images * random.standard_normal(shape)
    )


def _lowest_epochs(val_loss: Sequence[float]) -> tuple[int, int]:
    """First and last epoch that could be the best, but for noise from epoch to epoch."""
    near = min(val_loss) + reach_of_noise(val_loss)
    epochs = [epoch for epoch, loss in enumerate(val_loss, 1) if loss <= near]
    return epochs[0], epochs[-1]


def _measured(quantity: Quantity, values: list[float]) -> str:
    mean = quantity.write(math.fsum(values) / len(values))
    if len(values) == 1:
        return f"{mean} (1 seed)"
    low, high = quantity.write(min(values)), quantity.write(max(values))
    return f"{mean} ({low} to {high}, {len(values)} seeds)"


def _told(quantity: Quantity, reported: float) -> str:
    """With as many digits as the study gives."""
    return percent(reported, 0) if quantity.unit is Unit.SHARE else quantity.write(reported)


def _how_close(apart: float, bound: float) -> str:
    return " This is a close call." if abs(apart - bound) < CLOSE * bound else ""


def _width(quantity: Quantity, margin: float) -> str:
    is_loss = quantity.unit in (Unit.LOSS, Unit.LOSS_DIFFERENCE)
    return f"{margin:.3f}" if is_loss else f"{100 * margin:.1f} points"
