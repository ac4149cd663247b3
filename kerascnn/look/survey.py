"""One pass of many images through a model up to a layer: a number an image, filter and score."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import keras
import numpy as np

from kerascnn.backend import describe_backend
from kerascnn.data.batches import Images
from kerascnn.data.cifar10 import Progress
from kerascnn.errors import ImageError, LookInterrupted, ModelError
from kerascnn.look.activations import build_scorer
from kerascnn.look.forward import Forward
from kerascnn.look.images import none_readable
from kerascnn.look.ledger import Ledger
from kerascnn.look.scores import SCORES, Survey
from kerascnn.model.calls import calling
from kerascnn.model.taps import effective_kernels


@dataclass(frozen=True)
class Pass:
    """What is shown to which layer of what model.

    Attributes:
        images: all of them; those that cannot be read are left out and named in the survey.
        prepare: pixels, uint8 (num_images, height, width, channels), to what the model takes.
        key: names the model, the images and the preparation; the same key must mean the same.
        data_format: which axis of the layer holds its filters; None to find it in the graph.
        batch_size: images at a time; None to choose it.
        keeps: whether the numbers of a long pass are kept for another process.
    """

    model: keras.Model
    images: Images
    layer: str
    prepare: Callable[[np.ndarray], list[np.ndarray]]
    key: str
    data_format: str | None = None
    batch_size: int | None = None
    keeps: bool = True


def measure(asked: Pass, progress: Progress | None = None) -> Survey:
    """Show the images and keep one number an image, filter and score.

    A pass that took long and was interrupted goes on where it stopped.

    Raises:
        ModelError: if there is no such layer, or it gives a number that is not finite.
        ImageError: if no image can be read.
        LookInterrupted: if the person stops it.
    """
    scorer = build_scorer(asked.model, asked.layer, SCORES, asked.data_format)
    about = describe_backend()
    made_by = about["backend"], about["device"], about["versions"]
    ledger = Ledger(f"{asked.key} {asked.layer} {asked.data_format} {made_by}")
    is_whole = False
    try:
        _fill(ledger, scorer, asked, progress)
        is_whole = True
        survey = _read(ledger, asked)
    except KeyboardInterrupt as interrupt:
        ledger.flush()
        done, kept, total = ledger.next, ledger.kept, len(asked.images)
        raise LookInterrupted(done, kept, total, interrupt) from None
    finally:
        ledger.close(keep=asked.keeps or not is_whole)
    return survey


def _fill(ledger: Ledger, scorer: keras.Model, asked: Pass, progress: Progress | None) -> None:
    if ledger.is_finished:
        return
    # Of a look that goes on, the batches are those that it would have had.
    forward = Forward(scorer, asked.batch_size or ledger.batch_size)
    total, size = len(asked.images), forward.batch_size
    ledger.batch_size = size
    with closing(asked.images.batches(size, ledger.next)) as batches:
        for batch in batches:
            scores: tuple[np.ndarray, ...] = (np.empty((0, 0), "float32"),) * len(SCORES)
            if len(batch.indices):
                scores = tuple(forward(asked.prepare(batch.images)))
            if not all(np.isfinite(values).all() for values in scores):
                raise ModelError(f"Layer '{asked.layer}' gives numbers that are not finite.")
            following = min(ledger.next + size, total)
            ledger.add(scores, batch.problems, following)
            if progress:
                progress("look", ledger.next, total)
    if len(ledger.problems) == total:
        raise ImageError(none_readable(list(ledger.problems.values()), total))
    ledger.finish()


def _read(ledger: Ledger, asked: Pass) -> Survey:
    problems, indices = ledger.problems, None
    if problems:
        indices = np.setdiff1d(np.arange(len(asked.images)), list(problems))
    scores = ledger.read()
    with calling():
        kernels = effective_kernels(asked.model, asked.layer)
    # Of another axis than that of the filters, there are no kernels.
    if kernels is not None and kernels.shape[-1] != scores[SCORES[0]].shape[1]:
        kernels = None
    return Survey(asked.layer, scores, kernels, indices, tuple(problems.values()))
