"""What a classifier's numbers mean: probabilities of classes, logits, or labels of their own."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy

from kerascnn.errors import ModelError

Meaning = Literal["probabilities", "logits", "sigmoid", "none"]
MEANINGS = get_args(Meaning)
# Half precision leaves the sum of some hundred probabilities so far from 1.
SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Interpretation:
    """How the outputs of a model are read.

    Attributes:
        meaning: `probabilities` of classes that exclude each other; `logits` of such, on which
            softmax (of one unit: the sigmoid) still has to act; `sigmoid`, a probability for each
            label, of which any number may be right; or `none`, where the outputs are no classes.
        assumption: what was assumed and how to say otherwise, in a sentence; empty where the
            model's graph and its numbers leave no doubt.
    """

    meaning: Meaning
    assumption: str = ""

    @property
    def is_exclusive(self) -> bool:
        """Whether exactly one class is right, so that there is a predicted class."""
        return self.meaning in ("probabilities", "logits")

    def num_classes(self, num_outputs: int) -> int:
        """How many classes or labels so many outputs tell; one unit tells two classes apart."""
        return 2 if num_outputs == 1 and self.is_exclusive else num_outputs


def interpret_outputs(values: np.ndarray, activation: str | None) -> Interpretation:
    """Decide what numbers mean from the numbers themselves and from what the model's graph says.

    Args:
        values: what the model gives for some images, float (num_images, num_outputs).
        activation: the last one in the graph, see `model.activation.final_activation`; None where
            it cannot be told.
    """
    is_share = bool(((values >= 0) & (values <= 1)).all())
    sums_to_one = is_share and bool(np.allclose(values.sum(axis=1), 1, atol=SUM_TOLERANCE))
    one_unit = values.shape[1] == 1
    if activation == "softmax" and sums_to_one and not one_unit:
        return Interpretation("probabilities")
    if activation == "sigmoid" and is_share:
        return Interpretation("probabilities" if one_unit else "sigmoid")
    if activation not in (None, "linear", "softmax", "sigmoid"):
        return _assume("none", f"The model's last activation is {activation}")
    if activation == "linear" and not (sums_to_one and not one_unit):
        return _assume("logits", "The model's outputs have no activation")
    if sums_to_one and not one_unit:
        return _assume("probabilities", "The model's outputs are positive and sum to 1")
    if is_share:
        meaning = "probabilities" if one_unit else "sigmoid"
        return _assume(meaning, "The model's outputs lie between 0 and 1")
    return _assume("logits", "The model's outputs do not lie between 0 and 1")


def to_probabilities(values: np.ndarray, meaning: Meaning) -> np.ndarray:
    """Probabilities from outputs of a known meaning.

    One unit of exclusive classes gives the second of two, as Keras's binary cross-entropy has it.

    Args:
        values: float (num_images, num_outputs).
        meaning: any but `none`.

    Returns:
        float32 (num_images, num_classes); of one unit (num_images, 2), but for `sigmoid`.

    Raises:
        ModelError: if the values cannot be what they are said to be.
    """
    values = np.asarray(values, "float32")
    if meaning == "logits":
        if values.shape[1] == 1:
            return _two_classes(scipy.special.expit(values))
        return scipy.special.softmax(values, axis=1)
    if not ((values >= 0) & (values <= 1)).all():
        worst = values.flat[np.abs(values - 0.5).argmax()]
        raise ModelError(
            f"The outputs cannot be {_WORDS[meaning]}: one is {worst:.3g}, which is not between 0 "
            "and 1. Give --outputs logits, or none."
        )
    if meaning == "probabilities" and values.shape[1] == 1:
        return _two_classes(values)
    if meaning == "probabilities" and not np.allclose(values.sum(axis=1), 1, atol=SUM_TOLERANCE):
        total = values.sum(axis=1)
        worst = total[np.abs(total - 1).argmax()]
        raise ModelError(
            f"The outputs cannot be {_WORDS[meaning]}: those of an image sum to {worst:.3g}, not "
            "to 1. Give --outputs sigmoid where each label has its own probability."
        )
    return values


_WORDS = {
    "probabilities": "probabilities of classes",
    "logits": "logits",
    "sigmoid": "probabilities, one for each label",
    "none": "no classes",
}


def _assume(meaning: Meaning, why: str) -> Interpretation:
    others = ", ".join(each for each in MEANINGS if each != meaning)
    said = f"{why}; they are taken for {_WORDS[meaning]}. Give --outputs to say otherwise"
    return Interpretation(meaning, f"{said}: {others}.")


def _two_classes(share: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - share, share], axis=1)
