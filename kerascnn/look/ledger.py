"""Numbers of many images, written to disk as they come, so that a long look can go on later."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from kerascnn.data.cache import cache_directory
from kerascnn.look.scores import SCORES
from kerascnn.regular_files import RECORD_BYTES, read_regular

# Seconds between two moments from which a look can go on.
FLUSH_SECONDS = 5.0
# A look that took less is not kept: it is made again as quickly.
LONG_SECONDS = 10.0
# So many looks are kept; the oldest are removed.
MOST_KEPT = 20
# Rows of so many bytes in all are read into memory, more are mapped.
MOST_READ = 2**26
STATE = "state.json"


class Ledger:
    """A row of float32 an image for each score, in files of a directory.

    Another process that measures the same keeps its own, which is then thrown away.

    Args:
        key: names the model, the layer and the images; the same key must mean the same numbers.
            A ledger of the same key that was not finished is gone on with.
    """

    def __init__(self, key: str):
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._started = self._flushed = time.monotonic()
        self._temporary: tempfile.TemporaryDirectory | None = None
        self._lock: FileLock | None = None
        self._directory = self._claim(cache_directory() / "looks" / digest)
        state = self._read_state()
        self.next: int = state["next"]
        self.problems: dict[int, str] = {int(at): text for at, text in state["problems"]}
        self.width: int = state["width"]
        self._rows, self._spent = state["rows"], state["seconds"]
        self.is_finished: bool = state["finished"]
        self._files = {}

    @property
    def num_rows(self) -> int:
        return self._rows

    def add(self, scores: tuple[np.ndarray, ...], problems: dict[int, str], following: int) -> None:
        """Write down the numbers of a batch.

        Args:
            scores: for each of `SCORES` float32 (num_images, filters).
            problems: a message for each image, by its index, that could not be read.
            following: index of the image that follows the batch.
        """
        if len(scores[0]):
            self.width = scores[0].shape[1]
            for name, rows in zip(SCORES, scores, strict=True):
                self._file(name).write(np.ascontiguousarray(rows, "float32").tobytes())
        self._rows += len(scores[0])
        self.problems |= problems
        self.next = following
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """From here on the look can go on, whatever happens."""
        for file in self._files.values():
            file.flush()
        now = time.monotonic()
        state = {
            "next": self.next, "rows": self._rows, "width": self.width,
            "problems": list(self.problems.items()), "finished": self.is_finished,
            "seconds": self._spent + now - self._started,
        }  # fmt: skip
        written = self._directory / f"{STATE}.new"
        written.write_text(json.dumps(state))
        os.replace(written, self._directory / STATE)
        self._flushed = now

    def read(self) -> dict[str, np.ndarray]:
        """All rows: for each of `SCORES` float32 (num_images, filters)."""
        for file in self._files.values():
            file.flush()
        shape = self._rows, self.width
        paths = {name: self._directory / f"{name}.f32" for name in SCORES}
        if not self._rows:
            return {name: np.empty(shape, "float32") for name in SCORES}
        if len(SCORES) * 4 * self._rows * self.width <= MOST_READ:
            count = self._rows * self.width
            return {
                name: np.frombuffer(read_regular(path, MOST_READ), "float32", count).reshape(shape)
                for name, path in paths.items()
            }
        return {name: np.memmap(path, "float32", "r", shape=shape) for name, path in paths.items()}

    def close(self, keep: bool) -> None:
        """Let go of the files; what was read stays.

        Args:
            keep: whether another process may need the rows. Those of a short look are removed all
                the same.
        """
        for file in self._files.values():
            file.close()
        self._files = {}
        if self._temporary:
            self._temporary.cleanup()
            return
        if not keep or self._spent + time.monotonic() - self._started < LONG_SECONDS:
            shutil.rmtree(self._directory, ignore_errors=True)
        else:
            _remove_oldest(self._directory.parent)
        self._lock.release()

    def _claim(self, directory: Path) -> Path:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{directory}.lock", timeout=0)
            self._lock.acquire()
            os.utime(directory)
            return directory
        except (Timeout, OSError):  # another process has it, or the cache cannot be written
            self._lock = None
            self._temporary = tempfile.TemporaryDirectory(prefix="kerascnn-look-")
            return Path(self._temporary.name)

    def _read_state(self) -> dict:
        new = {"next": 0, "rows": 0, "width": 0, "problems": [], "seconds": 0, "finished": False}
        try:
            state = json.loads(read_regular(self._directory / STATE, RECORD_BYTES))
            size = 4 * state["rows"] * state["width"]
            if any((self._directory / f"{name}.f32").stat().st_size < size for name in SCORES):
                return new
            return state if state.keys() == new.keys() else new
        except (OSError, ValueError, KeyError, TypeError):
            return new

    def _file(self, name: str):
        if name not in self._files:
            file = (self._directory / f"{name}.f32").open("ab")
            file.truncate(4 * self._rows * self.width)
            self._files[name] = file
        return self._files[name]


def _remove_oldest(looks: Path) -> None:
    directories = [path for path in looks.iterdir() if path.is_dir()]
    for path in sorted(directories, key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        with contextlib.suppress(OSError):
            shutil.rmtree(path)
            Path(f"{path}.lock").unlink(missing_ok=True)
