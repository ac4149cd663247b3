"""What claims are checked against: the runs of a reading, their spread, and their first layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn import filters
from kerascnn.metrics import Spread
from kerascnn.results import Result, class_scale, spread_of
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
        others: results of another reading, to tell the spread of seeds where this one has too few;
            a run that is in both counts once.
        look: gives the `Layer` of a run.
    """

    def __init__(
        self,
        results: dict[str, list[Result]],
        others: dict[str, list[Result]] | None = None,
        look: Callable[[Run], Layer] | None = None,
    ):
        self.results, self._look = results, look
        own = {run.run.path for runs in results.values() for run in runs}
        also = {
            f"also {name}": [run for run in runs if run.run.path not in own]
            for name, runs in (others or {}).items()
        }
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
        """How far one more run may lie from the mean of these, 95 %, by the spread of seeds.

        That the test images are a sample does not count: the study has the very same ones. None
        where the spread is not known.
        """
        if quantity == "accuracy" and all(run.has_collapsed for run in self.runs(recipe)):
            return 0.0  # it is the share of one class, whatever the seed
        values, spread = self.values(recipe, quantity), self.spread(quantity)
        if spread is None or not values:
            return None
        is_class = quantity.startswith("class ")
        scale = class_scale(self.mean(recipe, quantity)) if is_class else 1.0
        return scale * spread.margin(len(values))

    def difference_margin(self, a: str, b: str, num_new: float = 1) -> float | None:
        """How far the difference of test accuracy (b less a) may lie from the one measured, 95 %.

        Args:
            a, b: recipes.
            num_new: see `metrics.Spread.margin`.
        """
        spread = self.spread("accuracy")
        if spread is None:
            return None
        return math.hypot(*(spread.margin(len(self.runs(recipe)), num_new) for recipe in (a, b)))

    def layers(self, recipe: str) -> list[tuple[Result, Layer]]:
        """The first layer of each run of a recipe."""
        return [(run, self._layer(run)) for run in self.runs(recipe)]

    def _layer(self, result: Result) -> Layer:
        if result.run.path not in self._layers:
            self._layers[result.run.path] = self._look(result.run)
        return self._layers[result.run.path]


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
