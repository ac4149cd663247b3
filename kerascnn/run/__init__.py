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
  activations.npz    one number an image, filter and score, of the layers looked at
  figures/*.png
  page.html          all of it to look at, see `kerascnn report`
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from zipfile import is_zipfile

import numpy as np
from filelock import FileLock, Timeout

from kerascnn.errors import RecipeError, RunError
from kerascnn.model.load import check_sizes
from kerascnn.recipe import Recipe, load_recipe

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")
_CHECKPOINT, _STAGED = "checkpoint.npz", "best.next.keras"
PREDICTIONS = ("probabilities", "predictions", "labels")
# The end of a run's name, local time.
TIME_FORMAT = "%Y%m%d-%H%M%S"


class Run:
    """One run directory.

    Args:
        path: the directory; it holds a `recipe.toml`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def best_path(self) -> Path:
        """The model at the lowest validation loss."""
        return self.path / "best.keras"

    @property
    def metrics_path(self) -> Path:
        """What `evaluate` measured."""
        return self.path / "metrics.json"

    @property
    def is_evaluated(self) -> bool:
        """Whether predictions and metrics of the test images are there, of the best model."""
        return self._is_measured() and (self.path / "predictions.npz").exists()

    @property
    def figures_path(self) -> Path:
        """Directory of the figures."""
        return self.path / "figures"

    @property
    def page_path(self) -> Path:
        """The run as one HTML page."""
        return self.path / "page.html"

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            RunError: if it is missing or damaged.
        """
        try:
            return load_recipe(self.path / "recipe.toml")
        except RecipeError as error:
            raise RunError(f"Run '{self.name}' has no usable recipe. {error}") from None

    @property
    def status(self) -> str:
        """`finished`, `trained` or `converted` (both not evaluated), or `3 of 50 epochs`."""
        epochs, done = self.recipe.train.epochs, len(self.read_history()["epoch"])
        is_converted = not done and self.converted_from is not None
        if done < epochs and not is_converted:
            return f"{done} of {epochs} epochs"
        if self._is_measured():
            return "finished"
        return "converted" if is_converted else "trained"

    @property
    def converted_from(self) -> str | None:
        """Name of the file of weights that the run was made of; None where it was trained."""
        if not (self.path / "environment.json").exists():
            return None
        source = self.read_environment().get("converted_from")
        return source.get("file") if isinstance(source, dict) else None

    def describe(self) -> dict[str, object]:
        """A line about the run, also where it is unfinished or damaged.

        Returns:
            `run`, `recipe`, `dataset`, `seed`, `status`, `best_epoch`, `best_val_loss` and test
            `accuracy` (a fraction), None where not known.
        """
        row = dict.fromkeys(
            ("recipe", "dataset", "seed", "best_epoch", "best_val_loss", "accuracy")
        )
        row = {"run": self.name, **row}
        try:
            recipe = self.recipe
            row |= {
                "recipe": recipe.name,
                "dataset": recipe.data.dataset,
                "seed": recipe.train.seed,
            }
            row["status"] = self.status
            val_loss = self.read_history()["val_loss"]
            if val_loss:
                best = min(val_loss)
                row |= {"best_epoch": val_loss.index(best) + 1, "best_val_loss": best}
            if self._is_measured():
                row["accuracy"] = self.read_metrics()["test"]["accuracy"]
        except RunError as error:
            row["status"] = f"damaged: {error}"
        return row

    def write_recipe(self, recipe: Recipe) -> None:
        """Store the resolved recipe."""
        header = f"# kerascnn run {self.name}/recipe.toml\n\n"
        self._write("recipe.toml", lambda path: path.write_text(header + recipe.to_toml(), "utf-8"))

    def write_environment(self, environment: dict[str, object]) -> None:
        """Store where and with what the run was made."""
        self._write_json("environment.json", environment)

    def read_environment(self) -> dict[str, object]:
        """Where and with what the run was made.

        Raises:
            RunError: if the file is missing or damaged.
        """
        return self._read_json("environment.json")

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Store a row an epoch; the keys of each are `HISTORY_COLUMNS`."""
        self._write("history.csv", lambda path: path.write_text(_to_csv(rows), "utf-8"))

    def read_history(self) -> dict[str, list[float]]:
        """Columns of the history, a value an epoch; epochs count from 1; empty before the first.

        Raises:
            RunError: if the file is damaged.
        """
        rows = self._checked_history()
        return {column: [row[column] for row in rows] for column in HISTORY_COLUMNS}

    def write_best(self, save: Callable[[Path], object]) -> None:
        """Store the best model; `save` is called with a path that ends in `.keras`."""
        self._write(self.best_path.name, save)

    def stage_best(self, save: Callable[[Path], object]) -> str:
        """Store a model that becomes the best one with the next checkpoint; gives its sha256."""
        return _sha256(self._write(_STAGED, save))

    def write_checkpoint(
        self, record: dict[str, object], arrays: dict[str, np.ndarray] | None = None
    ) -> None:
        """Store how far training is. With this one file an epoch is done, or it is not.

        Args:
            record: `history` (rows as for `write_history`), `best` and `best_before` (sha256 of
                best.keras after and before the epoch, or None), and whatever else tells how
                training goes on.
            arrays: variables of the model and the optimizer; none once training is finished.
        """
        packed = {"record": np.frombuffer(json.dumps(record).encode(), "uint8"), **(arrays or {})}
        self._write(_CHECKPOINT, lambda path: np.savez(path, **packed))
        self.settle()

    def read_record(self) -> dict[str, object] | None:
        """The record of the last checkpoint, None before the first.

        Raises:
            RunError: if the file is damaged.
        """
        record = self._read_checkpoint(("record",)).get("record")
        return None if record is None else json.loads(record.tobytes())

    def read_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the last checkpoint.

        Raises:
            RunError: if the file is damaged.
        """
        return self._read_checkpoint()

    def settle(self) -> None:
        """Bring history and best model to where the checkpoint is, and clear away torn writes."""
        for torn in self.path.glob(".writing-*"):
            shutil.rmtree(torn, ignore_errors=True)
        record, staged = self.read_record(), self.path / _STAGED
        if staged.exists():
            if record and _sha256(staged) == record["best"]:
                os.replace(staged, self.best_path)
            else:
                staged.unlink()
        if record:
            self.write_history(record["history"])

    def locked(self) -> AbstractContextManager:
        """A lock on the run for one that trains; it goes with the process that holds it.

        Raises:
            RunError: if another process trains the run, or the directory cannot be written.
        """
        return _lock(self)

    def write_predictions(self, **arrays: np.ndarray) -> None:
        """Store arrays over the test images, predicted with the best model that is there."""
        arrays |= {"model": np.array(self.best_digest() or "")}
        self._write("predictions.npz", lambda path: np.savez(path, **arrays))

    def read_predictions(self) -> dict[str, np.ndarray]:
        """Arrays over the test images: `probabilities`, `predictions`, `labels`.

        Raises:
            RunError: if the run was not evaluated since its best model was last replaced, or the
                file is damaged.
        """
        try:
            # numpy leaves a file open that it opened and cannot read.
            with open(self.path / "predictions.npz", "rb") as file, _load_npz(file) as stored:
                arrays = {name: stored[name] for name in PREDICTIONS}
                model = str(stored["model"]) if "model" in stored else ""
        except FileNotFoundError:
            raise self._not_evaluated() from None
        except Exception as error:  # numpy and zipfile raise many kinds
            raise self._damaged("predictions.npz", error) from None
        if model and model != self.best_digest():
            raise self._not_evaluated()
        return arrays

    def write_metrics(self, metrics: dict[str, object]) -> None:
        """Store what `evaluate` measured."""
        self._write_json(self.metrics_path.name, metrics)

    def read_metrics(self) -> dict[str, object]:
        """What `evaluate` measured.

        Raises:
            RunError: if the run was not evaluated, or the file is damaged.
        """
        if not self.metrics_path.exists():
            raise self._not_evaluated()
        measured = self._read_json(self.metrics_path.name)
        test = measured.get("test")
        if not isinstance(test, dict) or not _is_number(test.get("accuracy")):
            raise self._damaged(self.metrics_path.name, "it has no test accuracy")
        rows = test.get("per_class", [])
        is_list = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        if not is_list or not all(isinstance(row.get("name"), str) for row in rows):
            raise self._damaged(self.metrics_path.name, "it does not name its classes")
        return measured

    def read_activations(self, key: str) -> dict[str, np.ndarray]:
        """Arrays kept under a key by `add_activations`; empty where there are none.

        What was measured on another `best.keras` than the one that is there does not count.

        Raises:
            RunError: if the file is damaged.
        """
        stored = self._read_all_activations()
        prefix = f"{key}/"
        return {
            name.removeprefix(prefix): array
            for name, array in stored.items()
            if name.startswith(prefix)
        }

    def add_activations(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep arrays under a key, beside those under other keys."""
        stored = self._read_all_activations() | {f"{key}/{name}": a for name, a in arrays.items()}
        stored["model"] = np.array(self.best_digest())
        self._write("activations.npz", lambda path: np.savez(path, **stored))

    def write_figure(self, name: str, figure) -> Path:
        """Store a matplotlib Figure as `figures/NAME.png`, see `file_name`."""
        return self._write(
            f"figures/{file_name(name)}.png",
            lambda path: figure.savefig(path, dpi=150, format="png"),
        )

    def verified_best(self) -> Path:
        """Path of the best model, once its checksum is sure to be right.

        Raises:
            RunError: if there is no best model yet, or its file is damaged.
        """
        if not self.best_path.is_file():
            raise RunError(
                f"Run '{self.name}' has no best.keras: {self.status}; `kerascnn runs` lists others."
            )
        record = self.read_record()
        # Of a run that was killed within an epoch's end, the file may still be the one before.
        is_file = self.best_path.is_file()  # what else it may be is refused when it is loaded
        if (
            record
            and is_file
            and _sha256(self.best_path) not in (record["best"], record["best_before"])
        ):
            raise self._damaged(self.best_path.name, "its checksum is not the recorded one")
        return self.best_path

    def best_digest(self) -> str | None:
        """Checksum (sha256) of the best model's file; None where there is none."""
        return _sha256(self.best_path) if self.best_path.is_file() else None

    def _is_measured(self) -> bool:
        """Whether there are metrics, and not of a best model that training has since replaced."""
        if not self.metrics_path.exists():
            return False
        with suppress(RunError):  # what is damaged says so where it is read
            measured = self.read_metrics().get("model_sha256")
            return measured is None or measured == self.best_digest()
        return True

    def _read_all_activations(self) -> dict[str, np.ndarray]:
        path = self.path / "activations.npz"
        if not path.exists() or not self.best_path.exists():
            return {}
        try:
            with path.open("rb") as file, _load_npz(file) as stored:
                arrays = dict(stored)
        except Exception as error:
            raise RunError(
                f"activations.npz of run '{self.name}' is damaged ({error}); remove '{path}', "
                "and it is measured again."
            ) from None
        return arrays if str(arrays.pop("model", "")) == self.best_digest() else {}

    def _read_checkpoint(self, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        path = self.path / _CHECKPOINT
        if not path.exists():
            return {}
        try:
            with path.open("rb") as file, _load_npz(file) as stored:
                return {name: stored[name] for name in names or stored}
        except Exception as error:
            raise self._damaged(_CHECKPOINT, error) from None

    def _checked_history(self) -> list[dict[str, float]]:
        """Rows of the history; the checkpoint knows what they must be."""
        rows, record = self._history_rows(), self.read_record()
        # Killed within an epoch's end, the history may lack the last row.
        if record and rows not in (record["history"], record["history"][:-1]):
            raise self._damaged("history.csv", "it is not what the checkpoint says")
        return rows

    def _not_evaluated(self) -> RunError:
        return RunError(
            f"Run '{self.name}' was not evaluated yet: `kerascnn evaluate {self.path}` does it."
        )

    def _damaged(self, file_name: str, reason: object) -> RunError:
        reason = " ".join(str(getattr(reason, "strerror", None) or reason).split())
        message = f"{file_name} of run '{self.name}' is damaged ({reason})."
        if file_name in ("predictions.npz", self.metrics_path.name):
            message += f" `kerascnn evaluate {self.path}` writes it anew."
        if file_name == "history.csv" and (self.path / _CHECKPOINT).exists():
            message += f" `kerascnn resume {self.path}` writes it anew."
        return RunError(message)

    def _history_rows(self) -> list[dict[str, float]]:
        try:
            text = (self.path / "history.csv").read_text("utf-8")
            return _from_csv(text)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, csv.Error) as error:
            raise self._damaged("history.csv", error) from None

    def _write_json(self, name: str, content: dict[str, object]) -> None:
        text = json.dumps(content, indent=2, allow_nan=False) + "\n"
        self._write(name, lambda path: path.write_text(text, "utf-8"))

    def _read_json(self, name: str) -> dict[str, object]:
        try:
            text = (self.path / name).read_text("utf-8")
            content = json.loads(text, parse_constant=_no_number)
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(name, error) from None
        if not isinstance(content, dict):
            raise self._damaged(name, "it holds no JSON object")
        return content

    def _write(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self.path / name
        try:
            if "/" in name:
                path.parent.mkdir(exist_ok=True)
            if not path.parent.resolve().is_relative_to(self.path.resolve()):
                raise RunError(f"'{path.parent}' leads out of the run; nothing is written there.")
        except OSError as error:
            raise _not_writable(path, error) from None
        return write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file so that under its name is either all of it or what was before.

    Args:
        path: the file.
        write: called with another path, of the same name, that is then moved there.

    Raises:
        RunError: if it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as temporary:
            written = Path(temporary) / path.name
            write(written)
            with written.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(written, path)
    except OSError as error:
        raise _not_writable(path, error) from None
    return path


def file_name(name: str) -> str:
    """A name, such as one with a layer's in it, as the name of a file in one directory.

    What is no letter, digit, `.`, `_` or `-` becomes `-`, a long name is cut, and names that differ
    only in that get different endings.
    """
    plain = re.sub(r"[^\w.-]", "-", name).lstrip(".-")[:60]
    if plain == name.replace(":", "-").replace("/", "-"):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}"


def create_run(recipe: Recipe, runs_dir: str | Path = "runs") -> Run:
    """Make a run directory of a new name, with the recipe in it.

    Raises:
        RunError: if it cannot be written.
    """
    stem = f"{recipe.name}-seed{recipe.train.seed}-{datetime.now():{TIME_FORMAT}}"
    try:
        Path(runs_dir).mkdir(parents=True, exist_ok=True)
        return Run(_make_directory(Path(runs_dir), stem, recipe))
    except OSError as error:
        raise RunError(f"No run can be made in '{runs_dir}': {error.strerror}.") from None


def list_runs(runs_dir: str | Path = "runs") -> list[Run]:
    """All runs in a directory, the oldest first."""
    recipes = Path(runs_dir).glob("[!.]*/recipe.toml")
    return [Run(path.parent) for path in sorted(recipes, key=_made_at)]


