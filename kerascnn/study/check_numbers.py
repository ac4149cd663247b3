"""Checks of claims that are numbers, differences of numbers, or the order of numbers."""

from __future__ import annotations

import math

import numpy as np

from kerascnn.evaluation import metrics
from kerascnn.study.evidence import Check, Evidence
from kerascnn.study.finding import (
    FAILS,
    HOLDS,
    UNCHECKABLE,
    UNTOLD,
    Finding,
    percent,
    points,
    seeds,
    written,
)
from kerascnn.study.results import class_scale

# Half of the last digit that the study gives.
ROUNDING = {"best_val_loss": 0.0005, "train_loss": 0.0005, "gap": 0.001, "accuracy": 0.005}
# Where chance alone reaches further than this, that a number fits says nothing: half of what the
# study makes much of, 0.08 in loss, 3 points in accuracy, 10 points in that of a class.
TELLING = {"best_val_loss": 0.04, "train_loss": 0.04, "gap": 0.04, "accuracy": 0.015, "class": 0.05}
# Nearer to where the verdict turns than this share of the reach, it is called close.
CLOSE = 0.05
# A statement of order holds, or does not, from this probability on.
SURE = 0.95
NUM_DRAWS = 20_000
UNKNOWN_SPREAD = "how far seeds lie apart is not known, as no recipe that learns was run with two"


def number(recipe: str, quantity: str, reported: float) -> Check:
    """A check that a reported number is one that these runs could have given, too."""

    def check(evidence: Evidence) -> Finding:
        values = evidence.values(recipe, quantity)
        mean, margin = evidence.mean(recipe, quantity), evidence.margin(recipe, quantity)
        said = f"{_measured(quantity, values)}, reported {_as_reported(quantity, reported)}"
        if quantity == "gap":
            said = f"validation less training loss at the end: {said}"
        if quantity == "accuracy" and evidence.runs(recipe)[0].epoch is not None:
            why = "the test images were shown to the best epoch alone"
            text = f"on the validation images {said}; {why}"
            return Finding(UNCHECKABLE, text, reported, mean)
        if margin is None:
            return Finding(UNTOLD, f"{said}; {UNKNOWN_SPREAD}", reported, mean)
        reach, apart = margin + ROUNDING.get(quantity, ROUNDING["accuracy"]), abs(mean - reported)
        verdict = FAILS
        if apart <= reach:
            verdict = HOLDS if margin <= TELLING.get(quantity, TELLING["class"]) else UNTOLD
        text = f"{said}; one run more may lie {_width(quantity, reach)} off by chance and rounding"
        text += _how_close(apart, reach)
        return Finding(verdict, text, reported, mean)

    return check


def best_epoch(recipe: str, reported: float) -> Check:
    """A check that the best epoch is one whose validation loss is as low as the lowest, but for
    noise.
    """

    def check(evidence: Evidence) -> Finding:
        ranges = [_lowest_epochs(run.history["val_loss"]) for run in evidence.runs(recipe)]
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        values = evidence.values(recipe, "best_epoch")
        verdict = HOLDS if low <= reported <= high else FAILS
        if verdict == HOLDS and high - low > max(
            5, 0.2 * evidence.runs(recipe)[0].metrics["epochs"]
        ):
            verdict = UNTOLD
        return Finding(
            verdict,
            f"{_measured('best_epoch', values)}, reported {reported:.0f}; by the noise of "
            f"validation loss from epoch to epoch it could be any from {low} to {high}",
            reported,
            evidence.mean(recipe, "best_epoch"),
        )

    return check


def gain(before: str, after: str, reported: float) -> Check:
    """A check of a reported gain in test accuracy from one recipe to another."""

    def check(evidence: Evidence) -> Finding:
        gained = evidence.mean(after, "accuracy") - evidence.mean(before, "accuracy")
        margin = evidence.difference_margin(before, after)
        said = f"gained {points(gained)}, reported {points(reported, 0)}"
        return _judge_gain(gained, reported, margin, said)

    return check


def class_gain(before: str, after: str, name: str, reported: float) -> Check:
    """A check of a reported gain in the test accuracy of one class."""

    def check(evidence: Evidence) -> Finding:
        quantity = f"class {name}"
        means = [evidence.mean(recipe, quantity) for recipe in (before, after)]
        margins = [evidence.margin(recipe, quantity) for recipe in (before, after)]
        said = f"from {percent(means[0])} to {percent(means[1])}, reported {points(reported, 0)}"
        return _judge_gain(
            means[1] - means[0], reported, None if None in margins else math.hypot(*margins), said
        )

    return check


def equal(one: str, other: str, tolerance: float) -> Check:
    """A check that two recipes reach the same test accuracy, within a tolerance."""

    def check(evidence: Evidence) -> Finding:
        difference = evidence.mean(other, "accuracy") - evidence.mean(one, "accuracy")
        margin = evidence.difference_margin(one, other, math.inf)
        said = f"accuracy of {other} less that of {one}: {points(difference)}"
        if margin is None:
            return Finding(UNTOLD, f"{said}; {UNKNOWN_SPREAD}", 0.0, difference)
        verdict = UNTOLD
        if abs(difference) + margin <= tolerance:
            verdict = HOLDS
        elif abs(difference) - margin > tolerance:
            verdict = FAILS
        return Finding(
            verdict,
            f"{said}, give or take {_width('accuracy', margin)} (95 %); alike would be within "
            f"{_width('accuracy', tolerance)}{_how_close(abs(difference) + margin, tolerance)}",
            0.0,
            difference,
        )

    return check


