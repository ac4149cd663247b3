"""What is looked at: a run or somebody's own model, and the images that are shown to it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy

from kerascnn.backend import require_backend
from kerascnn.data import load_dataset
from kerascnn.errors import DatasetError, ImageError, ModelError
from kerascnn.look.images import BATCH_SIZE, Shown, load_shown
from kerascnn.look.scores import Survey, keep_survey, kept_survey
from kerascnn.model.calls import call
from kerascnn.model.custom import load_custom
from kerascnn.model.load import input_shape, load_model, takes_channels_first
from kerascnn.run import Run

if TYPE_CHECKING:
    import keras

# The layers of the package's own networks, so that a run's numbers are found without Keras.
RUN_LAYERS = {"conv": "conv1", "bn": "bn1", "relu": "relu1"}


class Subject:
    """A run or a model, with images.

    Args:
        run: a run, or None where `model_path` is given.
        model_path: a `.keras` file.
        images: see `load_shown`; empty for the run's own test images.
        value_range: lowest and highest pixel value that the model takes; a run's takes 0 to 255.
        custom: Python files that define what the model is made of, see `load_custom`.
    """

    def __init__(
        self,
        run: Run | None = None,
        model_path: Path | None = None,
        images: tuple[str | Path, ...] = (),
        data_dir: Path | None = None,
        value_range: tuple[float, float] = (0.0, 255.0),
        custom: tuple[Path, ...] = (),
    ):
        self.run, self.model_path, self.data_dir = run, model_path, data_dir
        self._images, self._value_range, self._custom = images, value_range, custom

    @property
    def name(self) -> str:
        return self.run.name if self.run else self.model_path.name

    @cached_property
    def model(self) -> keras.Model:
        require_backend()
        if not self.run:
            model = load_model(self.model_path, custom_objects=load_custom(self._custom))
            input_shape(model)  # is an error where it takes no pictures
            return model
        from kerascnn.evaluation import load_best_model

        return load_best_model(self.run)

    @cached_property
    def shown(self) -> Shown:
        if self._images:
            return _readable(load_shown(self._images, input_shape(self.model), self.data_dir))
        if not self.run:
            raise ImageError("--model needs --images: a folder, files, or a data set by name.")
        return load_shown((self.run.recipe.data.dataset,), None, self.data_dir)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that the model tells apart; numbers where they are not known.

        Somebody's own model is taken to tell apart the classes of the images shown where it has as
        many; empty where it is no classifier.
        """
        if self.run:
            return self._class_names_of(self.run)
        if self.probabilities is None:
            return ()
        count = self.probabilities.shape[1]
        if len(self.shown.class_names) == count:
            return self.shown.class_names
        return tuple(str(index) for index in range(count))

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """Class probabilities, float32 (num_images, num_classes), if the model gives them."""
        values = self._kept_probabilities()
        if values is None and self.run:
            from kerascnn.evaluation import predict

            values = predict(self.model, self.shown.images.take(range(len(self.shown.images))))
        # A classifier gives one row of numbers an image.
        elif values is None and [len(output.shape) for output in self.model.outputs] == [2]:
            outputs = (call(self.model, batch, self.name) for batch in self.batches())
            values = np.concatenate([values for (values,) in outputs]).astype("float32")
        if values is not None and not np.isfinite(values).all():
            raise ModelError(f"{self.name} gives outputs that are not finite.")
        return values if self.run or values is None else _to_probabilities(self.model, values)

    @property
    def predictions(self) -> np.ndarray | None:
        """Predicted classes, int (num_images,)."""
        return None if self.probabilities is None else self.probabilities.argmax(axis=1)

    def batches(self, chosen: list[int] | None = None) -> Iterator[np.ndarray]:
        """The images, or those chosen, as the model takes them: its values, order of dimensions."""
        images, (low, high) = self.shown.images, self._value_range
        some = (
            [images.take(chosen)]
            if chosen is not None
            else (b.images for b in images.batches(BATCH_SIZE))
        )
        for batch in some:
            if (low, high) != (0.0, 255.0):
                batch = batch.astype("float32") * ((high - low) / 255) + low
            yield np.moveaxis(batch, -1, 1) if takes_channels_first(self.model) else batch

    def layer(self, tap: str, layer: str | None) -> str:
        """Name of the layer that is meant by `--tap` and `--layer`."""
        if layer:
            return layer
        if self.run:
            return RUN_LAYERS[tap]
        from kerascnn.model.taps import find_tap

        return find_tap(self.model, tap)

    def survey(self, layer: str) -> Survey:
        """What a layer answers to the images; kept in the run, where there is one."""
        source, num_images = self.shown.source, len(self.shown.images)
        if self.run and (kept := kept_survey(self.run, source, layer, num_images)):
            return kept
        require_backend()
        from kerascnn.look.activations import measure

        survey = measure(self.model, self.batches(), layer)
        if self.run:
            keep_survey(self.run, source, survey)
        return survey

    def _class_names_of(self, run: Run) -> tuple[str, ...]:
        if run.metrics_path.exists():
            return run.read_metrics().class_names
        try:
            return load_dataset(run.recipe.data.dataset, self.data_dir).class_names
        except DatasetError:
            return tuple(str(index) for index in range(self.model.output_shape[-1]))

    def _kept_probabilities(self) -> np.ndarray | None:
        """Those that `evaluate` stored, if it did, and for the images that are there now."""
        if not self.run or self._images or not self.run.is_evaluated:
            return None
        kept = self.run.read_predictions()
        return kept["probabilities"] if np.array_equal(kept["labels"], self.shown.labels) else None


def _readable(shown: Shown) -> Shown:
    """Without the files that cannot be read.

    Raises:
        ImageError: if that is all of them.
    """
    batches = [(batch.indices, batch.problems) for batch in shown.images.batches(BATCH_SIZE)]
    problems = [problem for _, of_batch in batches for problem in of_batch]
    indices = np.concatenate([indices for indices, _ in batches])
    if not len(indices):
        raise ImageError(f"No picture can be read. The first: {problems[0]}")
    return shown.only(indices, problems)


def _to_probabilities(model: keras.Model, outputs: np.ndarray) -> np.ndarray:
    """Class probabilities from logits, or from what are probabilities already.

    One unit gives the second of two classes, as Keras's binary cross-entropy has it.
    """
    from kerascnn.model.activation import ends_in_sigmoid

    if outputs.shape[1] == 1:
        share = outputs if ends_in_sigmoid(model) else scipy.special.expit(outputs)
        return np.concatenate([1 - share, share], axis=1)
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        return outputs
    return scipy.special.softmax(outputs, axis=1)
