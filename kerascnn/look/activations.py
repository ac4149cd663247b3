"""What a layer answers to images: feature maps, and the images that excite each filter most.

Works for any functional or Sequential Keras model, on every backend. Filters count from 0 here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerascnn.look.arrays import batches_of
from kerascnn.look.forward import Forward
from kerascnn.look.scores import SCORES
from kerascnn.model.axes import to_channels_last
from kerascnn.model.calls import calling
from kerascnn.model.graph import attach, find_output, fresh_name, sub_model


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
    model: keras.Model,
    images: Any,
    layer: str,
    data_format: str | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """What a layer gives for images.

    Args:
        model: functional or Sequential, built.
        images: (num_images, height, width, channels) as the model takes them, or an iterable of
            such batches, see `look.arrays.batches_of`.
        layer: as for `model.graph.truncate`.
        data_format: `channels_first` or `channels_last`, where the graph does not tell which axis
            of the layer's output holds its filters.
        batch_size: images at a time; where None chosen by the memory.

    Returns:
        float32 (num_images, height, width, filters), also where the model is channels_first; of a
        layer of units, such as a Dense, (num_images, 1, 1, units); of tokens, see
        `model.axes.to_channels_last`.

    Raises:
        ModelError: if there is no such layer, or the images do not fit the model.
    """
    forward = Forward(build_extractor(model, layer, data_format), batch_size)
    return np.concatenate([forward(batch)[0] for batch in batches_of(images, model)])


def filter_scores(
    model: keras.Model,
    images: Any,
    layer: str,
    scores: tuple[str, ...] = ("mean",),
    data_format: str | None = None,
    batch_size: int | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """One number an image, filter and score, batch by batch, reckoned in float32.

    Args:
        model, images, layer, data_format, batch_size: as for `feature_maps`.
        scores: of `mean` over the map's pixels, `max`, and `l2` (root of the sum of squares).

    Yields:
        For each score, float32 (num_images of the batch, filters).
    """
    forward = Forward(build_scorer(model, layer, scores, data_format), batch_size)
    for batch in batches_of(images, model):
        yield tuple(forward(batch))


def build_extractor(model: keras.Model, layer: str, data_format: str | None = None) -> keras.Model:
    """The model up to a layer's feature maps, with the filters last."""
    with calling():
        return sub_model(model, to_channels_last(find_output(model, layer), data_format))


def build_scorer(
    model: keras.Model, layer: str, scores: tuple[str, ...], data_format: str | None = None
) -> keras.Model:
    """The model up to scores of a layer's feature maps, see `filter_scores`."""
    unknown = sorted(set(scores) - set(SCORES))
    if unknown:
        raise ValueError(f"score must be one of {', '.join(SCORES)}. Received: {unknown[0]!r}")
    with calling():
        maps = to_channels_last(find_output(model, layer), data_format)
        return sub_model(model, [attach(MapScore(score), maps) for score in scores])


def top_activations(
    model: keras.Model,
    images: Any,
    layer: str,
    k: int = 5,
    score: str = "mean",
    data_format: str | None = None,
    batch_size: int | None = None,
) -> TopActivations:
    """The k images that excite each filter of a layer most, exactly, in one pass.

    Memory does not grow with the number of images where they come as an iterable of batches.

    Args:
        model, images, layer, data_format, batch_size: as for `feature_maps`. Images count from 0 in
            their order.
        k: images for each filter.
        score: as for `filter_scores`.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: k={k}")
    state, seen = None, 0
    for (scores,) in filter_scores(model, images, layer, (score,), data_format, batch_size):
        state = state or TopActivations.empty(scores.shape[1], k)
        state = state.update(scores, np.arange(seen, seen + len(scores)))
        seen += len(scores)
    return state


class MapScore(layers.Layer):
    """One of `SCORES` of float32 maps (num_images, height, width, filters), whatever the policy."""

    def __init__(self, score: str):
        super().__init__(name=fresh_name(score), dtype="float32", autocast=False)
        self.score = score

    def call(self, maps):
        # In two steps: TensorFlow adds one number after the other, which of 50,000 pixels leaves
        # an error of 4e-4.
        if self.score == "mean":
            return ops.mean(ops.mean(maps, axis=2), axis=1)
        if self.score == "max":
            return ops.max(maps, axis=(1, 2))
        return ops.sqrt(ops.sum(ops.sum(ops.square(maps), axis=2), axis=1))

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[3]
