"""Two evaluated runs on the same test images: what differs, and whether chance would do as much."""

from dataclasses import asdict

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
        RunError: if a run was not evaluated, or their test images differ.
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
    rows = []
    for label, name in enumerate(names):
        chosen = labels == label
        rows.append(_compare(name, labels[chosen], *(given[chosen] for given in predictions)))
    adjusted = metrics.holm([row.p_value for row in rows])
    return Comparison(
        a=run_a.name,
        b=run_b.name,
        overall=_compare("overall", labels, *predictions),
        per_class=[
            row.model_copy(update={"p_value": p_value, "exceeds_chance": p_value < SIGNIFICANCE})
            for row, p_value in zip(rows, adjusted, strict=True)
        ],
    )


def _compare(
    name: str, labels: np.ndarray, predictions_a: np.ndarray, predictions_b: np.ndarray
) -> ComparedClass:
    test = metrics.compare_paired(labels, predictions_a, predictions_b)
    return ComparedClass(
        name=name,
        a=metrics.accuracy(labels, predictions_a),
        b=metrics.accuracy(labels, predictions_b),
        **asdict(test),
        exceeds_chance=test.p_value < SIGNIFICANCE,
    )
