"""Files from elsewhere are opened here alone: regular ones, of no more bytes than a kind may have.

A pipe, a device, a socket or a directory under the name of a file is refused, and nobody waits for
it. A link to a regular file is as good as the file.
"""

import errno
import os
import stat
from functools import partial
from pathlib import Path
from typing import BinaryIO

# The most bytes of a kind of file. A recipe as long as its texts may be has some 20,000.
RECIPE_BYTES = 2**16
# Of JSON and CSV; a history of 300,000 epochs has so many.
RECORD_BYTES = 2**25
# Of weights and other numbers that are read into memory.
ARRAY_BYTES = 2**33

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
}


def open_regular(path: str | Path, most_bytes: int | None) -> BinaryIO:
    """Open a file to read its bytes, without waiting for anybody.

    Args:
        most_bytes: what it may have; None where it is not read into memory.

    Raises:
        OSError: if it cannot be opened, is no regular file or is too large; `strerror` says which.
    """
    return open(os.fspath(path), "rb", opener=partial(_open_checked, most_bytes))


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """All bytes of a file; errors as for `open_regular`."""
    with open_regular(path, most_bytes) as file:
        # A file that still grows, and those of /proc, have more than they say.
        content = file.read(most_bytes + 1)
    if content is None:
        raise OSError(errno.EAGAIN, "it has nothing to read yet", str(path))
    if len(content) > most_bytes:
        raise _too_large(path, most_bytes)
    return content


def _open_checked(most_bytes: int | None, path: str, flags: int) -> int:
    try:
        # Neither of a pipe nor of a device is anything waited for.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        _check(path, os.stat(path), most_bytes)  # a socket cannot even be opened
        raise
    try:
        _check(path, os.fstat(descriptor), most_bytes)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: str | Path, found: os.stat_result, most_bytes: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    if most_bytes is not None and found.st_size > most_bytes:
        raise _too_large(path, most_bytes)


def _too_large(path: str | Path, most_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {most_bytes:,} bytes", str(path))
