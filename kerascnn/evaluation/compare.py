"""Two evaluated runs on the same test images: what differs, and whether chance would do as much."""

from __future__ import annotations

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation import metrics
from kerascnn.run import Run

# A difference exceeds chance where its p-value, adjusted for the number of classes, is below this.
SIGNIFICANCE = 0.05


def compare(run_a: Run, run_b: Run) -> dict[str, object]:
    """Compare the predictions of two runs by McNemar's exact test, overall and per class.

    Returns:
        `a` and `b` (names of the runs), `overall`, and `per_class`, a list. Each entry has `name`,
        the accuracies `a` and `b`, `difference` (b less a), `only_a` and `only_b` (images that only
        one has right), `p_value` (per class adjusted by Holm's method) and `exceeds_chance`.

    Raises:
        RunError: if a run was not evaluated, or they have not the same test images.
    """
    a, b = run_a.read_predictions(), run_b.read_predictions()
    names = [
        [row["name"] for row in run.read_metrics()["test"].get("per_class", ())]
        for run in (run_a, run_b)
    ]
    if names[0] != names[1] or not np.array_equal(a["labels"], b["labels"]):
        raise RunError(
            f"Runs '{run_a.name}' and '{run_b.name}' were not evaluated on the same test images; "
            "compare two runs of one data set."
        )
    rows = [_row(name, a, b, a["labels"] == label) for label, name in enumerate(names[0])]
    adjusted = metrics.holm([row["p_value"] for row in rows])
    overall = _row("overall", a, b, np.full(len(a["labels"]), True))
    return {
        "a": run_a.name,
        "b": run_b.name,
        "overall": _judged(overall, overall["p_value"]),
        "per_class": [_judged(row, p) for row, p in zip(rows, adjusted, strict=True)],
    }


def _row(name: str, a: dict, b: dict, chosen: np.ndarray) -> dict[str, object]:
    labels = a["labels"][chosen]
    predictions = a["predictions"][chosen], b["predictions"][chosen]
    shares = [metrics.accuracy(labels, given) for given in predictions]
    paired = metrics.compare_paired(labels, *predictions)
    return {"name": name, "a": shares[0], "b": shares[1], **paired}


def _judged(row: dict, p_value: float) -> dict[str, object]:
    return row | {"p_value": p_value, "exceeds_chance": p_value < SIGNIFICANCE}
