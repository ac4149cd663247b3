"""Checks of claims about which class test images are taken for."""

from __future__ import annotations

import numpy as np

from kerascnn.evaluation import metrics
from kerascnn.study.evidence import Check, Evidence, each_run
from kerascnn.study.finding import FAILS, HOLDS, UNCHECKABLE, Finding
from kerascnn.study.results import Result


def counts_of_test_split(evidence: Evidence) -> Finding:
    """Whether there are 10,000 test images, 1,000 of each class."""
    if not evidence.results:
        return Finding(UNCHECKABLE, "there is no finished run")
    test = next(iter(evidence.results.values()))[0].metrics["test"]
    counts = {row["count"] for row in test["per_class"]}
    verdict = HOLDS if test["num_images"] == 10_000 and counts == {1000} else FAILS
    said = " or ".join(str(count) for count in sorted(counts))
    return Finding(verdict, f"{test['num_images']:,} test images, {said} of each class")


def confused(recipe: str, one: str, other: str, most: int | None = None) -> Check:
    """Whether two classes are among the `most` confused pairs, or confused above average."""

    def answer(run: Result) -> tuple[bool, str]:
        names = list(run.class_accuracies())
        confusion = np.array(run.metrics["test"]["confusion"])
        pairs = (confusion + confusion.T)[np.triu_indices(len(names), 1)]
        count = (confusion + confusion.T)[names.index(one), names.index(other)]
        rank = int((pairs > count).sum()) + 1
        why = f"{count} images, pair {rank} of {len(pairs)}; {pairs.mean():.0f} on average"
        return rank <= most if most else bool(count > pairs.mean()), why

    return each_run(recipe, answer)


def calls_all_one(recipe: str) -> Check:
    """Whether all images are called one class."""

    def answer(run: Result) -> tuple[bool, str]:
        name = _collapsed_name(run)
        said = f"everything is called {name}" if name else "several classes are named"
        return name is not None, said

    return each_run(recipe, answer)


def calls_all(recipe: str, wanted: str) -> Check:
    """Whether the one class that all images are called is this one, and not up to the seed."""

    def check(evidence: Evidence) -> Finding:
        names = {run.seed: _collapsed_name(run) for run in evidence.runs(recipe)}
        said = ", ".join(
            f"{name or 'no single class'} with seed {seed}" for seed, name in names.items()
        )
        if not any(names.values()):
            return Finding(FAILS, said)
        if set(names.values()) == {wanted} and len(names) >= 3:
            return Finding(HOLDS, said)
        return Finding(UNCHECKABLE, f"which class it is, may be up to the seed: here {said}")

    return check


def _collapsed_name(run: Result) -> str | None:
    label = metrics.collapsed_class(np.array(run.metrics["test"]["confusion"]))
    return None if label is None else run.metrics["test"]["per_class"][label]["name"]
