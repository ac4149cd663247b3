"""Checks of claims about losses over epochs."""

from __future__ import annotations

import math

import numpy as np

import kerascnn.study.check_numbers as numbers
from kerascnn.evaluation import metrics
from kerascnn.study.evidence import Check, Evidence, each_run
from kerascnn.study.finding import FAILS, HOLDS, UNTOLD, Finding, percent
from kerascnn.study.results import Result

# Losses are far apart from this difference on: the study's are 0.43, and 0.001 where nearly equal.
APART = 0.2
# A gap is suppressed where no more than this share of it is left.
LEFT_OVER = 0.1
# A network that has learned nothing gives each of ten classes a tenth.
CHANCE_LOSS = math.log(10)
# Training is steady where its loss never rises by this share above its lowest so far.
SET_BACK = 0.05


def improves_at_first(recipe: str, epochs: int) -> Check:
    """Whether both losses fall over the first epochs, but for a few (Kendall's tau; Mann 1945)."""

    def answer(run: Result) -> tuple[bool, str]:
        first = {name: run.history[name][:epochs] for name in ("loss", "val_loss")}
        falls = all(_falls(losses) for losses in first.values())
        said = " and ".join(
            f"{title} loss from {losses[0]:.3f} to {losses[-1]:.3f}"
            for title, losses in zip(("training", "validation"), first.values(), strict=True)
        )
        return falls, f"{said} in {epochs} epochs"

    return each_run(recipe, answer)


def turns_up(recipe: str) -> Check:
    """Whether validation loss rises after its lowest stretch while training loss falls."""

    def check(evidence: Evidence) -> Finding:
        runs = evidence.runs(recipe)
        trends = {run.seed: _trend_after_lowest(run) for run in runs}
        known = {seed: trend for seed, trend in trends.items() if trend}
        said = "; ".join(map(_course, runs))
        if not all(map(_learns_on, runs)):
            return Finding(FAILS, f"training loss does not fall after the best epoch; {said}")
        if not known:
            late = all(_is_best_at_end(run) for run in runs)
            why = f"too few epochs follow the lowest validation losses; {said}"
            return Finding(FAILS if late else UNTOLD, why)
        slope, margin = metrics.mean_trend(list(known.values()))
        verdict = HOLDS if slope > margin else FAILS if slope < -margin else UNTOLD
        if verdict == HOLDS and len(known) < len(runs):
            verdict = UNTOLD
        return Finding(
            verdict,
            f"after its lowest stretch validation loss changes by {_thousandths(slope, margin)} "
            f"{_by_seeds(trends)}, while training loss falls; {said}",
        )

    return check


def ends_apart(recipe: str) -> Check:
    """Whether validation loss ends far above training loss."""

    def answer(run: Result) -> tuple[bool, str]:
        best = run.metrics["best_epoch"] - 1
        at_best = run.history["val_loss"][best] - run.history["loss"][best]
        gap = run.value("gap")
        why = f"validation loss is {gap:.3f} above training loss at the end, {at_best:.3f} at best"
        return gap > APART, why

    return each_run(recipe, answer)


def suppresses(before: str, after: str) -> Check:
    """Whether what validation loss ends above training loss is gone with another recipe."""

    def check(evidence: Evidence) -> Finding:
        gaps = [evidence.values(recipe, "gap") for recipe in (before, after)]
        said = [", ".join(f"{gap:+.3f}" for gap in each) for each in gaps]
        text = (
            f"validation loss ends {said[0]} above training loss without augmentation, {said[1]} "
            "with"
        )
        if max(gaps[1]) < LEFT_OVER * min(gaps[0]):
            return Finding(HOLDS, text)
        return Finding(FAILS if min(gaps[1]) > max(gaps[0]) else UNTOLD, text)

    return check


