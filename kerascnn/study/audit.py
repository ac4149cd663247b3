"""What holds of the study: every statement, checked against the runs that exist."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from kerascnn.errors import KerascnnError
from kerascnn.recipe import load_recipe
from kerascnn.run.find import find_changed, find_damaged
from kerascnn.study.claims import all_claims
from kerascnn.study.evidence import Evidence, FirstLayers
from kerascnn.study.finding import HOLDS, UNCHECKABLE, VERDICTS, Claim, Finding
from kerascnn.study.readings import DEFAULT, READINGS, Reading, recipes_of
from kerascnn.study.results import find_results


def audit(runs_dir: str | Path = "runs", data_dir: str | Path | None = None) -> dict[str, object]:
    """Check every statement of the study against the finished runs in a directory.

    A verdict is that of the default reading, `every-block`; the others, as far as they have runs,
    stand beside it, and the evidence says where one of them holds instead.

    Args:
        runs_dir: where the runs are.
        data_dir: directory of prepared TFDS data sets, for the images that excite filters.

    Returns:
        `readings` (a list of `name`, `title`, `num_runs`), `counts` (verdict to number of claims),
        `left_out` (a sentence for each run that is damaged or not as its recipe says) and
        `claims`: a list of `name`, `text`, `where`, `recipes`, `verdict`, `evidence`, `closest`
        (the reading that comes closest to a reported number, None where there is nothing to
        compare) and `readings` (name to `verdict`, `evidence`, `reported`, `measured`,
        `num_runs`).
    """
    evidences = _gather(Path(runs_dir), data_dir and Path(data_dir))
    claims = [_row(claim, evidences) for claim in all_claims()]
    counts = Counter(row["verdict"] for row in claims)
    return {
        "readings": [
            {
                "name": name,
                "title": READINGS[name].title,
                "num_runs": sum(map(len, evidence.results.values())),
            }
            for name, evidence in evidences.items()
        ],
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "left_out": [*find_damaged(runs_dir), *find_changed(runs_dir, _used(evidences))],
        "claims": claims,
    }


def _gather(runs_dir: Path, data_dir: Path | None) -> dict[str, Evidence]:
    """The default reading first, then those of which there are runs."""
    look = FirstLayers(data_dir)
    results = {name: _results(runs_dir, reading) for name, reading in READINGS.items()}
    return {
        name: Evidence(found, _others(name, results), look)
        for name, found in results.items()
        if found or name == DEFAULT.name
    }


def _others(name: str, results: dict[str, dict]) -> dict | None:
    """Results that tell a reading's spread of seeds, too; those of other epochs do not."""
    alike = name != DEFAULT.name and READINGS[name].epoch is None
    return results[DEFAULT.name] if alike else None


def _results(runs_dir: Path, reading: Reading):
    return find_results(runs_dir, reading, [load_recipe(name) for name in recipes_of(reading)])


def _used(evidences: dict[str, Evidence]) -> set[Path]:
    results = (run for each in evidences.values() for runs in each.results.values() for run in runs)
    return {result.run.path for result in results}


def _row(claim: Claim, evidences: dict[str, Evidence]) -> dict[str, object]:
    found = {
        name: _check(claim, evidence)
        for name, evidence in evidences.items()
        if name == DEFAULT.name or _applies(claim, READINGS[name], evidence)
    }
    default = found[DEFAULT.name]
    return {
        "name": claim.name,
        "text": claim.text[0].upper() + claim.text[1:],
        "where": claim.where,
        "recipes": list(claim.recipes),
        "verdict": default.verdict,
        "evidence": default.evidence + _instead(default, found),
        "closest": _closest(found),
        "readings": {
            name: {
                "verdict": finding.verdict,
                "evidence": finding.evidence,
                "reported": finding.reported,
                "measured": finding.measured,
                "num_runs": sum(len(evidences[name].runs(recipe)) for recipe in claim.recipes),
            }
            for name, finding in found.items()
        },
    }


def _applies(claim: Claim, reading: Reading, evidence: Evidence) -> bool:
    has_runs = claim.recipes and all(map(evidence.runs, claim.recipes))
    if reading.epoch is None:
        return bool(has_runs)
    quantity = claim.name.rpartition("/")[2]
    return bool(has_runs and claim.of_epoch and evidence.values(claim.recipes[0], quantity))


def _check(claim: Claim, evidence: Evidence) -> Finding:
    missing = [recipe for recipe in claim.recipes if not evidence.runs(recipe)]
    if missing:
        return Finding(UNCHECKABLE, f"there is no finished run of {' and '.join(missing)}")
    try:
        return claim.check(evidence)
    except KerascnnError as error:
        return Finding(UNCHECKABLE, str(error))


def _instead(default: Finding, found: dict[str, Finding]) -> str:
    """Which other readings hold where the default one does not."""
    others = [name for name, finding in found.items() if finding.verdict == HOLDS]
    return f"; it holds as {', '.join(others)}" if default.verdict != HOLDS and others else ""


def _closest(found: dict[str, Finding]) -> str | None:
    apart = {
        name: abs(finding.measured - finding.reported)
        for name, finding in found.items()
        if finding.verdict != UNCHECKABLE and None not in (finding.measured, finding.reported)
    }
    return min(apart, key=apart.get) if len(apart) > 1 else None