def find_run(name: str | Path = "latest", runs_dir: str | Path = "runs") -> Run:
    """Find a run by its directory, by its name or a unique part of it, or `latest`.

    Raises:
        RunError: if there is none, or more than one.
    """
    if os.path.isfile(Path(name) / "recipe.toml"):
        return Run(name)
    runs = list_runs(runs_dir)
    if not runs:
        raise RunError(f"There is no run in '{runs_dir}'; `kerascnn run adam-lr0.001` makes one.")
    if str(name) == "latest":
        return runs[-1]
    found = [run for run in runs if str(name) in run.name]
    exact = [run for run in found if run.name == str(name)]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        some = ", ".join(run.name for run in found[:3]) + (", ..." if len(found) > 3 else "")
        raise RunError(
            f"'{name}' fits {len(found)} runs in '{runs_dir}' ({some}); give more of it."
        )
    raise RunError(f"No run in '{runs_dir}' has '{name}' in its name; `kerascnn runs` lists them.")


def _load_npz(file: BinaryIO):
    """Arrays of numbers in an open .npz file, none of which unfolds to far more than is stored."""
    if not is_zipfile(file):
        raise ValueError("it is no .npz file")
    file.seek(0)
    stored = np.load(file, allow_pickle=False)
    check_sizes(stored.zip.infolist())
    return stored


