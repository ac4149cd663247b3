"""Two evaluated runs on the same test images: what differs, and whether chance would do as much."""

from __future__ import annotations

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation import metrics
from kerascnn.records.run import ComparedClass, Comparison
from kerascnn.run import Run

# A difference exceeds chance where its p-value, adjusted for the number of classes, is below this.
SIGNIFICANCE = 0.05


def compare(run_a: Run, run_b: Run) -> Comparison:
    """Compare the predictions of two runs by McNemar's exact test, overall and per class.

    Raises:
        RunError: if a run was not evaluated, or they have not the same test images.
    """
    a, b = run_a.read_predictions(), run_b.read_predictions()
    names, others = (run.read_metrics().class_names for run in (run_a, run_b))
    labels = a["labels"]
    if names != others or not np.array_equal(labels, b["labels"]):
        raise RunError(
            f"Runs '{run_a.name}' and '{run_b.name}' were not evaluated on the same test images; "
            "compare two runs of one data set."
        )
    predictions = a["predictions"], b["predictions"]
    chosen = [labels == label for label in range(len(names))]
    tests = [metrics.compare_paired(labels[of], *(p[of] for p in predictions)) for of in chosen]
    adjusted = metrics.holm([test.p_value for test in tests])
    overall, every = metrics.compare_paired(labels, *predictions), np.full(len(labels), True)
    return Comparison(
        a=run_a.name,
        b=run_b.name,
        overall=_row("overall", labels, predictions, every, overall, overall.p_value),
        per_class=[
            _row(name, labels, predictions, *each)
            for name, *each in zip(names, chosen, tests, adjusted, strict=True)
        ],
    )


def _row(
    name: str,
    labels: np.ndarray,
    predictions: tuple[np.ndarray, np.ndarray],
    chosen: np.ndarray,
    test: metrics.PairedTest,
    p_value: float,
) -> ComparedClass:
    a, b = (metrics.accuracy(labels[chosen], given[chosen]) for given in predictions)
    return ComparedClass(
        name=name,
        a=a,
        b=b,
        difference=test.difference,
        only_a=test.only_a,
        only_b=test.only_b,
        p_value=p_value,
        exceeds_chance=p_value < SIGNIFICANCE,
    )
