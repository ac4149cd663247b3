"""Numbers of many images, written to disk as they come, so that a long look can go on later.

Each look has a directory in `looks` of the cache, of 12 bytes an image and filter. A look that has
taken five seconds is written, and then the oldest others are removed until they are at most 19, of
4 GiB in all. Files of a finished look are never changed, as other processes may have mapped them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from kerascnn.data.cache import cache_directory
from kerascnn.look.scores import SCORES
from kerascnn.regular_files import RECORD_BYTES, open_regular, read_regular

# Seconds between two moments from which a look can go on.
FLUSH_SECONDS = 5.0
# So many other looks are kept, of so many bytes in all.
MOST_OTHERS = 19
MOST_BYTES = 2**32
# A checksum is reckoned of so many bytes at a time.
PIECE_BYTES = 2**24
STATE, LOCK = "state.json", "lock"


@dataclass(frozen=True)
class State:
    """What the files of a look hold.

    Attributes:
        next: index of the image that follows those measured.
        rows, width: number of images that could be read, and of filters.
        batch_size: images at a time, on which the last bits of the numbers depend.
        is_finished: whether all images are measured.
        problems: of each image that could not be read its index and a message.
        checksums: of the rows of each score.
    """

    next: int = 0
    rows: int = 0
    width: int = 0
    batch_size: int | None = None
    is_finished: bool = False
    problems: list[tuple[int, str]] = field(default_factory=list)
    checksums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SCORES, 0))


class _Part(NamedTuple):
    """The numbers of a batch."""

    scores: dict[str, np.ndarray]
    problems: dict[int, str]
    following: int


class Ledger:
    """A row of float32 an image for each score: first in memory, every few seconds put on disk.

    Where it cannot be written the rows stay in memory, until it can be; where another process is
    measuring the same, for good.

    Args:
        key: names the model, the layer and the images; the same key must mean the same numbers.
            A ledger of the same key is gone on with.

    Attributes:
        batch_size: see `State`; None in a new one.
        is_finished: see `State`.
    """

    def __init__(self, key: str):
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._directory = cache_directory() / "looks" / digest
        self._flushed = time.monotonic()
        self._lock: FileLock | None = None
        self._files: dict[str, BinaryIO] = {}
        self._parts: list[_Part] = []
        self._state = State()  # of the disk
        if self._directory.is_dir():
            self._go_on()
        self.batch_size, self.is_finished = self._state.batch_size, self._state.is_finished

    @property
    def next(self) -> int:
        """Index of the image that follows those measured."""
        return self._parts[-1].following if self._parts else self._state.next

    @property
    def kept(self) -> int:
        """Index of the image from which another process would go on."""
        return self._state.next

    @property
    def problems(self) -> dict[int, str]:
        """A message for each image, by its index, that could not be read."""
        problems = dict(self._state.problems)
        for part in self._parts:
            problems |= part.problems
        return problems

    def add(self, scores: tuple[np.ndarray, ...], problems: dict[int, str], following: int) -> None:
        """Note the numbers of a batch.

        Args:
            scores: for each of `SCORES` float32 (num_images, filters).
            problems: a message for each image, by its index, that could not be read.
            following: index of the image that follows the batch.
        """
        self._parts.append(_Part(dict(zip(SCORES, scores, strict=True)), problems, following))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write down all, if that can be done: from here on the look can go on."""
        with suppress(OSError, Timeout):
            if not self._lock and not self._directory.is_dir():
                _remove_oldest(self._directory.parent)
                self._claim()
            if self._lock and (self.next, self.is_finished) != (self.kept, self._state.is_finished):
                self._write()
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """Note that all images are measured; what took so long that some is written, is kept."""
        self.is_finished = True
        if self.kept:
            self.flush()

    def read(self) -> dict[str, np.ndarray]:
        """All rows: for each of `SCORES` float32 (num_images, filters), mapped where on disk."""
        return {name: self._read_score(name) for name in SCORES}

    def close(self, keep: bool) -> None:
        """Let go of the files; what was read stays.

        Args:
            keep: whether another process may need the rows.
        """
        for file in self._files.values():
            with suppress(OSError):
                file.close()
        if self._lock:
            if not keep:
                _remove(self._directory)
            self._lock.release()

    def _go_on(self) -> None:
        """Take what another process has finished, or left."""
        with suppress(OSError, Timeout):
            self._claim()
        self._state, self._files = _open_kept(self._directory, self._lock is not None)

    def _claim(self) -> None:
        with _alone(self._directory.parent):
            self._directory.mkdir(exist_ok=True)
            lock = _alone(self._directory, seconds=0)
            lock.acquire()
            self._lock = lock

    def _pending(self) -> list[_Part]:
        # An interruption may have come between the two last lines of `_write`.
        return [part for part in self._parts if part.following > self._state.next]

    def _write(self) -> None:
        """May be interrupted anywhere, and is then done again."""
        if not self._files:
            self._files = {name: _create(self._directory / name) for name in SCORES}
        old, parts, checksums = self._state, self._pending(), dict(self._state.checksums)
        for name, file in self._files.items():
            file.seek(4 * old.rows * old.width)
            for part in parts:
                content = np.ascontiguousarray(part.scores[name], "float32").tobytes()
                checksums[name] = zlib.crc32(content, checksums[name])
                file.write(content)
            file.flush()
        shapes = [part.scores[SCORES[0]].shape for part in parts]
        state = State(
            self.next,
            old.rows + sum(rows for rows, _ in shapes),
            max([old.width, *(width for _, width in shapes)]),
            self.batch_size,
            self.is_finished,
            list(self.problems.items()),
            checksums,
        )
        _write_state(self._directory, state)
        self._state = state
        self._parts = []

    def _read_score(self, name: str) -> np.ndarray:
        rows = [part.scores[name] for part in self._pending() if len(part.scores[name])]
        if self._state.rows:
            shape = self._state.rows, self._state.width
            rows.insert(0, np.memmap(self._files[name], "float32", "r", shape=shape))
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _create(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)  # damaged, and yet somebody may have it mapped
    return path.open("x+b")