def _not_writable(path: Path, error: OSError) -> RunError:
    return RunError(f"'{path}' cannot be written: {error.strerror or error}.")


def _make_directory(runs_dir: Path, stem: str, recipe: Recipe) -> Path:
    # Under its name there is a directory with a recipe in it, or none.
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=".making-") as temporary:
        for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
            made, path = Path(temporary) / (stem + suffix), runs_dir / (stem + suffix)
            if path.exists():
                continue
            made.mkdir()
            Run(made).write_recipe(recipe)
            try:
                made.rename(path)
                return path
            except OSError as error:  # another process had the same name in the same moment
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
    raise FileExistsError(17, "there are a thousand runs of this second")


def _made_at(recipe_path: Path) -> tuple[str, int, float]:
    # The time and number in the name, which survive a copy; the clock of the file without them.
    written = recipe_path.stat().st_mtime
    found = re.search(r"-(\d{8}-\d{6})(?:-(\d+))?$", recipe_path.parent.name)
    if not found:
        return f"{datetime.fromtimestamp(written):{TIME_FORMAT}}", 1, written
    return found[1], int(found[2] or 1), written


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _no_number(text: str) -> None:
    raise ValueError(f"it holds {text}, which is no number")


def _from_csv(text: str) -> list[dict[str, float]]:
    header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    if tuple(header) != HISTORY_COLUMNS:
        raise ValueError(f"its columns are not {', '.join(HISTORY_COLUMNS)}")
    rows = [dict(zip(HISTORY_COLUMNS, map(float, line), strict=True)) for line in lines]
    if not all(math.isfinite(value) for row in rows for value in row.values()):
        raise ValueError("it holds a number that is not finite")
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


def _to_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, HISTORY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _lock(run: Run) -> Iterator[None]:
    lock = FileLock(run.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"Run '{run.name}' is being trained by another process.") from None
    except OSError as error:
        raise RunError(f"'{run.path}' cannot be written: {error.strerror or error}.") from None
    try:
        yield
    finally:
        lock.release()
