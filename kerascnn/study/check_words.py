"""Checks of claims that the study's own words decide: no run is asked."""

from kerascnn.records.study import Verdict
from kerascnn.study.evidence import Evidence
from kerascnn.study.finding import Finding


def not_checkable(evidence: Evidence, *, reason: str) -> Finding:
    """No figure can tell, for this reason."""
    return Finding(Verdict.UNCHECKABLE, reason)


def contradicted(evidence: Evidence, *, reason: str) -> Finding:
    """The study says otherwise at another place; the reason says what."""
    return Finding(Verdict.CONTRADICTED, reason)
