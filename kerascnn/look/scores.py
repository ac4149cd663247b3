"""What a layer answered to many images, measured once and kept in the run.

A second question about the same layer and images is answered from the kept numbers, without Keras.
"""

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
    """

    layer: str
    scores: dict[str, np.ndarray]
    kernels: np.ndarray | None

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
    """
    kept = run.read_activations(f"{source}/{layer}")
    if not all(len(kept.get(name, ())) == num_images for name in SCORES):
        return None
    return Survey(layer, {name: kept[name] for name in SCORES}, kept.get("kernels"))


def keep_survey(run: Run, source: str, survey: Survey) -> None:
    """Keep the numbers in a run, for `kept_survey`."""
    kernels = {} if survey.kernels is None else {"kernels": survey.kernels}
    run.write_activations(f"{source}/{survey.layer}", survey.scores | kernels)
