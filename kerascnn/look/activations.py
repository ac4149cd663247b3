"""What a layer answers to images: feature maps, and the images that excite each filter most.

Works for any functional or Sequential Keras model, on every backend. Filters count from 0 here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from kerascnn.backend import keep_freed_memory
from kerascnn.errors import ModelError

BATCH_SIZE = 250
SCORES = ("mean", "max", "l2")


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
        """Images kept for each filter."""
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


def truncate(model: keras.Model, layer: str) -> keras.Model:
    """The sub-model from the input to a layer; it shares the model's variables.

    Args:
        model: functional or Sequential, built.
        layer: name of a layer. Of a layer that is used several times the last use is meant, or the
            n-th by `name:n`, counted from 1.

    Raises:
        ModelError: if the model has no such layer, or no graph to cut.
    """
    return _sub_model(model, find_output(model, layer))


def find_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """The symbolic output of a layer in a model; arguments and errors as for `truncate`."""
    graph = _graph_of(model)
    outputs = _outputs_by_name(graph)
    name, use = layer, -1
    if layer not in outputs and ":" in layer:
        name, _, number = layer.rpartition(":")
        use = int(number) - 1 if number.isdecimal() and int(number) > 0 else None
    if name not in outputs or use is None or use >= len(outputs[name]):
        known = ", ".join(f"{key} {shape}" for key, shape in describe_layers(model))
        raise ModelError(f"The model has no layer '{layer}'. Its layers are: {known}.")
    return outputs[name][use]


def describe_layers(model: keras.Model) -> list[tuple[str, tuple]]:
    """Name and output shape of every use of a layer, as `truncate` takes it, inputs first."""
    rows = []
    for name, outputs in _outputs_by_name(_graph_of(model)).items():
        many = len(outputs) > 1
        rows += [
            (f"{name}:{use}" if many else name, tuple(output.shape))
            for use, output in enumerate(outputs, start=1)
        ]
    return rows


def feature_maps(
    model: keras.Model, images: np.ndarray | Iterable[np.ndarray], layer: str
) -> np.ndarray:
    """What a layer gives for images.

    Args:
        model: functional or Sequential, built.
        images: (num_images, height, width, channels) as the model takes them, or an iterable of
            such batches.
        layer: as for `truncate`.

    Returns:
        float32 (num_images, height, width, filters), also where the model is channels_first; of a
        layer of units, such as a Dense, (num_images, 1, 1, units).
    """
    output = find_output(model, layer)
    extractor = _sub_model(model, _channels_last(output))
    batches = (extractor.predict_on_batch(np.asarray(batch)) for batch in _batches(images))
    return np.concatenate([np.asarray(maps, "float32") for maps in batches])


def filter_scores(
    model: keras.Model,
    images: np.ndarray | Iterable[np.ndarray],
    layer: str,
    scores: tuple[str, ...] = ("mean",),
) -> Iterator[tuple[np.ndarray, ...]]:
    """One number an image, filter and score, batch by batch.

    Args:
        model, images, layer: as for `feature_maps`.
        scores: of `mean` over the map's pixels, `max`, and `l2` (root of the sum of squares).

    Yields:
        For each score, float32 (num_images of the batch, filters).
    """
    unknown = sorted(set(scores) - set(SCORES))
    if unknown:
        raise ValueError(f"score must be one of {', '.join(SCORES)}. Received: {unknown[0]!r}")
    keep_freed_memory()
    maps = _channels_last(find_output(model, layer))
    scorer = _sub_model(model, [_reduce(maps, score) for score in scores])
    for batch in _batches(images):
        answers = scorer.predict_on_batch(np.asarray(batch))
        answers = answers if isinstance(answers, list) else [answers]
        yield tuple(np.asarray(answer, "float32") for answer in answers)


def top_activations(
    model: keras.Model,
    images: np.ndarray | Iterable[np.ndarray],
    layer: str,
    k: int = 5,
    score: str = "mean",
) -> TopActivations:
    """The k images that excite each filter of a layer most, exactly, in one pass.

    Memory does not grow with the number of images where they come as an iterable of batches.

    Args:
        model, images, layer: as for `feature_maps`. Images count from 0 in their order.
        k: images for each filter.
        score: as for `filter_scores`.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1. Received: k={k}")
    state, seen = None, 0
    for (scores,) in filter_scores(model, images, layer, (score,)):
        state = state or TopActivations.empty(scores.shape[1], k)
        state = state.update(scores, np.arange(seen, seen + len(scores)))
        seen += len(scores)
    if state is None:
        raise ValueError("There are no images to rank.")
    return state


def layers_of(model: keras.Model) -> dict[str, keras.Operation]:
    """Layers and other operations of a model by name, in the order of the graph, inputs first."""
    return {operation.name: operation for operation in _graph_of(model).operations}


def _graph_of(model: keras.Model):
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if not hasattr(graph, "_nodes_by_depth"):
        raise ModelError(
            "The model has no graph of layers to cut: it must be functional, or a built Sequential."
        )
    return graph


def _sub_model(model: keras.Model, outputs) -> keras.Model:
    inputs = model.inputs
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)


def _outputs_by_name(graph) -> dict[str, list[keras.KerasTensor]]:
    """Outputs of each layer's uses in this model, in the order of the calls."""
    # A layer may be used by other models too; those uses are other nodes.
    own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    return {
        operation.name: [
            node.output_tensors[0] for node in operation._inbound_nodes if id(node) in own
        ]
        for operation in graph.operations
    }


def _channels_last(output: keras.KerasTensor) -> keras.KerasTensor:
    rank = len(output.shape)
    if rank == 2:
        return ops.expand_dims(ops.expand_dims(output, 1), 1)
    if rank != 4:
        raise ModelError(
            f"A layer of output shape {tuple(output.shape)} has no feature maps; expected "
            "(num_images, height, width, filters) or (num_images, units)."
        )
    return ops.transpose(output, (0, 2, 3, 1)) if _is_channels_first(output) else output


def _is_channels_first(output: keras.KerasTensor) -> bool:
    """Whether the nearest layer before it that has a data format is channels_first."""
    tensors = [output]
    while tensors:
        operation, node, _ = tensors.pop(0)._keras_history
        data_format = getattr(operation, "data_format", None)
        if data_format is not None:
            return data_format == "channels_first"
        tensors += operation._inbound_nodes[node].input_tensors
    return False


def _reduce(maps: keras.KerasTensor, score: str) -> keras.KerasTensor:
    if score == "mean":
        return ops.mean(maps, axis=(1, 2))
    if score == "max":
        return ops.max(maps, axis=(1, 2))
    return ops.sqrt(ops.sum(ops.square(maps), axis=(1, 2)))


def _batches(images: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    if not isinstance(images, np.ndarray):
        yield from images
        return
    for start in range(0, len(images), BATCH_SIZE):
        yield images[start : start + BATCH_SIZE]
