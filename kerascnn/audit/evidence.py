"""What claims are checked against: the runs of a reading, their spread, and their first layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn import filters
from kerascnn.metrics import Spread, sampling_margin
from kerascnn.results import Result, spread_of
from kerascnn.run import Run
from kerascnn.subject import RUN_LAYERS, Subject


@dataclass(frozen=True)
class Layer:
    """What the first layer of a run answers to the test images.

    Attributes:
        scores: mean activations, float32 (num_images, filters).
        properties: see `filters.image_properties`.
        labels: int (num_images,).
        class_names: name of each label.
    """

    scores: np.ndarray
    properties: dict[str, np.ndarray]
    labels: np.ndarray
    class_names: tuple[str, ...]

    def label(self, name: str) -> int:
        """The label of a class."""
        return self.class_names.index(name)

    def top(self, filter_index: int, k: int = 5) -> np.ndarray:
        """Indices of the k images of highest mean activation, best first."""
        scores = self.scores[:, filter_index]
        return np.lexsort((np.arange(len(scores)), -scores))[:k]


class Evidence:
    """The results of one reading.

    Args:
        results: recipe's name to results, see `find_results`.
        others: results of another reading, to tell the spread of seeds where this one has too few.
        look: gives the `Layer` of a run.
    """

    def __init__(
        self,
        results: dict[str, list[Result]],
        others: dict[str, list[Result]] | None = None,
        look: Callable[[Run], Layer] | None = None,
    ):
        self.results, self._look = results, look
        also = {f"also {name}": runs for name, runs in (others or {}).items()}
        self._for_spread, self._spreads, self._layers = results | also, {}, {}

    def runs(self, recipe: str) -> list[Result]:
        """Results of a recipe, one a seed."""
        return self.results.get(recipe, [])

    def values(self, recipe: str, quantity: str) -> list[float]:
        """A quantity of each run that knows it."""
        found = (run.value(quantity) for run in self.runs(recipe))
        return [value for value in found if value is not None]

    def mean(self, recipe: str, quantity: str) -> float:
        """The mean over seeds."""
        values = self.values(recipe, quantity)
        return math.fsum(values) / len(values)

    def spread(self, quantity: str) -> Spread | None:
        """How far seeds lie apart, see `results.spread_of`."""
        if quantity not in self._spreads:
            self._spreads[quantity] = spread_of(self._for_spread, quantity)
        return self._spreads[quantity]

    def margin(self, recipe: str, quantity: str) -> float | None:
        """How far one more run may lie from the mean of these, 95 %: seeds and sampled images.

        The study has the very same test images; to count their sampling error as well is on the
        generous side. None where the spread of seeds is not known.
        """
        if quantity == "accuracy" and all(run.has_collapsed for run in self.runs(recipe)):
            return 0.0  # it is the share of one class, whatever the seed
        values, spread = self.values(recipe, quantity), self.spread(quantity)
        if spread is None or not values:
            return None
        margin = spread.margin(len(values))
        if quantity.startswith("class ") or quantity == "accuracy":
            share = min(1.0, max(0.0, self.mean(recipe, quantity)))
            margin = math.hypot(margin, sampling_margin(share, self._count(recipe, quantity)))
        return margin

    def difference_margin(self, a: str, b: str, num_new: float = 1) -> float | None:
        """How far the difference of test accuracy (b less a) may lie from the one measured, 95 %.

        Args:
            a, b: recipes.
            num_new: see `metrics.Spread.margin`.
        """
        spread = self.spread("accuracy")
        if spread is None:
            return None
        margins = [spread.margin(len(self.runs(recipe)), num_new) for recipe in (a, b)]
        return math.hypot(*margins, self._paired_sampling(a, b))

    def layers(self, recipe: str) -> list[tuple[Result, Layer]]:
        """The first layer of each run of a recipe."""
        return [(run, self._layer(run)) for run in self.runs(recipe)]

    def _layer(self, result: Result) -> Layer:
        if result.run.path not in self._layers:
            self._layers[result.run.path] = self._look(result.run)
        return self._layers[result.run.path]

    def _count(self, recipe: str, quantity: str) -> int:
        test = self.runs(recipe)[0].metrics["test"]
        rows = {f"class {row['name']}": row["count"] for row in test["per_class"]}
        return rows.get(quantity, test["num_images"])

    def _paired_sampling(self, a: str, b: str) -> float:
        """Sampling error of a difference on the same images, 95 %, of the first run of each."""
        right = []
        for recipe in (a, b):
            stored = self.runs(recipe)[0].run.read_predictions()
            right.append((stored["predictions"] == stored["labels"]).astype("float64"))
        if len(right[0]) != len(right[1]):
            return math.inf
        return 1.96 * float(np.std(right[1] - right[0])) / math.sqrt(len(right[0]))


class FirstLayers:
    """Gives the first layer of runs, measured where a run does not keep it yet.

    Args:
        data_dir: directory of prepared TFDS data sets.
    """

    def __init__(self, data_dir: Path | None = None):
        self.data_dir = data_dir
        self._of = None

    def __call__(self, run: Run) -> Layer:
        """The layer.

        Raises:
            DatasetError: if the images are not there.
            RunError: if the run's model is needed and cannot be loaded.
        """
        subject = Subject(run, data_dir=self.data_dir)
        shown = subject.shown
        if self._of is None or self._of[0] != shown.source:
            self._of = shown.source, filters.image_properties(shown.images)
        scores = subject.survey(RUN_LAYERS["relu"]).scores["mean"]
        return Layer(scores, self._of[1], shown.labels, shown.class_names)