def strongest(recipe: str, names: tuple[str, ...]) -> Check:
    """A check that these classes have the highest test accuracy."""
    return _extreme(recipe, names, -1)


def weakest(recipe: str, names: tuple[str, ...]) -> Check:
    """A check that these classes have the lowest test accuracy."""
    return _extreme(recipe, names, 1)


def reach_of_noise(val_loss: list[float]) -> float:
    """How far two epochs of a validation loss may lie apart by noise, 95 %."""
    return 1.96 * math.sqrt(2) * (metrics.epoch_noise(val_loss) or 0.0)


def _judge_gain(gained: float, reported: float, margin: float | None, said: str) -> Finding:
    if margin is None:
        return Finding(UNTOLD, f"{said}; {UNKNOWN_SPREAD}", reported, gained)
    reach, apart = margin + 2 * ROUNDING["accuracy"], abs(gained - reported)  # both are rounded
    verdict = FAILS
    if apart <= reach:
        # Else no gain at all would lie as near.
        verdict = HOLDS if margin <= abs(reported) / 2 else UNTOLD
    text = f"{said}; one more pair of runs may lie {_width('accuracy', reach)} off by chance and "
    text += f"rounding{_how_close(apart, reach)}"
    return Finding(verdict, text, reported, gained)


def _extreme(recipe: str, names: tuple[str, ...], sign: int) -> Check:
    def check(evidence: Evidence) -> Finding:
        accuracies = _class_means(evidence, recipe)
        order = sorted(accuracies, key=lambda name: sign * accuracies[name])
        said = ", ".join(f"{name} {percent(accuracies[name])}" for name in order[: len(names) + 1])
        said += f" ({seeds(len(evidence.runs(recipe)))})"
        draws = _draw_class_accuracies(evidence, recipe, accuracies)
        if draws is None:
            return Finding(UNTOLD, f"{said}; {UNKNOWN_SPREAD}")
        named = [list(accuracies).index(name) for name in names]
        return _judge_extreme(sign * draws, named, said)

    return check


def _judge_extreme(draws: np.ndarray, named: list[int], said: str) -> Finding:
    """Whether the named columns are the lowest ones of the draws."""
    places = np.argsort(draws, axis=1)[:, : len(named)]
    in_order = float((places == named).all(axis=1).mean())
    as_set = float((np.sort(places, axis=1) == np.sort(named)).all(axis=1).mean())
    others = [column for column in range(draws.shape[1]) if column not in named]
    beaten = max((draws[:, n] > draws[:, o]).mean() for n in named for o in others)
    # One pair of many seems beaten by chance sooner than a single one.
    surely_beaten = beaten >= 1 - (1 - SURE) / (len(named) * len(others))
    verdict = HOLDS if as_set >= SURE else FAILS if surely_beaten else UNTOLD
    text = f"{said}; with seeds and images drawn anew it is so in {as_set:.0%} of cases"
    if len(named) > 1:
        text += f", in the order named in {in_order:.0%}"
    return Finding(verdict, text)


def _class_means(evidence: Evidence, recipe: str) -> dict[str, float]:
    names = evidence.runs(recipe)[0].class_accuracies()
    return {name: evidence.mean(recipe, f"class {name}") for name in names}


def _draw_class_accuracies(
    evidence: Evidence, recipe: str, accuracies: dict[str, float]
) -> np.ndarray | None:
    """Accuracies of the classes with a new seed and images, (draws, classes); always the same."""
    spread = evidence.spread(f"class {next(iter(accuracies))}")
    if spread is None:
        return None
    rows = evidence.runs(recipe)[0].metrics["test"]["per_class"]
    counts = [row["count"] for row in rows if row["count"]]
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


def _lowest_epochs(val_loss: list[float]) -> tuple[int, int]:
    """First and last epoch that could be the best, but for noise from epoch to epoch."""
    near = min(val_loss) + reach_of_noise(val_loss)
    epochs = [epoch for epoch, loss in enumerate(val_loss, 1) if loss <= near]
    return epochs[0], epochs[-1]


def _measured(quantity: str, values: list[float]) -> str:
    mean = written(quantity, math.fsum(values) / len(values))
    if len(values) == 1:
        return f"measured {mean} (1 seed)"
    low, high = written(quantity, min(values)), written(quantity, max(values))
    return f"measured {mean} ({low} to {high}, {len(values)} seeds)"


def _as_reported(quantity: str, value: float) -> str:
    """With as many digits as the study gives."""
    return written(quantity, value) if _is_loss(quantity) else percent(value, 0)


def _is_loss(quantity: str) -> bool:
    return quantity.endswith("loss") or quantity == "gap"


def _how_close(apart: float, bound: float) -> str:
    return " (a close call)" if abs(apart - bound) < CLOSE * bound else ""


def _width(quantity: str, margin: float) -> str:
    return f"{margin:.3f}" if _is_loss(quantity) else f"{100 * margin:.1f} points"
