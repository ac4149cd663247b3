"""A peer in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from types import TracebackType

from kerascnn.errors import BenchError


class PeerProcess:
    """A process that answers one line of JSON to each line.

    It is a context: at its end, the process and those that it has started are killed.

    Args:
        name: of the peer.
        threads: of the processor, which its libraries take.
    """

    def __init__(self, name: str, threads: int):
        self.name = name
        # A file, because nobody reads while a peer works and a pipe would fill.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kerascnn.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            # So that it can be killed with its data loader's processes, and Ctrl-C is ours alone.
            start_new_session=True,
        )

    def ask(self, line: str) -> dict:
        """The answer to a line.

        Raises:
            BenchError: if the process has ended.
        """
        with contextlib.suppress(BrokenPipeError):  # reading will tell
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        while answer := self._process.stdout.readline():
            # A library may print, too.
            if answer.startswith("{"):
                return json.loads(answer)
        raise self._failure()

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # nobody of them is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):  # what is still in a buffer
                stream.close()

    def _failure(self) -> BenchError:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        last = said[-1] if said else f"it ended with status {status} and without a word"
        return BenchError(f"The program '{self.name}' of the bench failed: {last}")
