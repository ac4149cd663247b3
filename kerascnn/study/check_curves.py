"""Checks of claims about losses over epochs."""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from kerascnn.evaluation import metrics
from kerascnn.records.quantity import BEST_VAL_LOSS, GAP, Quantity, Unit, percent
from kerascnn.records.run import Overfitting
from kerascnn.records.study import Verdict
from kerascnn.study.check_numbers import SURE, UNKNOWN_SPREAD, reach_of_noise
from kerascnn.study.evidence import Evidence
from kerascnn.study.finding import Answer, Finding
from kerascnn.study.results import Result

# The epoch at which one run's validation loss passes the best of another.
PASSING = Quantity("passing_epoch", Unit.EPOCH)
# Losses are far apart from this difference on: the study's are 0.43, and 0.001 where nearly equal.
APART = 0.2
# A gap is suppressed where no more than this share of it is left.
LEFT_OVER = 0.1
# A network that has learned nothing gives each of ten classes a tenth.
CHANCE_LOSS = math.log(10)
# Training is steady where its loss never rises by this share above its lowest so far.
SET_BACK = 0.05


def improves_at_first(evidence: Evidence, recipe: str, *, epochs: int) -> Finding:
    """Whether both losses fall over the first epochs, but for a few (Kendall's tau; Mann 1945)."""

    def answer(run: Result) -> Answer:
        training, validation = run.history.loss[:epochs], run.history.val_loss[:epochs]
        why = (
            f"in {epochs} epochs training loss goes from {training[0]:.3f} to {training[-1]:.3f}, "
            f"and validation loss from {validation[0]:.3f} to {validation[-1]:.3f}"
        )
        return _falls(training) and _falls(validation), why

    return evidence.ask_runs(recipe, answer)


def turns_up(evidence: Evidence, recipe: str) -> Finding:
    """Whether validation loss rises after its lowest stretch while training loss falls."""
    runs = evidence.runs(recipe)
    trends = {run.seed: metrics.trend_after_lowest(run.history.val_loss) for run in runs}
    known = [trend for trend in trends.values() if trend]
    said = " ".join(map(_course, runs))
    if not all(map(_learns_on, runs)):
        why = f"Training loss does not fall after the best epoch. {said}"
        return Finding(Verdict.FAILS, why)
    if not known:
        verdict = Verdict.FAILS if all(map(_is_best_at_end, runs)) else Verdict.UNTOLD
        return Finding(verdict, f"Too few epochs follow the lowest validation losses. {said}")
    slope, margin = metrics.mean_trend(known)
    verdict = _of_slope(slope, margin)
    if verdict == Verdict.HOLDS and len(known) < len(runs):
        verdict = Verdict.UNTOLD
    text = (
        f"After its lowest stretch validation loss changes by {_thousandths(slope, margin)}, "
        "while training loss falls."
    )
    if late := ", ".join(str(seed) for seed, trend in trends.items() if not trend):
        text += f" Too few epochs follow that of seed {late}."
    return Finding(verdict, f"{text} {said}")


def ends_apart(evidence: Evidence, recipe: str) -> Finding:
    """Whether validation loss ends far above training loss."""

    def answer(run: Result) -> Answer:
        best = run.metrics.best_epoch - 1
        at_best = run.history.val_loss[best] - run.history.loss[best]
        gap = run.value(GAP)
        why = (
            f"validation loss is {gap:.3f} above training loss at the end, and {at_best:.3f} above "
            "it at the best epoch"
        )
        return gap > APART, why

    return evidence.ask_runs(recipe, answer)


def suppresses(evidence: Evidence, before: str, after: str) -> Finding:
    """Whether the gap between the losses at the end is nearly gone with another recipe."""
    gaps = [evidence.values(recipe, GAP) for recipe in (before, after)]
    without, augmented = (", ".join(map(GAP.write, each)) for each in gaps)
    text = (
        f"At the end validation loss less training loss is {without} without augmentation, "
        f"and {augmented} with it."
    )
    if max(gaps[1]) < LEFT_OVER * min(gaps[0]):
        return Finding(Verdict.HOLDS, text)
    return Finding(Verdict.FAILS if min(gaps[1]) > max(gaps[0]) else Verdict.UNTOLD, text)