def unfinished(recipe: str) -> Check:
    """Whether validation loss still falls over the last third."""

    def check(evidence: Evidence) -> Finding:
        runs = evidence.runs(recipe)
        histories = [run.history["val_loss"] for run in runs]
        trends = [metrics.trend(history[-len(history) // 3 :]) for history in histories]
        if None in trends:
            return Finding(UNTOLD, "there are too few epochs")
        slope, margin = metrics.mean_trend(trends)
        verdict = HOLDS if slope < -margin else FAILS if slope > margin else UNTOLD
        best = ", ".join(str(run.metrics["best_epoch"]) for run in runs)
        return Finding(
            verdict,
            f"over the last third validation loss changes by {_thousandths(slope, margin)}; best "
            f"epoch {best} of {len(histories[0])}",
        )

    return check


def goes_on_after(recipe: str, epoch: int) -> Check:
    """Whether validation loss gets lower after an epoch, by more than its noise."""

    def answer(run: Result) -> tuple[bool, str]:
        losses = run.history["val_loss"]
        until, after = min(losses[:epoch]), min(losses[epoch:])
        noise = numbers.reach_of_noise(losses)
        why = (
            f"lowest validation loss {until:.3f} until epoch {epoch}, {after:.3f} after it; two "
            f"epochs may lie {noise:.3f} apart by noise"
        )
        return after < until - noise, why

    return each_run(recipe, answer)


def passes_earlier_best(before: str, after: str, reported: int) -> Check:
    """Whether one recipe's validation loss passes the other's best at about an epoch."""

    def check(evidence: Evidence) -> Finding:
        earlier, spread = evidence.mean(before, "best_val_loss"), evidence.spread("best_val_loss")
        histories = [run.history["val_loss"] for run in evidence.runs(after)]
        passed = [_first_below(history, earlier) for history in histories]
        said = f"validation loss passes {earlier:.3f} at epoch {', '.join(map(_epoch, passed))}"
        measured = None if math.inf in passed else float(np.mean(passed))
        if spread is None:
            return Finding(UNTOLD, f"{said}; {numbers.UNKNOWN_SPREAD}", reported, measured)
        margin = spread.margin(len(evidence.runs(before)))
        soonest = min(_first_below(history, earlier + margin) for history in histories)
        latest = max(_first_below(history, earlier - margin) for history in histories)
        text = (
            f"{said}; with a second run's best off by {margin:.3f} by chance, it would be from "
            f"{_epoch(soonest)} to {_epoch(latest)}"
        )
        if not soonest <= reported <= latest:
            return Finding(FAILS, text, reported, measured)
        return Finding(HOLDS if latest - soonest <= 10 else UNTOLD, text, reported, measured)

    return check


def learns_nothing(recipe: str) -> Check:
    """Whether no epoch is better than guessing."""

    def answer(run: Result) -> tuple[bool, str]:
        lowest, accuracy = min(run.history["val_loss"]), run.metrics["test"]["accuracy"]
        why = (
            f"lowest validation loss {lowest:.3f} in {len(run.history['loss'])} epochs (guessing: "
            f"{CHANCE_LOSS:.3f}), test accuracy {percent(accuracy)}"
        )
        return lowest > 0.99 * CHANCE_LOSS and run.has_collapsed, why

    return each_run(recipe, answer)


def learns_steadily(recipe: str) -> Check:
    """Whether training loss has no set-back, and nothing collapses."""

    def answer(run: Result) -> tuple[bool, str]:
        losses = np.array(run.history["loss"])
        set_back = float((losses / np.minimum.accumulate(losses)).max()) - 1
        end = "collapses" if run.has_collapsed else "does not collapse"
        why = (
            f"training loss falls from {losses[0]:.3f} to {losses[-1]:.3f} and is never more than "
            f"{percent(set_back)} above its lowest before; the network {end}"
        )
        return set_back < SET_BACK and not run.has_collapsed, why

    return each_run(recipe, answer)


def _falls(losses: list[float]) -> bool:
    from scipy.stats import kendalltau

    found = kendalltau(np.arange(len(losses)), losses, alternative="less")
    return bool(found.pvalue <= 1 - numbers.SURE)


def _trend_after_lowest(run: Result) -> tuple[float, float, int] | None:
    return metrics.trend_after_lowest(run.history["val_loss"])


def _course(run: Result) -> str:
    """Best and last validation loss of a run, and what its own diagnosis calls it."""
    kinds = {found["kind"] for found in run.metrics.get("diagnosis", ())}
    called = ", which its diagnosis calls overfitting" if "overfitting" in kinds else ""
    return (
        f"seed {run.seed}: {run.metrics['best_val_loss']:.3f} (epoch {run.metrics['best_epoch']}), "
        f"then {run.history['val_loss'][-1]:.3f}{called}"
    )


def _learns_on(run: Result) -> bool:
    """Whether training loss is lower at the end than at the best epoch, unless that is the last."""
    losses, best = run.history["loss"], run.metrics["best_epoch"]
    return best == len(losses) or losses[-1] < losses[best - 1]


def _is_best_at_end(run: Result) -> bool:
    epochs = len(run.history["val_loss"])
    return run.metrics["best_epoch"] > epochs - metrics.last_epochs(epochs)


def _by_seeds(trends: dict[int, object]) -> str:
    """Which seeds a trend is of, and of which there are too few epochs for one."""
    by = ", ".join(str(seed) for seed, trend in trends.items() if trend)
    late = ", ".join(str(seed) for seed, trend in trends.items() if not trend)
    without = f"; too few epochs follow that of seed {late}" if late else ""
    return f"(seed {by}{without})"


def _thousandths(slope: float, margin: float) -> str:
    return f"{1000 * slope:+.1f} thousandths an epoch, give or take {1000 * margin:.1f} (95 %)"


def _epoch(epoch: float) -> str:
    return "never" if epoch == math.inf else f"{epoch:.0f}"


def _first_below(losses: list[float], bound: float) -> float:
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss < bound), math.inf)
