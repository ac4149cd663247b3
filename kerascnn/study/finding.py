"""What is found about a claim, and the words for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from kerascnn.errors import SelectionError
from kerascnn.records.study import Verdict

# Yes, no, or None where a run cannot say; and the reason, as a clause.
Answer = tuple[bool | None, str]


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim and why.

    Attributes:
        evidence: whole sentences, with the figures.
        reported: the study's number; None where the claim is not about one.
        measured: the number here, the mean over seeds.
    """

    verdict: Verdict
    evidence: str
    reported: float | None = None
    measured: float | None = None


def unanimous(answers: Mapping[int, Answer], unknown: Verdict = Verdict.UNTOLD) -> Finding:
    """A finding from the answer of each seed.

    It holds where all say yes, and does not where all say no. Where no seed can say, the verdict
    is `unknown`.
    """
    given = [yes for yes, _ in answers.values()]
    verdict = Verdict.UNTOLD
    if len(set(given)) == 1:
        verdict = {True: Verdict.HOLDS, False: Verdict.FAILS, None: unknown}[given[0]]
    reasons = " ".join(f"Seed {seed}: {why}." for seed, (_, why) in answers.items())
    if len(answers) == 1:
        return Finding(verdict, f"{reasons} Only this seed was run.")
    differs = "It differs with the seed. " if len(set(given)) > 1 else ""
    return Finding(verdict, f"{differs}Yes in {given.count(True)} of {len(given)} runs. {reasons}")


def choose_verdicts(text: str) -> list[Verdict]:
    """The verdict of this name, or else all verdicts that have the text in their names.

    Raises:
        SelectionError: if there is none.
    """
    wanted = text.lower()
    exact = [verdict for verdict in Verdict if verdict == wanted]
    chosen = exact or [verdict for verdict in Verdict if wanted in verdict]
    if not chosen:
        raise SelectionError(f"There is no verdict '{text}'; they are: {', '.join(Verdict)}.")
    return chosen