def unfinished(evidence: Evidence, recipe: str) -> Finding:
    """Whether validation loss still falls over the last third."""
    runs = evidence.runs(recipe)
    histories = [run.history.val_loss for run in runs]
    trends = [metrics.trend(history[-len(history) // 3 :]) for history in histories]
    if None in trends:
        return Finding(Verdict.UNTOLD, "There are too few epochs.")
    slope, margin = metrics.mean_trend(trends)
    best = ", ".join(str(run.metrics.best_epoch) for run in runs)
    text = (
        f"Over the last third validation loss changes by {_thousandths(slope, margin)}. The best "
        f"epoch is {best} of {len(histories[0])}."
    )
    return Finding(_of_slope(-slope, margin), text)


def goes_on_after(evidence: Evidence, recipe: str, *, epoch: int) -> Finding:
    """Whether validation loss gets lower after an epoch, by more than its noise."""

    def answer(run: Result) -> Answer:
        losses = run.history.val_loss
        until, after = min(losses[:epoch]), min(losses[epoch:])
        noise = reach_of_noise(losses)
        why = (
            f"the lowest validation loss is {until:.3f} until epoch {epoch}, and {after:.3f} after "
            f"it; by noise two epochs may lie {noise:.3f} apart"
        )
        return after < until - noise, why

    return evidence.ask_runs(recipe, answer)


def passes_earlier_best(evidence: Evidence, before: str, after: str, *, reported: int) -> Finding:
    """Whether the second recipe's loss passes the best of the first at about this epoch."""
    earlier, spread = evidence.mean(before, BEST_VAL_LOSS), evidence.spread(BEST_VAL_LOSS)
    histories = [run.history.val_loss for run in evidence.runs(after)]
    passed = [_first_below(history, earlier) for history in histories]
    said = f"Validation loss passes {earlier:.3f} {', '.join(map(_when, passed))}."
    measured = None if math.inf in passed else float(np.mean(passed))
    if spread is None:
        return Finding(Verdict.UNTOLD, f"{said} {UNKNOWN_SPREAD}", reported, measured)
    margin = spread.margin(len(evidence.runs(before)))
    soonest = min(_first_below(history, earlier + margin) for history in histories)
    latest = max(_first_below(history, earlier - margin) for history in histories)
    text = (
        f"{said} By chance the best of another run of {before} may lie {margin:.3f} off: a "
        f"higher one would be passed {_when(soonest)}, a lower one {_when(latest)}."
    )
    verdict = Verdict.FAILS
    if soonest <= reported <= latest:
        verdict = Verdict.HOLDS if latest - soonest <= 10 else Verdict.UNTOLD
    return Finding(verdict, text, reported, measured)


def learns_nothing(evidence: Evidence, recipe: str) -> Finding:
    """Whether no epoch is better than guessing."""

    def answer(run: Result) -> Answer:
        lowest, accuracy = min(run.history.val_loss), run.metrics.test.accuracy
        why = (
            f"the lowest validation loss is {lowest:.3f} in {len(run.history)} epochs (guessing: "
            f"{CHANCE_LOSS:.3f}), and test accuracy is {percent(accuracy)}"
        )
        return lowest > 0.99 * CHANCE_LOSS and run.collapsed_to is not None, why

    return evidence.ask_runs(recipe, answer)


def learns_steadily(evidence: Evidence, recipe: str) -> Finding:
    """Whether training loss never rises far, and the network does not collapse."""

    def answer(run: Result) -> Answer:
        losses = np.array(run.history.loss)
        set_back = float((losses / np.minimum.accumulate(losses)).max()) - 1
        end = "collapses" if run.collapsed_to else "does not collapse"
        why = (
            f"training loss falls from {losses[0]:.3f} to {losses[-1]:.3f} and is never more than "
            f"{percent(set_back)} above its lowest before; the network {end}"
        )
        return set_back < SET_BACK and not run.collapsed_to, why

    return evidence.ask_runs(recipe, answer)


def _falls(losses: Sequence[float]) -> bool:
    found = scipy.stats.kendalltau(np.arange(len(losses)), losses, alternative="less")
    return bool(found.pvalue <= 1 - SURE)


def _of_slope(slope: float, margin: float) -> Verdict:
    if slope > margin:
        return Verdict.HOLDS
    return Verdict.FAILS if slope < -margin else Verdict.UNTOLD


def _course(run: Result) -> str:
    is_overfitted = any(isinstance(found, Overfitting) for found in run.metrics.diagnosis)
    called = "; its diagnosis calls this overfitting" if is_overfitted else ""
    return (
        f"Seed {run.seed}: validation loss is {run.metrics.best_val_loss:.3f} at best (epoch "
        f"{run.metrics.best_epoch}) and {run.history.val_loss[-1]:.3f} at the end{called}."
    )


def _learns_on(run: Result) -> bool:
    """Whether training loss is lower at the end than at the best epoch, unless that is the last."""
    losses, best = run.history.loss, run.metrics.best_epoch
    return best == len(losses) or losses[-1] < losses[best - 1]


def _is_best_at_end(run: Result) -> bool:
    epochs = len(run.history)
    return run.metrics.best_epoch > epochs - metrics.last_epochs(epochs)


def _thousandths(slope: float, margin: float) -> str:
    return f"{1000 * slope:+.1f} thousandths an epoch, give or take {1000 * margin:.1f} (95 %)"


def _when(epoch: float) -> str:
    return "never" if epoch == math.inf else f"at epoch {epoch:.0f}"


def _first_below(losses: Sequence[float], bound: float) -> float:
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss < bound), math.inf)
