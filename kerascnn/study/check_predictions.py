"""Checks of claims about which class test images are taken for."""

import numpy as np

from kerascnn.records.study import Verdict
from kerascnn.study.evidence import Evidence
from kerascnn.study.finding import Answer, Finding
from kerascnn.study.results import Result


def counts_of_test_split(evidence: Evidence) -> Finding:
    """Whether there are 10,000 test images, 1,000 of each class."""
    if not evidence.results:
        return Finding(Verdict.UNCHECKABLE, "There is no finished run.")
    test = next(iter(evidence.results.values()))[0].metrics.test
    counts = {row.count for row in test.per_class}
    is_so = test.num_images == 10_000 and counts == {1000}
    said = " or ".join(map(str, sorted(counts)))
    text = f"There are {test.num_images:,} test images, {said} of each class."
    return Finding(Verdict.HOLDS if is_so else Verdict.FAILS, text)


def confused(
    evidence: Evidence, recipe: str, *, classes: tuple[str, str], most: int | None = None
) -> Finding:
    """Whether two classes are among the `most` confused pairs, or confused above average."""

    def answer(run: Result) -> Answer:
        names, both_ways = list(run.class_accuracies), run.confusion + run.confusion.T
        pairs = both_ways[np.triu_indices(len(names), 1)]
        count = both_ways[tuple(map(names.index, classes))]
        rank = int((pairs > count).sum()) + 1
        why = (
            f"{count} images of the two are confused, which makes them pair {rank} of "
            f"{len(pairs)}; the average of all pairs is {pairs.mean():.0f}"
        )
        return rank <= most if most else bool(count > pairs.mean()), why

    return evidence.ask_runs(recipe, answer)


def calls_all_one(evidence: Evidence, recipe: str) -> Finding:
    """Whether all images are called one class."""

    def answer(run: Result) -> Answer:
        name = run.collapsed_to
        why = f"nearly every image is called {name}" if name else "several classes are named"
        return name is not None, why

    return evidence.ask_runs(recipe, answer)


def calls_all(evidence: Evidence, recipe: str, *, class_name: str) -> Finding:
    """Whether all images are called this class, by each of three or more seeds."""
    names = {run.seed: run.collapsed_to for run in evidence.runs(recipe)}
    said = ", ".join(
        f"{name or 'no single class'} with seed {seed}" for seed, name in names.items()
    )
    if not any(names.values()):
        return Finding(Verdict.FAILS, f"It is {said}.")
    if set(names.values()) == {class_name} and len(names) >= 3:
        return Finding(Verdict.HOLDS, f"It is {said}.")
    text = f"Which class it is may depend on the seed. Here it is {said}."
    return Finding(Verdict.UNCHECKABLE, text)
