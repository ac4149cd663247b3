"""A run directory: what a run leaves behind, and the only place that spells its file names.

runs/adam-lr0.001-seed0-20261123-101500/
  recipe.toml        the resolved recipe; `kerascnn run` takes it too
  environment.json   versions, backend, device, threads, git commit, wall time; the file that
                     weights were converted from
  history.csv        a row an epoch, written as the epoch ends; none where weights were converted
  best.keras         the model at the lowest validation loss; plain Keras loads it
  checkpoint.npz     what a later `kerascnn resume` needs, and the checksums of the two above
  predictions.npz    probabilities, predictions and labels of the test images
  metrics.json       test accuracy, per class with intervals, confusion, what was reported
  activations/*.npz  one number an image, filter and score, a file a layer and set of images
  figures/*.png
  page.html          all of it to look at, see `kerascnn report`

    contents   what each file says, as a record
    files      how a file is written, read and locked
    find       which run is meant, which is the same as another, which goes on
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.errors import RecipeError, RunError
from kerascnn.recipe import Recipe, load_recipe
from kerascnn.records import Record
from kerascnn.records.run import Checkpoint, Environment, Evaluation, History, RunSummary
from kerascnn.run import contents
from kerascnn.run.files import (
    Content,
    file_name,
    load_arrays,
    lock,
    not_writable,
    read_once,
    reason,
    sha256,
    write_whole,
)

_RECIPE, _ENVIRONMENT, _HISTORY = "recipe.toml", "environment.json", "history.csv"
_CHECKPOINT, _STAGED = "checkpoint.npz", "best.next.keras"
_PREDICTIONS, _METRICS = "predictions.npz", "metrics.json"


class Run:
    """One run directory.

    What is read from it is kept until the file changes, so that asking twice costs nothing. Where
    a file is missing or damaged, or cannot be written, that is a RunError.

    Args:
        path: the directory; it holds a `recipe.toml`.

    Attributes:
        best_path: the model at the lowest validation loss.
        metrics_path: what `evaluate` measured.
        figures_path: directory of the figures.
        page_path: the run as one HTML page.
    """

    def __init__(self, path: str | Path):
        self.path, self._files = Path(path), {}
        # The history and the checkpoint that were found to agree.
        self._agree = None, None
        self.best_path = self.path / "best.keras"
        self.metrics_path = self.path / _METRICS
        self.figures_path = self.path / "figures"
        self.page_path = self.path / "page.html"

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        try:
            return read_once(load_recipe, self.path / _RECIPE)
        except RecipeError as error:
            raise RunError(f"Run '{self.name}' has no usable recipe. {error}") from None

    @property
    def status(self) -> str:
        """`finished`, `trained` or `converted` (both not evaluated), or `3 of 50 epochs`."""
        done = len(self.read_history())
        return self._status(self.recipe.train.epochs, done, self._is_measured())

    def _status(self, epochs: int, done: int, is_measured: bool) -> str:
        is_converted = not done and self.converted_from is not None
        if done < epochs and not is_converted:
            return f"{done} of {epochs} epochs"
        if is_measured:
            return "finished"
        return "converted" if is_converted else "trained"

    @property
    def is_evaluated(self) -> bool:
        """Whether predictions and metrics of the test images are there, of the best model."""
        return self._is_measured() and (self.path / _PREDICTIONS).exists()

    @property
    def converted_from(self) -> str | None:
        """Name of the file of weights that the run was made of; None where it was trained."""
        if not (self.path / _ENVIRONMENT).exists():
            return None
        source = self.read_environment().converted_from
        return source and source.file

    def describe(self) -> RunSummary:
        """A line about the run, also where it is unfinished or damaged."""
        found: dict[str, object] = {"run": self.name}
        try:
            recipe = self.recipe
            found |= {"recipe": recipe.name, "dataset": recipe.data.dataset}
            history, is_measured = self.read_history(), self._is_measured()
            status = self._status(recipe.train.epochs, len(history), is_measured)
            found |= {"seed": recipe.train.seed, "status": status}
            found |= {"best_epoch": history.best_epoch, "best_val_loss": history.best_val_loss}
            if is_measured:
                found["accuracy"] = self.read_metrics().test.accuracy
        except RunError as error:
            found["status"] = f"damaged: {error}"
        return RunSummary(**found)

    def write_recipe(self, recipe: Recipe) -> None:
        """Store the resolved recipe."""
        header = f"# kerascnn run {self.name}/{_RECIPE}\n\n"
        self._write_text(_RECIPE, header + recipe.to_toml())

    def write_environment(self, environment: Environment) -> None:
        """Store where and with what the run was made."""
        self._write_record(_ENVIRONMENT, environment, exclude_unset=True)

    def read_environment(self) -> Environment:
        """Where and with what the run was made."""
        return self._read_once(_ENVIRONMENT, contents.read_environment)

    def write_history(self, history: History) -> None:
        """Store a row an epoch; the columns are `HISTORY_COLUMNS`."""
        self._write_text(_HISTORY, contents.history_to_csv(history))

    def read_history(self) -> History:
        """All epochs so far; empty before the end of the first."""
        history = self._read_once(_HISTORY, contents.read_history)
        progress = self._read_once(_CHECKPOINT, contents.read_progress)
        if progress and not (history is self._agree[0] and progress is self._agree[1]):
            # Killed within an epoch's end, the history may lack the last row.
            if history.table not in (progress.rows, progress.rows[:-1]):
                raise self._damaged(_HISTORY, "it is not what the checkpoint says")
            self._agree = history, progress
        return history

    def write_best(self, save: Callable[[Path], object]) -> None:
        """Store the best model; `save` is called with a path that ends in `.keras`."""
        self._write(self.best_path.name, save)

    def stage_best(self, save: Callable[[Path], object]) -> str:
        """Store a model that becomes the best one with the next checkpoint; gives its sha256."""
        return sha256(self._write(_STAGED, save))

    def write_checkpoint(
        self, checkpoint: Checkpoint, arrays: dict[str, np.ndarray] | None = None
    ) -> None:
        """Store how far training is. With this one file an epoch is done, or it is not.

        Args:
            checkpoint: the history, the best model, and what else tells how training goes on.
            arrays: variables of the model and the optimizer; none once training is finished.
        """
        record = np.frombuffer(checkpoint.model_dump_json().encode(), "uint8")
        packed = {"record": record, **(arrays or {})}
        self._write(_CHECKPOINT, lambda path: np.savez(path, **packed))
        self.settle()

    def read_checkpoint(self) -> Checkpoint | None:
        """How far training was at the end of the last epoch; None before training began."""
        return self._read_once(_CHECKPOINT, contents.read_checkpoint)

    def read_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the last checkpoint."""
        return self._read(_CHECKPOINT, load_arrays)

    def settle(self) -> None:
        """Bring history and best model to where the checkpoint is, and clear away torn writes."""
        for torn in self.path.glob(".writing-*"):
            shutil.rmtree(torn, ignore_errors=True)
        checkpoint, staged = self.read_checkpoint(), self.path / _STAGED
        try:
            if checkpoint and staged.is_file() and sha256(staged) == checkpoint.best:
                os.replace(staged, self.best_path)
            else:
                staged.unlink(missing_ok=True)
        except OSError as error:
            raise not_writable(staged, error) from None
        if checkpoint:
            self.write_history(History.of(checkpoint.history))

    def locked(self) -> AbstractContextManager:
        """A lock on the run for one that trains it; see `files.lock`."""
        return lock(self.path, self.name)

    def write_predictions(self, **arrays: np.ndarray) -> None:
        """Store arrays over the test images, predicted with the best model that is there."""
        arrays |= {"model": np.array(self.best_digest() or "")}
        self._write(_PREDICTIONS, lambda path: np.savez(path, **arrays))

    def read_predictions(self) -> dict[str, np.ndarray]:
        """Arrays over the test images: `probabilities`, `predictions`, `labels`.

        Raises:
            RunError: also if the run was not evaluated since its best model was last replaced.
        """
        if not (self.path / _PREDICTIONS).exists():
            raise self._not_evaluated()
        arrays, model = self._read(_PREDICTIONS, contents.read_predictions)
        if model and model != self.best_digest():
            raise self._not_evaluated()
        return arrays

    def write_metrics(self, evaluation: Evaluation) -> None:
        """Store what `evaluate` measured."""
        self._write_record(_METRICS, evaluation)

    def read_metrics(self) -> Evaluation:
        """What `evaluate` measured."""
        if not self.metrics_path.exists():
            raise self._not_evaluated()
        return self._read_once(_METRICS, contents.read_evaluation)

    def read_activations(self, key: str) -> dict[str, np.ndarray]:
        """Arrays kept under a key by `write_activations`; empty where there are none.

        What was measured on another `best.keras` than the one that is there does not count.
        """
        name = _activations_name(key)
        if not (self.path / name).exists() or not self.best_path.exists():
            return {}
        arrays = self._read(name, load_arrays)
        return arrays if str(arrays.pop("model", "")) == self.best_digest() else {}

    def write_activations(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays under a key, in a file of their own."""
        packed = arrays | {"model": np.array(self.best_digest())}
        self._write(_activations_name(key), lambda path: np.savez(path, **packed))

    def write_figure(self, name: str, figure: Any) -> Path:
        """Store a matplotlib Figure as `figures/NAME.png`, see `files.file_name`."""
        place = f"figures/{file_name(name)}.png"
        return self._write(place, lambda path: figure.savefig(path, dpi=150, format="png"))

    def verified_best(self) -> Path:
        """Path of the best model, once its checksum is sure to be right."""
        if not self.best_path.is_file():
            raise RunError(
                f"Run '{self.name}' has no best.keras: {self.status}; `kerascnn runs` lists others."
            )
        checkpoint = self.read_checkpoint()
        # Of a run that was killed within an epoch's end, the file may still be the one before.
        if checkpoint and self.best_digest() not in (checkpoint.best, checkpoint.best_before):
            raise self._damaged(self.best_path.name, "its checksum is not the recorded one")
        return self.best_path

    def best_digest(self) -> str | None:
        """Checksum (sha256) of the best model's file; None where there is none."""
        return sha256(self.best_path) if self.best_path.is_file() else None

    def _is_measured(self) -> bool:
        """Whether there are metrics, and not of a best model that training has since replaced."""
        if not self.metrics_path.exists():
            return False
        with suppress(RunError):  # what is damaged says so where it is read
            measured = self.read_metrics().model_sha256
            if measured is None or not self.best_path.is_file():
                return measured is None
            # Whether the file is the one that the checkpoint tells of is asked where it is loaded.
            progress = self._read_once(_CHECKPOINT, contents.read_progress)
            return measured == (progress.best if progress else self.best_digest())
        return True

    def _not_evaluated(self) -> RunError:
        return RunError(
            f"Run '{self.name}' was not evaluated yet: `kerascnn evaluate {self.path}` does it."
        )

    def _damaged(self, name: str, why: object) -> RunError:
        path = self.path / name
        message = f"{path.name} of run '{self.name}' is damaged ({reason(why)})."
        if name in (_PREDICTIONS, _METRICS):
            message += f" `kerascnn evaluate {self.path}` writes it anew."
        if name == _HISTORY and (self.path / _CHECKPOINT).exists():
            message += f" `kerascnn resume {self.path}` writes it anew."
        if path.parent.name == "activations":
            message += f" Remove '{path}', and it is measured again."
        return RunError(message)

    def _write_record(self, name: str, record: Record, exclude_unset: bool = False) -> None:
        content = record.model_dump(mode="json", exclude_unset=exclude_unset)
        self._write_text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def _read(self, name: str, read: Callable[[Path], Content]) -> Content:
        try:
            if name not in self._files:
                self._files[name] = self.path / name
            return read(self._files[name])
        except Exception as error:  # numpy and zipfile raise many kinds
            raise self._damaged(name, error) from None

    def _read_once(self, name: str, read: Callable[[Path], Content]) -> Content:
        return self._read(name, partial(read_once, read))

    def _write_text(self, name: str, text: str) -> None:
        self._write(name, lambda path: path.write_text(text, "utf-8"))

    def _write(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self.path / name
        try:
            if "/" in name:
                path.parent.mkdir(exist_ok=True)
            if not path.parent.resolve().is_relative_to(self.path.resolve()):
                raise RunError(f"'{path.parent}' leads out of the run; nothing is written there.")
        except OSError as error:
            raise not_writable(path, error) from None
        return write_whole(path, write)


def _activations_name(key: str) -> str:
    return f"activations/{file_name(key)}.npz"
