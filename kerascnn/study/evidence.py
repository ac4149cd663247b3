"""What claims are checked against: the runs of a reading, their spread, and their first layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.backend import require_backend
from kerascnn.evaluation.metrics import Spread
from kerascnn.look import explanation as filters
from kerascnn.look.images import Shown
from kerascnn.look.scores import highest
from kerascnn.look.subject import RUN_LAYERS, Subject
from kerascnn.records.quantity import ACCURACY, Quantity
from kerascnn.run import Run
from kerascnn.study.finding import Answer, Finding, unanimous
from kerascnn.study.results import Result, Results, class_scale, spread_of, values_of

# So many images characterize a filter, as in the study.
TOP = 5
# So many layers tell what a first layer answers before it has learned anything.
NUM_UNTRAINED = 10


@dataclass(frozen=True)
class Layer:
    """What the first layer of a run answers to the test images.

    Attributes:
        scores: mean activations, float32 (num_images, filters).
        properties: see `filters.image_properties`.
        labels: int (num_images,).
    """

    scores: np.ndarray
    properties: dict[str, np.ndarray]
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def filters(self) -> range:
        return range(self.scores.shape[1])

    def is_of(self, *names: str) -> np.ndarray:
        return np.isin(self.labels, [self.class_names.index(name) for name in names])

    def top(self, index: int) -> np.ndarray:
        """The images to which a filter answers most, best first."""
        return highest(self.scores[:, index], TOP)

    def count_top(self, index: int, *names: str) -> int:
        """How many of a filter's top images are of these classes."""
        return int(self.is_of(*names)[self.top(index)].sum())


class FirstLayers:
    """Gives first layers and what they answer to the test images."""

    def __init__(self, data_dir: str | Path | None = None):
        self.data_dir = data_dir

    def trained(self, run: Run) -> Layer:
        """The layer of a run, measured where the run does not keep it yet.

        Raises:
            DatasetError: if the images are not there.
            RunError: if the run's model is needed and cannot be loaded.
        """
        subject = Subject(run, data_dir=self.data_dir)
        return _layer(subject.shown, subject.survey(RUN_LAYERS["relu"]).scores["mean"])

    def untrained(self, run: Run, count: int = NUM_UNTRAINED) -> list[Layer]:
        """The layers of a run's network with the initial weights of seeds from 0.

        Raises:
            DatasetError: if the images are not there.
        """
        require_backend()
        from kerascnn.look.activations import filter_scores
        from kerascnn.model.build import build_model

        shown, layers = Subject(run, data_dir=self.data_dir).shown, []
        for seed in range(count):
            recipe = run.recipe.with_values({"train.seed": seed})
            model = build_model(recipe, shown.images.shape[1:], len(shown.class_names))
            batches = filter_scores(model, shown.images.array, RUN_LAYERS["relu"])
            layers.append(_layer(shown, np.concatenate([scores for (scores,) in batches])))
        return layers


class Evidence:
    """The results of one reading.

    Args:
        results: see `select_results`.
        others: results of another reading, to tell the spread of seeds where this one has too few;
            a run that is in both counts once.
    """

    def __init__(
        self, results: Results, others: Results | None = None, look: FirstLayers | None = None
    ):
        self.results, self._look = results, look
        own = {run.run.path for runs in results.values() for run in runs}
        also = {
            f"also {name}": [run for run in runs if run.run.path not in own]
            for name, runs in (others or {}).items()
        }
        self._for_spread, self._spreads = results | also, {}
        self._layers, self._untrained, self._values = {}, {}, {}

    def runs(self, recipe: str) -> list[Result]:
        """Results of a recipe, one a seed."""
        return self.results.get(recipe, [])

    def ask_runs(self, recipe: str, answer: Callable[[Result], Answer]) -> Finding:
        """A finding from what each run of a recipe answers."""
        return unanimous({run.seed: answer(run) for run in self.runs(recipe)})

    def values(self, recipe: str, quantity: Quantity) -> list[float]:
        key = recipe, quantity
        if key not in self._values:
            self._values[key] = values_of(self.runs(recipe), quantity)
        return self._values[key]

    def mean(self, recipe: str, quantity: Quantity) -> float:
        values = self.values(recipe, quantity)
        return math.fsum(values) / len(values)

    def spread(self, quantity: Quantity) -> Spread | None:
        """How far seeds lie apart, see `results.spread_of`."""
        key = "classes" if quantity.class_name else quantity  # it is one for all classes
        if key not in self._spreads:
            self._spreads[key] = spread_of(self._for_spread, quantity)
        return self._spreads[key]

    def margin(self, recipe: str, quantity: Quantity) -> float | None:
        """How far one more run may lie from the mean of these, 95 %, by the spread of seeds.

        That the test images are a sample does not count: the study has the very same ones. None
        where the spread is not known.
        """
        if quantity == ACCURACY and all(run.collapsed_to for run in self.runs(recipe)):
            return 0.0  # it is the share of one class, whatever the seed
        values, spread = self.values(recipe, quantity), self.spread(quantity)
        if spread is None or not values:
            return None
        scale = class_scale(self.mean(recipe, quantity)) if quantity.class_name else 1.0
        return scale * spread.margin(len(values))

    def difference_margin(self, a: str, b: str, num_new: float = 1) -> float | None:
        """How far a difference of test accuracy may lie from the one measured, 95 %.

        For `num_new` see `metrics.Spread.margin`.
        """
        spread = self.spread(ACCURACY)
        if spread is None:
            return None
        return math.hypot(*(spread.margin(len(self.runs(recipe)), num_new) for recipe in (a, b)))

    def layers(self, recipe: str) -> list[tuple[Result, Layer]]:
        """The first layer of each run of a recipe."""
        return [(run, self._layer(run.run)) for run in self.runs(recipe)]

    def untrained(self, recipe: str) -> list[Layer]:
        """First layers of networks of a recipe that has runs, before any training."""
        if recipe not in self._untrained:
            self._untrained[recipe] = self._look.untrained(self.runs(recipe)[0].run)
        return self._untrained[recipe]

    def _layer(self, run: Run) -> Layer:
        if run.path not in self._layers:
            self._layers[run.path] = self._look.trained(run)
        return self._layers[run.path]


def _layer(shown: Shown, scores: np.ndarray) -> Layer:
    return Layer(scores, filters.image_properties(shown.images), shown.labels, shown.class_names)
