"""What holds of the study: every statement, checked against the runs that exist."""

from collections import Counter
from itertools import chain
from pathlib import Path

from kerascnn.errors import KerascnnError
from kerascnn.recipe import load_recipe
from kerascnn.records.study import Audit, AuditedClaim, AuditedReading, ReadingFinding, Verdict
from kerascnn.run.find import find_changed, find_damaged, list_runs
from kerascnn.study.claims import Claim, all_claims
from kerascnn.study.evidence import Evidence, FirstLayers
from kerascnn.study.finding import Finding
from kerascnn.study.readings import DEFAULT, READINGS, Reading, recipes_of
from kerascnn.study.results import Result, Results, load_results, select_results


def audit(runs_dir: str | Path = "runs", data_dir: str | Path | None = None) -> Audit:
    """Check every statement of the study against the finished runs in a directory.

    A verdict is that of the default reading, `every-block`; the others, as far as they have runs,
    stand beside it, and the evidence says where one of them holds instead.

    Args:
        data_dir: directory of prepared TFDS data sets, for the images that excite filters.
    """
    runs = list_runs(runs_dir)
    evidences = _gather(load_results(runs), FirstLayers(data_dir))
    claims = [_audit_claim(claim, evidences) for claim in all_claims()]
    counts = Counter(claim.verdict for claim in claims)
    used = {name: list(chain(*each.results.values())) for name, each in evidences.items()}
    used_paths = {result.run.path for result in chain(*used.values())}
    return Audit(
        readings=[
            AuditedReading(name=name, title=READINGS[name].title, num_runs=len(results))
            for name, results in used.items()
        ],
        counts={verdict: counts[verdict] for verdict in Verdict},
        left_out=[*find_damaged(runs), *find_changed(runs, used_paths)],
        claims=claims,
    )


def _gather(finished: list[Result], look: FirstLayers) -> dict[str, Evidence]:
    """The default reading first, then those of which there are runs."""
    results = {
        name: select_results(finished, reading, map(load_recipe, recipes_of(reading)))
        for name, reading in READINGS.items()
    }
    return {
        name: Evidence(found, _others(READINGS[name], results), look)
        for name, found in results.items()
        if found or name == DEFAULT.name
    }


def _others(reading: Reading, results: dict[str, Results]) -> Results | None:
    """Results that tell a reading's spread of seeds, too; those of other epochs do not."""
    return results[DEFAULT.name] if reading.has_own_runs and reading != DEFAULT else None


def _audit_claim(claim: Claim, evidences: dict[str, Evidence]) -> AuditedClaim:
    found = {
        name: _check(claim, evidence)
        for name, evidence in evidences.items()
        if name == DEFAULT.name or _applies(claim, READINGS[name], evidence)
    }
    default = found[DEFAULT.name]
    return AuditedClaim(
        name=claim.name,
        text=claim.text,
        where=claim.where,
        recipes=claim.recipes,
        verdict=default.verdict,
        evidence=default.evidence + _instead(default, found),
        closest=_closest(found),
        readings={
            name: ReadingFinding(
                **vars(finding),
                num_runs=sum(len(evidences[name].runs(recipe)) for recipe in claim.recipes),
            )
            for name, finding in found.items()
        },
        quantity=claim.compared,
    )


def _applies(claim: Claim, reading: Reading, evidence: Evidence) -> bool:
    """Whether a reading other than the default one says anything about a claim."""
    if not claim.recipes or not all(map(evidence.runs, claim.recipes)):
        return False
    if reading.has_own_runs:
        return True
    return bool(claim.compared and evidence.values(claim.recipes[0], claim.compared))


def _check(claim: Claim, evidence: Evidence) -> Finding:
    missing = [recipe for recipe in claim.recipes if not evidence.runs(recipe)]
    if missing:
        text = f"There is no finished run of {' and '.join(missing)}."
        return Finding(Verdict.UNCHECKABLE, text)
    try:
        return claim.find(evidence)
    except KerascnnError as error:
        return Finding(Verdict.UNCHECKABLE, str(error))


def _instead(default: Finding, found: dict[str, Finding]) -> str:
    """Which other readings hold where the default one does not."""
    others = [name for name, finding in found.items() if finding.verdict == Verdict.HOLDS]
    if default.verdict == Verdict.HOLDS or not others:
        return ""
    return f" It holds by the reading{'s' if len(others) > 1 else ''} {', '.join(others)}."


def _closest(found: dict[str, Finding]) -> str | None:
    apart = {
        name: abs(finding.measured - finding.reported)
        for name, finding in found.items()
        if finding.verdict != Verdict.UNCHECKABLE
        and None not in (finding.measured, finding.reported)
    }
    return min(apart, key=apart.get) if len(apart) > 1 else None