def _write_state(directory: Path, state: State) -> None:
    text = json.dumps(asdict(state))
    written = directory / f"{STATE}.new"
    written.write_text(f"{zlib.crc32(text.encode())} {text}")
    os.replace(written, directory / STATE)


def _open_kept(directory: Path, locked: bool) -> tuple[State, dict[str, BinaryIO]]:
    """What a directory holds, and its files; nothing if it is not as it was written.

    What is not finished is for the process alone that has locked it.
    """
    files: dict[str, BinaryIO] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        checksum, _, text = read_regular(directory / STATE, RECORD_BYTES).decode().partition(" ")
        state = State(**json.loads(text))
        is_whole = int(checksum) == zlib.crc32(text.encode())
        if is_whole and (locked or state.is_finished):
            size = 4 * state.rows * state.width
            for name in SCORES:
                path = directory / name
                files[name] = open_regular(path, None) if state.is_finished else path.open("r+b")
            if all(_checksum(files[name], size) == state.checksums[name] for name in SCORES):
                with suppress(OSError):
                    os.utime(directory)  # so that it is not among the oldest
                return state, files
    for file in files.values():
        file.close()
    return State(), {}


def _checksum(file: BinaryIO, size: int) -> int | None:
    """Of the first bytes of a file; None where it has fewer."""
    checksum = 0
    while size:
        content = file.read(min(size, PIECE_BYTES))
        if not content:
            return None
        checksum, size = zlib.crc32(content, checksum), size - len(content)
    return checksum


def _alone(directory: Path, seconds: float = 10) -> FileLock:
    """The lock of a look, or of all looks for who makes or removes one, waited for so long."""
    return FileLock(directory / LOCK, timeout=seconds)


def _remove_oldest(looks: Path) -> None:
    looks.mkdir(parents=True, exist_ok=True)
    directories = [path for path in looks.iterdir() if path.is_dir()]
    kept_bytes = 0
    for place, path in enumerate(sorted(directories, key=lambda path: -path.stat().st_mtime)):
        kept_bytes += sum(file.stat().st_size for file in path.iterdir())
        if place >= MOST_OTHERS or kept_bytes > MOST_BYTES:
            with suppress(OSError, Timeout), _alone(path, seconds=0):
                _remove(path)


def _remove(directory: Path) -> None:
    """Remove a look whose lock one has."""
    with suppress(OSError, Timeout), _alone(directory.parent):
        shutil.rmtree(directory)
