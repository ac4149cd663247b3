"""What is looked at: a run or somebody's own model, and the images that are shown to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.backend import require_backend
from kerascnn.data import load_dataset
from kerascnn.data.batches import Pictures
from kerascnn.data.cifar10 import Progress
from kerascnn.data.pictures import FITTED
from kerascnn.errors import DatasetError, ImageError, ModelError
from kerascnn.look.images import Shown, load_shown
from kerascnn.look.outputs import Interpretation, Meaning
from kerascnn.look.scores import Survey, keep_survey, kept_survey
from kerascnn.model.custom import load_custom
from kerascnn.model.inputs import WHOLE_RANGE, PictureInput, picture_input
from kerascnn.model.load import load_model
from kerascnn.run import Run
from kerascnn.run.files import sha256

if TYPE_CHECKING:
    import keras

    from kerascnn.look.classifier import Classifier
    from kerascnn.look.preparation import Preparation

# The layers of the package's own networks, so that a run's numbers are found without Keras.
RUN_LAYERS = {"conv": "conv1", "bn": "bn1", "relu": "relu1"}
# From so many images it is seen what a model's outputs mean.
FIRST = 8


@dataclass(frozen=True)
class ModelUse:
    """How somebody's own model is used; a run needs none of it but `batch_size`.

    Attributes:
        custom: Python files that define what the model is made of, see `model.custom`.
        value_range, preprocess, constants: see `look.preparation.Preparation`.
        outputs: what its outputs mean, see `look.outputs`; None to find out.
        output_name: which of several outputs tells the classes.
        data_format: `channels_first` or `channels_last` of the layer that is looked at, where the
            graph does not tell.
        batch_size: images at a time; None to choose it by the memory.
    """

    custom: tuple[Path, ...] = ()
    value_range: tuple[float, float] = WHOLE_RANGE
    preprocess: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    outputs: Meaning | None = None
    output_name: str | None = None
    data_format: str | None = None
    batch_size: int | None = None


class Subject:
    """A run or a model, with images.

    Args:
        run: a run, or None where `model_path` is given.
        model_path: a `.keras` file.
        images: see `load_shown`; empty for the run's own test images.
        split: see `load_shown`.
        use: how the model is used.
        progress: called in long passes, see `cifar10.Progress`.

    Attributes:
        remarks: what was assumed so far and a person should know, a sentence each.
    """

    def __init__(
        self,
        run: Run | None = None,
        model_path: Path | None = None,
        images: tuple[str | Path, ...] = (),
        data_dir: Path | None = None,
        split: str | None = None,
        use: ModelUse | None = None,
        progress: Progress | None = None,
    ):
        self.run, self.model_path, self.data_dir = run, model_path, data_dir
        self.use, self.remarks = use or ModelUse(), []
        self._images, self._split, self._progress = images, split, progress
        self._unread: dict[int, str] = {}

    @property
    def name(self) -> str:
        return self.run.name if self.run else self.model_path.name

    @cached_property
    def model(self) -> keras.Model:
        require_backend()
        if self.run:
            from kerascnn.evaluation import load_best_model

            return load_best_model(self.run)
        model = load_model(self.model_path, custom_objects=load_custom(self.use.custom))
        self._remark_on_pixels(model)
        return model

    @cached_property
    def picture_input(self) -> PictureInput:
        found = picture_input(self.model, self.use.constants)
        if found.any_size:
            height, width, _ = found.image_shape
            self.remarks.append(
                f"The model takes pictures of any size; they are shown at {height}x{width}."
            )
        return found

    @cached_property
    def shown(self) -> Shown:
        """All images, with those that turn out not to be readable."""
        if self._images:
            shape = self.picture_input.image_shape
            shown = load_shown(self._images, shape, self.data_dir, self._split)
            if isinstance(shown.images, Pictures):
                self.remarks.append(FITTED)
            return shown
        if not self.run:
            raise ImageError("--model needs --images: a folder, files, or a data set by name.")
        dataset = (self.run.recipe.data.dataset,)
        return load_shown(dataset, None, self.data_dir, self._split)

    @property
    def problems(self) -> tuple[str, ...]:
        """A message for each file that could not be read so far."""
        return (*self.shown.problems, *dict(sorted(self._unread.items())).values())

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that the model tells apart; numbers where they are not known.

        Somebody's own model is taken to tell apart the classes of the images shown where it has as
        many; empty where it is no classifier.
        """
        if self.run:
            return self._class_names_of(self.run)
        if not self.is_classifier:
            return ()
        count = self._interpretation.num_classes(self._classifier.output.shape[1])
        names = self.shown.class_names
        return names if len(names) == count else tuple(map(str, range(count)))

    @cached_property
    def is_classifier(self) -> bool:
        """Whether the model gives probabilities of classes or labels, or what they follow from."""
        if self._kept is not None:
            return True
        return self._interpretation.meaning != "none"

    @property
    def is_exclusive(self) -> bool:
        """Whether the model takes each image for one class; else each label stands by itself."""
        return bool(self.run) or self._interpretation.is_exclusive

    def probabilities(self, chosen: Sequence[int]) -> np.ndarray | None:
        """Probabilities of the classes, or labels, of some images that can be read.

        Args:
            chosen: indices of images, from 0.

        Returns:
            float32 (num_images, num_classes); None where the model is no classifier.
        """
        if self._kept is not None:
            return self._kept[list(chosen)]
        if not self.is_classifier:
            return None
        return self._classifier.answer(chosen, self._interpretation.meaning)

    def predictions(self) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
        """Batch by batch the images that can be read: indices, pixels, probabilities.

        Raises:
            ModelError: if the model is no classifier.
        """
        if not self.is_classifier:
            raise ModelError(self._classifier.why_none)
        images, done = self.shown.images, 0
        with closing(images.batches(self._classifier.batch_size)) as batches:
            for batch in batches:
                self._unread |= batch.problems
                done += len(batch.indices) + len(batch.problems)
                if len(batch.indices):
                    values = self._classifier.answer_to(batch.images, self._interpretation.meaning)
                    yield batch.indices.tolist(), batch.images, values
                if self._progress:
                    self._progress("predict", done, len(images))

    def describe_prediction(self, index: int) -> tuple[str | None, float | None]:
        """Name and probability of the class that an image is taken for, where there is one."""
        values = self.probabilities([index])
        if values is None or not self.is_exclusive:
            return None, None
        return self.class_names[values[0].argmax()], values[0].max()

    def first_readable(self, count: int) -> list[int]:
        """Indices of the first images that can be read, at most so many."""
        found: list[int] = []
        for batch in self.shown.images.batches(count):
            self._unread |= batch.problems
            found += batch.indices.tolist()
            if len(found) >= count:
                break
        return found[:count]

    def first_right(self, name: str) -> int | None:
        """Index of the first image of a class that the model takes for that class."""
        shown = self.shown
        # The images may be of other classes than the model tells apart, in another order.
        if shown.labels is None or not (self.is_classifier and self.is_exclusive):
            return None
        own = np.flatnonzero(shown.labels == shown.class_names.index(name)).tolist()
        for start in range(0, len(own), 32):
            some = self._readable(own[start : start + 32])
            values = self.probabilities(some) if some else np.empty((0, 0))
            for index, row in zip(some, values, strict=True):
                if self.class_names[row.argmax()] == name:
                    return index
        return None

    def layer(self, tap: str | None = None, layer: str | None = None) -> str:
        """Name of the layer that is meant by `--tap` and `--layer`.

        By default the activation of the first convolution, or the convolution where it has none.
        """
        if layer:
            return layer
        if self.run:
            return RUN_LAYERS[tap or "relu"]
        from kerascnn.model.taps import find_tap

        picture = self.picture_input.place if len(self.model.inputs or ()) > 1 else None
        try:
            found = find_tap(self.model, tap or "relu", picture)
        except ModelError:
            if tap:
                raise
            found = find_tap(self.model, "conv", picture)
        self.remarks.append(f"Layer: {found} (--layer names another).")
        return found

    def survey(self, layer: str) -> Survey:
        """What a layer answers to the images; kept in the run, where there is one."""
        shown = self.shown
        survey = self.run and kept_survey(self.run, shown.source, layer, len(shown.images))
        if not survey:
            survey = self._measure(layer)
            if self.run:
                keep_survey(self.run, shown.source, survey)
        if survey.indices is not None:
            unread = np.setdiff1d(np.arange(len(shown.images)), survey.indices)
            self._unread |= dict(zip(unread.tolist(), survey.problems, strict=True))
        return survey

    def maps(self, chosen: Sequence[int], layer: str) -> np.ndarray:
        """Feature maps of some images, float32 (num_images, height, width, filters).

        Raises:
            ModelError: if there is no such layer, or it gives numbers that are not finite.
        """
        from kerascnn.look.activations import build_extractor
        from kerascnn.look.forward import Forward

        extractor = build_extractor(self.model, layer, self.use.data_format)
        batch = self._prepare(self.shown.images.take(chosen))
        (maps,) = Forward(extractor, self.use.batch_size)(batch)
        if not np.isfinite(maps).all():
            raise ModelError(f"Layer '{layer}' gives numbers that are not finite.")
        return maps

    @cached_property
    def _kept(self) -> np.ndarray | None:
        """Probabilities that `evaluate` stored, if it did, for the images that are there now."""
        if not self.run or self._images or self._split or not self.run.is_evaluated:
            return None
        kept = self.run.read_predictions()
        if not np.array_equal(kept["labels"], self.shown.labels):
            return None
        if not np.isfinite(kept["probabilities"]).all():
            raise ModelError(f"{self.name} keeps predictions that are not finite.")
        return kept["probabilities"]

    @cached_property
    def _preparation(self) -> Preparation:
        from kerascnn.look.preparation import Preparation

        use = self.use
        return Preparation(use.value_range, use.preprocess, use.constants)

    @cached_property
    def _classifier(self) -> Classifier:
        from kerascnn.look.classifier import Classifier

        use = self.use
        return Classifier(
            self.model, self._prepare, self.shown.images.take, self.name,
            "logits" if self.run else use.outputs, use.output_name, use.batch_size,
        )  # fmt: skip

    @cached_property
    def _interpretation(self) -> Interpretation:
        """What the outputs mean."""
        found = self._classifier.interpret(lambda: self.first_readable(FIRST))
        if found.assumption:
            self.remarks.append(found.assumption)
        return found

    def _prepare(self, images: np.ndarray) -> list[np.ndarray]:
        return self._preparation.apply(images, self.model, self.picture_input)

    def _measure(self, layer: str) -> Survey:
        require_backend()
        from kerascnn.look.survey import Pass, measure

        shown = self.shown
        digests = [sha256(path) for path in self.use.custom]
        digests.append(self.run.best_digest() if self.run else sha256(self.model_path))
        asked = Pass(
            self.model,
            shown.images,
            layer,
            self._prepare,
            f"{digests} {shown.source} {shown.images.shape} {self._preparation}",
            self.use.data_format,
            self.use.batch_size,
            keeps=not self.run,
        )
        return measure(asked, self._progress)

    def _readable(self, chosen: Sequence[int]) -> list[int]:
        """Those of some images that can be read; the others are noted."""
        found = []
        for index in chosen:
            try:
                self.shown.images.take([index])
                found.append(index)
            except ImageError as error:
                self._unread[index] = str(error)
        return found

    def _remark_on_pixels(self, model: keras.Model) -> None:
        from kerascnn.look.preparation import missing_preprocessing

        if not self._preparation.keeps_pixels:
            return
        if module := missing_preprocessing(model):
            self.remarks.append(
                f"The model is built on one of {module}, which was trained on prepared pixels; it "
                f"gets pixels from 0 to 255. Give --preprocess {module} if it needs them prepared."
            )

    def _class_names_of(self, run: Run) -> tuple[str, ...]:
        if run.metrics_path.exists():
            return run.read_metrics().class_names
        try:
            return load_dataset(run.recipe.data.dataset, self.data_dir).class_names
        except DatasetError:
            return tuple(str(index) for index in range(self.model.output_shape[-1]))
