"""What a model takes images for: the output that tells the classes, and what its numbers mean."""

from collections.abc import Callable, Sequence
from functools import cached_property

import keras
import numpy as np

from kerascnn.errors import ModelError
from kerascnn.look.forward import Forward
from kerascnn.look.outputs import Interpretation, Meaning, interpret_outputs, to_probabilities
from kerascnn.model.activation import final_activation
from kerascnn.model.calls import calling
from kerascnn.model.graph import sub_model


class Classifier:
    """A model up to the output that tells the classes, if one does.

    Args:
        model: functional or Sequential, built.
        prepare: pixels, uint8 (num_images, height, width, channels), to what the model takes.
        take: some images by their indices, uint8 (num_images, height, width, channels).
        name: what to call the model in an error.
        outputs: what its outputs mean; None to find out.
        output_name: which of several outputs tells the classes.
        batch_size: images at a time; None to choose it.
    """

    def __init__(
        self,
        model: keras.Model,
        prepare: Callable[[np.ndarray], list[np.ndarray]],
        take: Callable[[Sequence[int]], np.ndarray],
        name: str,
        outputs: Meaning | None = None,
        output_name: str | None = None,
        batch_size: int | None = None,
    ):
        self._model, self._prepare, self._take, self._name = model, prepare, take, name
        self._outputs, self._output_name, self._batch_size = outputs, output_name, batch_size
        self._answers: dict[int, np.ndarray] = {}

    @property
    def batch_size(self) -> int:
        return self._forward.batch_size

    @cached_property
    def output(self) -> keras.KerasTensor | None:
        """The output that gives one row of numbers an image: the only such one, or that named."""
        outputs = self._outputs_by_name
        if self._output_name:
            if self._output_name not in outputs:
                raise ModelError(
                    f"The model has no output '{self._output_name}'; it has {self._described}."
                )
            outputs = {self._output_name: outputs[self._output_name]}
        rows = [each for each in outputs.values() if len(each.shape) == 2]
        return rows[0] if len(rows) == 1 else None

    @property
    def why_none(self) -> str:
        """Why the model tells no classes."""
        outputs = self._outputs_by_name.values()
        if self._is_undecided:
            return (
                f"The model has several outputs, {self._described}; none is taken for classes. "
                "Name one with --output-name."
            )
        shapes = ", ".join(str(tuple(each.shape)) for each in outputs)
        given = f"{self._name} gives outputs of shape {shapes}"
        if self.output is None:
            return f"{given}; expected a number for each class, (num_images, num_classes)."
        return f"{given} that are not taken for classes; --outputs says what they mean."

    def interpret(self, some: Callable[[], Sequence[int]]) -> Interpretation:
        """What the outputs mean.

        Args:
            some: gives indices of images, on which it is decided where it has to be.
        """
        if self.output is None:
            return Interpretation("none", self.why_none if self._is_undecided else "")
        if self._outputs:
            return Interpretation(self._outputs)
        values = self._values_of(some())
        with calling(self._name):
            activation = final_activation(self._model, self.output)
        return interpret_outputs(values, activation)

    def answer(self, chosen: Sequence[int], meaning: Meaning) -> np.ndarray:
        """Probabilities for some images by their indices, float32 (num_images, num_classes)."""
        return to_probabilities(self._values_of(chosen), meaning)

    def answer_to(self, images: np.ndarray, meaning: Meaning) -> np.ndarray:
        """Probabilities for pixels, uint8 (num_images, height, width, channels)."""
        return to_probabilities(self._values(images), meaning)

    @cached_property
    def _forward(self) -> Forward:
        with calling(self._name):
            model = sub_model(self._model, self.output)
        return Forward(model, self._batch_size, self._name)

    @property
    def _outputs_by_name(self) -> dict[str, keras.KerasTensor]:
        # A Sequential model has no names of outputs.
        names = getattr(self._model, "output_names", [self._model.name])
        return dict(zip(names, self._model.outputs, strict=True))

    @property
    def _is_undecided(self) -> bool:
        """Whether several outputs could tell the classes, and none is named."""
        rows = [each for each in self._outputs_by_name.values() if len(each.shape) == 2]
        return not self._output_name and len(rows) > 1

    @property
    def _described(self) -> str:
        outputs = self._outputs_by_name.items()
        return ", ".join(f"{name} {tuple(each.shape)}" for name, each in outputs)

    def _values_of(self, chosen: Sequence[int]) -> np.ndarray:
        """What the output is for some images, (num_images, num_outputs)."""
        missing = [index for index in chosen if index not in self._answers]
        for start in range(0, len(missing), self.batch_size):
            some = missing[start : start + self.batch_size]
            self._answers |= dict(zip(some, self._values(self._take(some)), strict=True))
        return np.stack([self._answers[index] for index in chosen])

    def _values(self, images: np.ndarray) -> np.ndarray:
        (values,) = self._forward(self._prepare(images))
        if not np.isfinite(values).all():
            raise ModelError(f"{self._name} gives outputs that are not finite.")
        return values
