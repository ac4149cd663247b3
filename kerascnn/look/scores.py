"""What a layer answered to many images, measured once and kept in the run.

A second question about the same layer and images is answered from the kept numbers, without Keras.
"""

import json
from dataclasses import dataclass

import numpy as np

from kerascnn.run import Run

SCORES = ("mean", "max", "l2")


@dataclass(frozen=True)
class Survey:
    """Numbers of one layer over one set of images.

    Attributes:
        scores: `mean`, `max` and `l2` to float32 (num_images, filters).
        kernels: float32 (height, width, channels, filters), see `graph.effective_kernels`, or None.
        indices: int64 (num_images,), which of the images that were to be seen these are; None where
            they are all of them.
        problems: a message for each image that could not be read.
    """

    layer: str
    scores: dict[str, np.ndarray]
    kernels: np.ndarray | None
    indices: np.ndarray | None = None
    problems: tuple[str, ...] = ()

    @property
    def num_filters(self) -> int:
        return self.scores["mean"].shape[1]

    @property
    def num_images(self) -> int:
        return self.scores["mean"].shape[0]

    def top(self, filter_index: int, k: int, score: str = "mean") -> tuple[np.ndarray, np.ndarray]:
        """The k images that excite a filter, from 0, most: indices and scores, best first."""
        scores = self.scores[score][:, filter_index]
        chosen = highest(scores, k)
        return chosen, scores[chosen]

    def image_indices(self, rows: np.ndarray) -> np.ndarray:
        """Which images, from 0, some rows of the scores are of."""
        return rows if self.indices is None else self.indices[rows]

    def labels_of(self, labels: np.ndarray | None) -> np.ndarray | None:
        """Of the labels of all images those of the images measured."""
        return labels if labels is None or self.indices is None else labels[self.indices]

    def active_share(self, filter_index: int) -> float:
        """The share of images for which some pixel of a filter's map is above zero."""
        return float(np.mean(self.scores["max"][:, filter_index] > 0))

    def is_dead(self, filter_index: int) -> bool:
        """Whether a filter's map is nowhere above zero, or its mean the same for all images."""
        means = self.scores["mean"][:, filter_index]
        is_alike = len(means) > 1 and np.ptp(means) == 0
        return bool(is_alike or self.scores["max"][:, filter_index].max() <= 0)

    def kernel(self, filter_index: int) -> np.ndarray | None:
        """The kernel of a filter, (height, width, channels), where the layer has kernels."""
        return None if self.kernels is None else self.kernels[..., filter_index]


def highest(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k highest of some numbers, best first; of equal ones the earlier first."""
    return np.argsort(-scores, kind="stable")[:k]


def kept_survey(run: Run, source: str, layer: str, num_images: int) -> Survey | None:
    """The numbers that a run keeps of a layer and these images, if it does.

    Args:
        run: what was measured with another model there does not count.
        source: names the images; the same name must mean the same images.
        num_images: how many there are, with those that cannot be read.
    """
    kept = run.read_activations(f"{source}/{layer}")
    problems = tuple(json.loads(kept["problems"].tobytes())) if "problems" in kept else ()
    if not all(len(kept.get(name, ())) == num_images - len(problems) for name in SCORES):
        return None
    scores = {name: kept[name] for name in SCORES}
    return Survey(layer, scores, kept.get("kernels"), kept.get("indices"), problems)


def keep_survey(run: Run, source: str, survey: Survey) -> None:
    """Keep the numbers in a run, for `kept_survey`."""
    arrays = dict(survey.scores)
    if survey.kernels is not None:
        arrays["kernels"] = survey.kernels
    if survey.problems:
        problems = json.dumps(survey.problems).encode()
        arrays |= {"indices": survey.indices, "problems": np.frombuffer(problems, "uint8")}
    run.write_activations(f"{source}/{survey.layer}", arrays)
