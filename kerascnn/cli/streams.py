"""Standard output that says what it cannot write, and standard error that keeps quiet about it."""

import io
import os
import signal
import sys
from typing import TextIO

from kerascnn.errors import KerascnnError

STDOUT, STDERR = 1, 2


class _Output(io.FileIO):
    """Raises a KerascnnError where nothing can be written, and ends where nobody reads on."""

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            # What is still in a buffer is not tried again when the process ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise SystemExit(128 + signal.SIGPIPE) from None
            raise KerascnnError(f"Standard output cannot be written: {error.strerror}.") from None


class _Remarks(io.FileIO):
    """Drops what cannot be written: the work and its exit status do not depend on it."""

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def guard_streams() -> None:
    """Replace the streams of this process; those that somebody has put in their place are left.

    Standard output on a full disk is a KerascnnError. Where it is a pipe that nobody reads on, the
    process ends without a word, with the status of one that SIGPIPE ends.
    """
    _occupy_closed()
    sys.stdout = _guarded(sys.stdout, STDOUT, _Output)
    sys.stderr = _guarded(sys.stderr, STDERR, _Remarks)


def _occupy_closed() -> None:
    """Let no file that is opened later become a standard stream that was closed (`>&-`)."""
    opened = 0
    while opened <= STDERR:
        opened = os.open(os.devnull, os.O_RDONLY)
    os.close(opened)


def _guarded(stream: TextIO | None, number: int, kind: type[io.FileIO]) -> TextIO:
    """A text stream over `kind` in the place of one; a name may hold what its encoding has not."""
    buffer = getattr(stream, "buffer", None)
    if stream is not None and type(getattr(buffer, "raw", buffer)) is not io.FileIO:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(kind(number, "w", closefd=False)),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",
        line_buffering=number == STDERR or (stream is not None and stream.line_buffering),
    )
