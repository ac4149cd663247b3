"""What is found about a claim, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HOLDS = "holds"
FAILS = "does not hold"
UNTOLD = "cannot be told apart"
UNCHECKABLE = "not checkable"
CONTRADICTED = "the study contradicts itself"
VERDICTS = (HOLDS, FAILS, UNTOLD, UNCHECKABLE, CONTRADICTED)


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim and why.

    Attributes:
        verdict: one of `VERDICTS`.
        evidence: a sentence with the figures.
        reported: the study's number; None where the claim is none.
        measured: the number here, the mean over seeds.
    """

    verdict: str
    evidence: str
    reported: float | None = None
    measured: float | None = None


@dataclass(frozen=True)
class Claim:
    """One statement of the study.

    Attributes:
        name: such as `sgd-lr0.01/accuracy`.
        text: the statement, in our words.
        where: where it stands; both places of a contradiction.
        check: gives a `Finding` from an `Evidence`.
        recipes: those whose runs it needs.
        of_epoch: whether the figures of one epoch decide it, so that it can be read off others.
    """

    name: str
    text: str
    where: str
    check: Callable
    recipes: tuple[str, ...] = ()
    of_epoch: bool = False


def percent(share: float, digits: int = 1) -> str:
    """A fraction in percent."""
    return f"{100 * share:.{digits}f} %"


def points(difference: float, digits: int = 1) -> str:
    """A difference of fractions in points of percent."""
    return f"{100 * difference:+.{digits}f} points"


def written(quantity: str, value: float) -> str:
    """A value of a quantity of `results.QUANTITIES` or of a class, as people write it."""
    if quantity == "gap":
        return f"{value:+.3f}"
    if quantity.endswith("loss"):
        return f"{value:.3f}"
    return f"{value:.0f}" if quantity == "best_epoch" else percent(value)


def seeds(count: int) -> str:
    """How many seeds."""
    return f"{count} seeds" if count > 1 else "1 seed"


def unanimous(answers: list[tuple[bool | None, str]], unknown: str = UNTOLD) -> Finding:
    """A finding from the answer of each run, with its reason: yes, no, or None where it has none.

    It holds where all say yes, and does not where all say no; `unknown` is the verdict where none
    can say.
    """
    given = {answer for answer, _ in answers}
    verdict = UNTOLD
    if len(given) == 1:
        verdict = {True: HOLDS, False: FAILS, None: unknown}[answers[0][0]]
    yes = sum(answer is True for answer, _ in answers)
    reasons = "; ".join(reason for _, reason in answers)
    if len(answers) == 1:
        return Finding(verdict, f"{reasons} (one seed)")
    differs = "it differs with the seed: " if len(given) > 1 else ""
    return Finding(verdict, f"{differs}in {yes} of {len(answers)} runs: {reasons}")
