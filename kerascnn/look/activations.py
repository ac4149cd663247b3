"""What a layer answers to images: feature maps, and the images that excite each filter most.

Works for any functional or Sequential Keras model, on every backend. Filters count from 0 here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from kerascnn.backend import keep_freed_memory
from kerascnn.errors import ModelError
from kerascnn.look.images import in_batches
from kerascnn.look.scores import SCORES, Survey
from kerascnn.model.axes import to_channels_last
from kerascnn.model.calls import call, calling
from kerascnn.model.graph import attach, find_output, fresh_name, sub_model
from kerascnn.model.taps import effective_kernels

Images = np.ndarray | Iterable[np.ndarray]


@dataclass(frozen=True)
class TopActivations:
    """The images with the highest scores, for every filter: a value that only `update` enlarges.

    Ties go to the lower index, so any order of `update` and `merge` over the same images gives the
    same value.

    Attributes:
        indices: int64 (filters, k), the best image first; -1 where there were fewer than k images.
        scores: float32 (filters, k), descending; -inf where there were fewer than k images.
    """

    indices: np.ndarray
    scores: np.ndarray

    @classmethod
    def empty(cls, filters: int, k: int) -> TopActivations:
        """The state before any image; neutral for `merge`."""
        return cls(np.full((filters, k), -1, "int64"), np.full((filters, k), -np.inf, "float32"))

    @property
    def k(self) -> int:
        return self.indices.shape[1]

    def update(self, scores: np.ndarray, indices: np.ndarray) -> TopActivations:
        """The state after more images.

        Args:
            scores: (num_images, filters); NaN ranks below everything.
            indices: int (num_images,), the images' own numbers, each given once over all updates.
        """
        scores = np.where(np.isnan(scores), -np.inf, scores).astype("float32").T
        indices = np.broadcast_to(np.asarray(indices, "int64"), scores.shape)
        return self.merge(TopActivations(indices, scores))

    def merge(self, other: TopActivations) -> TopActivations:
        """The state after the images of both; associative and commutative."""
        indices = np.concatenate([self.indices, other.indices], axis=1)
        scores = np.concatenate([self.scores, other.scores], axis=1)
        # Places that hold no image come last, behind images that score -inf.
        place = np.where(indices < 0, np.iinfo("int64").max, indices)
        order = np.lexsort((place, -scores), axis=1)[:, : self.k]
        return TopActivations(
            np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1)
        )


def feature_maps(
    model: keras.Model, images: Images, layer: str, data_format: str | None = None
) -> np.ndarray:
    """What a layer gives for images.

    Args:
        model: functional or Sequential, built.
        images: (num_images, height, width, channels) as the model takes them, or an iterable of
            such batches.
        layer: as for `model.graph.truncate`.
        data_format: `channels_first` or `channels_last`, where the layer's output cannot be told
            to be one of them.

    Returns:
        float32 (num_images, height, width, filters), also where the model is channels_first; of a
        layer of units, such as a Dense, (num_images, 1, 1, units); of tokens, see
        `model.axes.to_channels_last`.
    """
    with calling():
        maps = to_channels_last(find_output(model, layer), data_format)
        extractor = sub_model(model, maps)
    batches = (call(extractor, np.asarray(batch)) for batch in _batches(images))
    return np.concatenate([maps.astype("float32") for (maps,) in batches])


def filter_scores(
    model: keras.Model,
    images: Images,
    layer: str,
    scores: tuple[str, ...] = ("mean",),
    data_format: str | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """One number an image, filter and score, batch by batch, reckoned in float32.

    Args:
        model, images, layer, data_format: as for `feature_maps`.
        scores: of `mean` over the map's pixels, `max`, and `l2` (root of the sum of squares).

    Yields:
        For each score, float32 (num_images of the batch, filters).
    """
    unknown = sorted(set(scores) - set(SCORES))
    if unknown:
        raise ValueError(f"score must be one of {', '.join(SCORES)}. Received: {unknown[0]!r}")
    keep_freed_memory()
    with calling():
        maps = to_channels_last(find_output(model, layer), data_format)
        scorer = sub_model(model, [attach(MapScore(score), maps) for score in scores])
    for batch in _batches(images):
        yield tuple(answer.astype("float32") for answer in call(scorer, np.asarray(batch)))


def measure(
    model: keras.Model, batches: Iterable[np.ndarray], layer: str, data_format: str | None = None
) -> Survey:
    """Show images, as the model takes them, and keep one number an image, filter and score.

    Raises:
        ModelError: if there is no such layer, or it gives a number that is not finite.
    """
    answers = zip(*filter_scores(model, batches, layer, SCORES, data_format), strict=True)
    scores = {name: np.concatenate(values) for name, values in zip(SCORES, answers, strict=True)}
    if not all(np.isfinite(values).all() for values in scores.values()):
        raise ModelError(f"Layer '{layer}' gives numbers that are not finite.")
    with calling():
        kernels = effective_kernels(model, layer)
    # Of another axis than that of the filters, there are no kernels.
    is_theirs = kernels is not None and kernels.shape[-1] == scores["mean"].shape[1]
    return Survey(layer, scores, kernels if is_theirs else None)


def top_activations(
    model: keras.Model,
    images: Images,
    layer: str,
    k: int = 5,
    score: str = "mean",
    data_format: str | None = None,
) -> TopActivations:
    """The k images that excite each filter of a layer most, exactly, in one pass.

    Memory does not grow with the number of images where they come as an iterable of batches.

    Args:
        model, images, layer: as for `feature_maps`. Images count from 0 in their order.
        k: images for each filter.
        score: as for `filter_scores`.
        data_format: as for `feature_maps`.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: k={k}")
    state, seen = None, 0
    for (scores,) in filter_scores(model, images, layer, (score,), data_format):
        state = state or TopActivations.empty(scores.shape[1], k)
        state = state.update(scores, np.arange(seen, seen + len(scores)))
        seen += len(scores)
    if state is None:
        raise ValueError("There are no images to rank.")
    return state


class MapScore(layers.Layer):
    """One of `SCORES` of float32 maps (num_images, height, width, filters), whatever the policy."""

    def __init__(self, score: str):
        super().__init__(name=fresh_name(score), dtype="float32", autocast=False)
        self.score = score

    def call(self, maps):
        if self.score == "mean":
            return ops.mean(maps, axis=(1, 2))
        if self.score == "max":
            return ops.max(maps, axis=(1, 2))
        return ops.sqrt(ops.sum(ops.square(maps), axis=(1, 2)))

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[3]


def _batches(images: Images) -> Iterable[np.ndarray]:
    return in_batches(images) if isinstance(images, np.ndarray) else images
