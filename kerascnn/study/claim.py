"""One statement of the study, and the names of the runs that the statements are about."""

from __future__ import annotations

from dataclasses import dataclass

from kerascnn.records.study import Verdict
from kerascnn.study.evidence import Check
from kerascnn.study.finding import Finding

FIRST, AUGMENTED, LONGER = "sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented"
COLLAPSING, ADAM = "adam-lr0.1", "adam-lr0.001"


@dataclass(frozen=True)
class Claim:
    """One statement of the study.

    Attributes:
        name: such as `sgd-lr0.01/accuracy`.
        text: the statement, in our words.
        where: where it stands; both places of a contradiction.
        check: decides about it.
    """

    name: str
    text: str
    where: str
    check: Check


def said(verdict: Verdict, why: str) -> Check:
    """A check that needs no run: the study's own words decide."""
    return Check((), lambda evidence: Finding(verdict, why))
