"""Train one recipe with many seeds in one process, as one computation, on torch."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras

from kerascnn.backend import require_backend
from kerascnn.data import Dataset, load_dataset
from kerascnn.denormals import flush_denormals
from kerascnn.errors import BackendError, TrainingError
from kerascnn.recipe import Recipe, differences
from kerascnn.run import Run
from kerascnn.run.find import find_same
from kerascnn.training import VALIDATION_BATCH_SIZE
from kerascnn.training.batches import build_batches
from kerascnn.training.callbacks import FiniteLoss, KeepRun
from kerascnn.training.trainee import (
    Trainee,
    begin_training,
    continue_training,
    find_checkpoint,
    finish_training,
)


@dataclass(frozen=True)
class Outcome:
    """What became of one of the runs.

    Attributes:
        error: why its training stopped early; None if it is trained to its end.
    """

    run: Run
    error: TrainingError | None = None


def train_together(
    recipes: Sequence[Recipe],
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
) -> list[Outcome]:
    """Train recipes that differ in their seeds alone, each into a run of its own.

    Each network has the split, the order of images, the augmentation and the dropout of its own
    seed, and the run is what `train` makes of it, but for float32 rounding: sums are added in
    another order. A recipe with a run in `runs_dir` that is not trained to its end goes on with it.

    Args:
        recipes: in float32.
        runs_dir, data_dir, dataset: as for `train`.

    Returns:
        For each recipe its run. A run whose loss is not finite stops; the others go on.

    Raises:
        BackendError: if the backend is not torch.
        TrainingError: if the recipes differ in more than their seeds, or cannot be trained so.
        DatasetError: if the data set cannot be loaded, or is another one than a run began with.
        RunError: if a run directory cannot be written, or another process trains the run.
        KeyboardInterrupt: if it was interrupted; the runs hold the epochs until then.
    """
    _check(recipes)
    dataset = dataset or load_dataset(recipes[0].data.dataset, data_dir)
    with ExitStack() as locks, flush_denormals():
        found = [_find(recipe, runs_dir, locks) for recipe in recipes]
        together = sum(run is None or not _is_trained(run) for run in found)
        runs, learners = [], []
        for recipe, run in zip(recipes, found, strict=True):
            if run is None:
                trainee = begin_training(recipe, dataset, runs_dir, locks, together=together)
            elif not _is_trained(run):
                trainee = continue_training(run, dataset, together)
            else:
                runs.append(run)
                continue
            runs.append(trainee.run)
            learners.append(_Learner(trainee, dataset))
        _train_all(learners)
    errors = {learner.trainee.run.path: learner.error for learner in learners}
    return [Outcome(run, errors.get(run.path)) for run in runs]


def _check(recipes: Sequence[Recipe]) -> None:
    require_backend()
    if keras.config.backend() != "torch":
        raise BackendError(
            f"Networks are trained together on torch, not on {keras.config.backend()}; there, "
            "train each alone."
        )
    if (precision := recipes[0].train.precision) != "float32":
        raise TrainingError(f"Networks are trained together in float32, not in {precision}.")
    for recipe in recipes[1:]:
        seed = {"train.seed": recipe.train.seed}
        if changes := differences(recipes[0].with_values(seed), recipe):
            raise TrainingError(
                "Recipes are trained together where only their seeds differ, but here also: "
                f"{'; '.join(changes)}."
            )


def _find(recipe: Recipe, runs_dir: str | Path, locks: ExitStack) -> Run | None:
    """The run that a recipe has already, locked and settled."""
    if run := find_same(runs_dir, recipe):
        locks.enter_context(run.locked())
        run.settle()
    return run


def _is_trained(run: Run) -> bool:
    if run.status in ("trained", "finished"):
        return True
    checkpoint = find_checkpoint(run)
    if done := len(checkpoint.history) == run.recipe.train.epochs:
        finish_training(run, checkpoint)
    return done


class _Learner:
    """One of the networks: what it learns from, and what is done with what it shows."""

    def __init__(self, trainee: Trainee, dataset: Dataset):
        self.trainee, run = trainee, trainee.run
        self.batches, self.validation = build_batches(run.recipe, dataset)
        self.finite, self.keep = FiniteLoss(run), KeepRun(run, trainee.checkpoint)
        self.keep.set_model(trainee.model)
        self.error: TrainingError | None = None

    @property
    def epochs_done(self) -> int:
        return len(self.keep.checkpoint.history)

    @property
    def learns(self) -> bool:
        """Whether there is an epoch left for it."""
        return self.error is None and self.epochs_done < self.trainee.run.recipe.train.epochs

    def attempt(self, call: Callable, *arguments: object) -> None:
        """Call what checks the losses, unless they were not finite before."""
        if self.error is None:
            try:
                call(*arguments)
            except TrainingError as error:
                self.error = error


def _train_all(learners: Sequence[_Learner]) -> None:
    group: list[_Learner] = []
    while behind := _furthest_behind(learners):
        if behind != group:
            group, step = behind, _step_of(behind)
        _train_epoch(group, step)


def _furthest_behind(learners: Sequence[_Learner]) -> list[_Learner]:
    """Those that have trained fewest epochs: all, but for an interruption between two of them."""
    left = [learner for learner in learners if learner.learns]
    fewest = min((learner.epochs_done for learner in left), default=0)
    return [learner for learner in left if learner.epochs_done == fewest]


def _step_of(learners: Sequence[_Learner]):
    from kerascnn.training.steps.together import TogetherStep

    return TogetherStep([learner.trainee.model for learner in learners])


def _train_epoch(learners: Sequence[_Learner], step) -> None:
    epoch = learners[0].epochs_done
    for learner in learners:
        learner.batches.begin(epoch)
        learner.finite.on_epoch_begin(epoch)
        learner.keep.on_epoch_begin(epoch)
    training = _Means(len(learners))
    for index in range(len(learners[0].batches)):
        batch = _side_by_side([learner.batches[index] for learner in learners])
        losses = training.add(step.train(*batch), batch)
        for learner, loss in zip(learners, losses, strict=True):
            learner.attempt(learner.finite.on_train_batch_end, index, {"loss": loss})
    step.settle()
    validation = _validate(learners, step)
    for place, learner in enumerate(learners):
        loss, accuracy = training.of(place)
        val_loss, val_accuracy = validation.of(place)
        numbers = {"loss": loss, "accuracy": accuracy}
        numbers |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
        learner.attempt(learner.finite.on_epoch_end, epoch, numbers)
        learner.attempt(learner.keep.on_epoch_end, epoch, numbers)
        if not learner.learns and learner.error is None:
            finish_training(learner.trainee.run, learner.keep.checkpoint)


def _validate(learners: Sequence[_Learner], step) -> "_Means":
    means, count = _Means(len(learners)), len(learners[0].validation[0])
    size = max(1, VALIDATION_BATCH_SIZE // len(learners))
    for start in range(0, count, size):
        rows = slice(start, start + size)
        parts = [learner.validation for learner in learners]
        batch = _side_by_side([(images[rows], labels[rows]) for images, labels in parts])
        means.add(step.test(*batch), batch)
    return means


def _side_by_side(batches: Sequence[tuple]) -> tuple:
    """Batches of several networks as one, see `TogetherStep.train`."""
    convert = keras.ops.convert_to_tensor
    images = keras.ops.stack([convert(images) for images, _ in batches], axis=3)
    labels = keras.ops.stack([convert(labels, "int64") for _, labels in batches])
    return images.flatten(3), labels


class _Means:
    """The mean loss and accuracy of several networks over the batches of an epoch."""

    def __init__(self, networks: int):
        self.sums, self.count = keras.ops.zeros((2, networks)), 0

    def add(self, answers: tuple, batch: tuple):
        """Count a batch; gives its mean loss for each network."""
        (losses, hits), size = answers, batch[1].shape[1]
        self.sums[0] += losses * size
        self.sums[1] += hits
        self.count += size
        return losses

    def of(self, place: int) -> tuple[float, float]:
        """Loss and accuracy of one network."""
        loss, accuracy = keras.ops.convert_to_numpy(self.sums)[:, place] / self.count
        return float(loss), float(accuracy)
