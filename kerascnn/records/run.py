"""What a run leaves behind: its history, its environment, and how good its best model is."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Literal, Self

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from kerascnn.records import Record


class Epoch(Record):
    """One epoch of training: losses are means over images, accuracies fractions from 0 to 1.

    Attributes:
        epoch: its number, from 1.
        loss, accuracy: of the training images, as augmented, while they train.
        val_loss, val_accuracy: of the validation images after the epoch.
        seconds: how long it took.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


# Of an epoch, or the columns of a history.
_numbers_of = attrgetter(*Epoch.model_fields)


class History(Record):
    """All epochs of a run, a column each as in `Epoch`; empty before the first epoch's end."""

    epoch: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    val_loss: tuple[float, ...] = ()
    val_accuracy: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Epoch]) -> Self:
        """The history of these epochs, in their order."""
        columns = zip(*map(_numbers_of, rows), strict=True)
        return cls(**dict(zip(cls.model_fields, columns, strict=False)))

    def __len__(self) -> int:
        """How many epochs there are."""
        return len(self.epoch)

    @property
    def table(self) -> list[tuple[float, ...]]:
        """The numbers of the epochs one by one, in the order of the columns."""
        return list(zip(*_numbers_of(self), strict=True))

    @property
    def rows(self) -> tuple[Epoch, ...]:
        """The epochs one by one."""
        names = tuple(Epoch.model_fields)
        return tuple(Epoch(**dict(zip(names, values, strict=True))) for values in self.table)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of lowest validation loss, the first of several; None before any epoch."""
        return self.epoch[self.val_loss.index(min(self.val_loss))] if self.val_loss else None

    @property
    def best_val_loss(self) -> float | None:
        """The lowest validation loss; None before any epoch."""
        return min(self.val_loss, default=None)

    @property
    def train_loss(self) -> float | None:
        """The training loss of the last epoch; None before any epoch."""
        return self.loss[-1] if self.loss else None


class Checkpoint(Record):
    """How far training is, as of the end of its last whole epoch.

    Attributes:
        history: the epochs.
        best: sha256 of `best.keras` after the last of them; None before the first.
        best_before: the same before that epoch.
        recipe: as TOML, as training began with it.
        dataset: digest of the training images and labels, see `Dataset.training_digest`.
        fast: whether kerascnn's own training step was asked for.
    """

    history: tuple[Epoch, ...] = ()
    best: str | None = None
    best_before: str | None = None
    recipe: str
    dataset: str | None = None
    fast: bool = True

    def after(self, epoch: Epoch, best: str | None) -> Self:
        """The checkpoint after one more epoch, with the model that is the best one by then."""
        changed = {"history": (*self.history, epoch), "best": best, "best_before": self.best}
        return self.model_copy(update=changed)


class ConvertedFrom(Record):
    """The file of weights that a run was made of.

    Attributes:
        file: its name.
        num_rounded: tensors whose numbers, of float64, had to be rounded to float32.
    """

    file: str
    sha256: str | None = None
    num_rounded: int = 0


class Environment(Record):
    """Where and with what a run was made; None where it is not known.

    Attributes:
        backend: `torch`, `jax` or `tensorflow`.
        device: `cpu`, or the name of the GPU.
        threads: how many compute.
        versions: of packages, by their names.
        python, platform: such as `3.11.9` and `Linux x86_64`.
        fast_step: whether kerascnn's own training step was taken.
        together: how many networks trained in the same process as one computation, where it was
            more than this one; the seconds of an epoch are then those of all.
        num_parameters: weights of the network, also those that are not trained.
        commit: of the package, where it is a checkout of git.
        started: date and time, ISO 8601.
        wall_seconds: seconds of all epochs, once training is finished.
        converted_from: the file of weights that the run was made of.
        resumed: the environment of each time that training went on.
    """

    model_config = ConfigDict(extra="allow")

    backend: str | None = None
    device: str | None = None
    threads: int | None = None
    versions: dict[str, str] = {}
    python: str | None = None
    platform: str | None = None
    fast_step: bool | None = None
    together: int | None = None
    num_parameters: int | None = None
    commit: str | None = None
    converted_from: ConvertedFrom | None = None
    started: str | None = None
    resumed: tuple["Environment", ...] = ()
    wall_seconds: float | None = None


class RunSummary(Record):
    """One line about a run, also where it is unfinished or damaged; None where not known.

    Attributes:
        run: its name.
        recipe, dataset, seed: what it trains.
        best_epoch, best_val_loss: the epoch of lowest validation loss so far.
        accuracy: test accuracy of that epoch, a fraction.
        status: see `Run.status`; or `damaged: ` and why.
    """

    run: str
    recipe: str | None = None
    dataset: str | None = None
    seed: int | None = None
    best_epoch: int | None = None
    best_val_loss: float | None = None
    accuracy: float | None = None
    status: str


class ClassAccuracy(Record):
    """Test accuracy of one class.

    Attributes:
        name, count: of the class; how many images it has.
        accuracy: share of them that are right; None where there are none.
        low, high: 95 % interval by Wilson's score (Wilson 1927).
        reported: what the study gave; None where it gave nothing.
    """

    name: str
    accuracy: float | None
    low: float
    high: float
    count: int
    reported: float | None = None


class SplitMeasures(Record):
    """How good a model is on the images of one split.

    Attributes:
        accuracy: share of images that are right.
        low, high: its 95 % interval by Wilson's score (Wilson 1927).
        loss: mean cross-entropy, natural logarithm.
        num_images: images of the split.
        per_class: in the order of the labels.
        confusion: counts; rows are true classes, columns predicted ones.
    """

    accuracy: float
    low: float
    high: float
    loss: float
    num_images: int
    per_class: tuple[ClassAccuracy, ...]
    confusion: tuple[tuple[int, ...], ...]


class ReportedNumbers(Record):
    """What a study reported of a run as a whole; what it did not report is not dumped.

    Attributes:
        best_val_loss: lowest validation loss.
        best_epoch: its epoch, from 1.
        train_loss: training loss of the last epoch.
        accuracy: test accuracy, a fraction.
    """

    best_val_loss: float | None = None
    best_epoch: float | None = None
    train_loss: float | None = None
    accuracy: float | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, float]:
        return {name: value for name, value in handler(self).items() if value is not None}


class Collapse(Record):
    """Nearly all images are called one class.

    Attributes:
        class_name: the class; `class` where it is dumped.
        share: of the images that are called so.
    """

    kind: Literal["collapsed"] = "collapsed"
    class_name: str = Field(alias="class")
    share: float
    message: str


class Overfitting(Record):
    """Validation loss has risen since its best epoch while training loss fell.

    Attributes:
        since_epoch: the best epoch.
        gap: validation loss less training loss at the end.
    """

    kind: Literal["overfitting"] = "overfitting"
    since_epoch: int
    gap: float
    message: str


class StillImproving(Record):
    """The best epoch is among the last ones."""

    kind: Literal["still_improving"] = "still_improving"
    best_epoch: int
    message: str


# Each with a message, a sentence for people.
Diagnosis = Collapse | Overfitting | StillImproving


class Evaluation(Record):
    """What `evaluate` measures of a run's best model on the test images: `metrics.json`.

    Attributes:
        run: path of the run.
        recipe, dataset, seed: what was trained.
        backend: the Keras backend that trained it.
        epochs: how many were trained; 0 of converted weights, of which what only training knows
            is None.
        best_epoch: the epoch of lowest validation loss, from 1; its model is the one measured.
        best_val_loss: that loss.
        train_loss: training loss of the last epoch.
        test: how good the model is on the test images.
        reported: what the study gave for the recipe.
        diagnosis: what a teacher would notice, see `metrics.diagnose`.
        wall_seconds: how long training took.
        model_sha256: checksum of the `best.keras` that was measured.
    """

    run: str
    recipe: str
    dataset: str
    seed: int
    backend: str | None
    epochs: int
    best_epoch: int | None
    best_val_loss: float | None
    train_loss: float | None
    test: SplitMeasures
    reported: ReportedNumbers
    diagnosis: tuple[Diagnosis, ...]
    wall_seconds: float | None
    model_sha256: str | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each label."""
        return tuple(row.name for row in self.test.per_class)


class ComparedClass(Record):
    """Two models on the same images of a class, or on all, by McNemar's exact test.

    Attributes:
        name: of the class, or `overall`.
        a, b: accuracy of each; None where there are no images.
        difference: b less a.
        only_a, only_b: images that only one of them has right.
        p_value: how often chance alone divides those images as unevenly; per class it is adjusted
            for the number of classes by Holm's method.
        exceeds_chance: whether that is rare enough, see `compare.SIGNIFICANCE`.
    """

    name: str
    a: float | None
    b: float | None
    difference: float | None
    only_a: int
    only_b: int
    p_value: float
    exceeds_chance: bool


class Comparison(Record):
    """Two evaluated runs, called `a` and `b`, on the same test images."""

    a: str
    b: str
    overall: ComparedClass
    per_class: tuple[ComparedClass, ...]


class SeedSummary(Record):
    """A value over runs that differ in their seed; all None where there are no runs.

    Attributes:
        sd: standard deviation; None for one seed.
        low, high: the range.
    """

    mean: float | None = None
    sd: float | None = None
    low: int | float | None = None
    high: int | float | None = None
    num_seeds: int = 0
