"""Files of a run: written whole or not at all, read once, locked while a run trains."""

import functools
import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout
from pydantic import ValidationError

from kerascnn.errors import RunError
from kerascnn.regular_files import ARRAY_BYTES, open_regular
from kerascnn.zips import check_sizes

Content = TypeVar("Content")


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
        raise not_writable(path, error) from None
    return path


def read_once(read: Callable[[Path], Content], path: Path) -> Content:
    """What `read` makes of a file, which nobody can change; kept until the file changes."""
    return _read(read, path, _state_of(path))


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


def load_arrays(path: Path, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an .npz file: those named, as far as they are there, or all.

    Raises:
        OSError, ValueError, and what numpy and zipfile raise, if the file is damaged.
    """
    with open_regular(path, ARRAY_BYTES) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no .npz file")
        with zipfile.ZipFile(file) as archive:
            check_sizes(archive.infolist())
            stored = {name.removesuffix(".npy"): name for name in archive.namelist()}
            return {
                name: _read_array(archive, stored[name])
                for name in names or stored
                if name in stored
            }


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return read_once(_sha256, path)


def not_writable(path: Path, error: OSError) -> RunError:
    """The error to raise where a file cannot be written."""
    return RunError(f"'{path}' cannot be written: {error.strerror or error}.")


def reason(error: object) -> str:
    """Why a file cannot be read, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"]
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def lock(directory: Path, name: str) -> AbstractContextManager:
    """Lock the directory of a run, called `name` in errors; the lock goes with the process.

    Raises:
        RunError: if another process holds the lock, or the directory cannot be written.
    """
    try:
        return FileLock(directory / ".lock", timeout=0).acquire()
    except Timeout:
        raise RunError(f"Run '{name}' is being trained by another process.") from None
    except OSError as error:
        raise not_writable(directory, error) from None


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


@functools.lru_cache(maxsize=10_000)
def _read(read: Callable[[Path], Content], path: Path, state: tuple[int, ...] | None) -> Content:
    return read(path)


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _sha256(path: Path) -> str:
    with open_regular(path, ARRAY_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
