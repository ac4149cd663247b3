"""Numbers too small to be normal, taken for zero while torch computes on a processor.

Arithmetic on denormal numbers (in float32 those below 1.2e-38) takes many times as long on many
processors. In training they come up by themselves: where a gradient is exactly zero for long, as
that of a weight whose input is always zero, Adam's first moment shrinks by a tenth each step and is
denormal after some 800 steps. XLA and TensorFlow flush denormals in their own threads. torch does
so where it is told, but tells the calling thread alone, and those that OpenMP makes from then on.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# More than the floating-point environment (fenv_t) takes on any processor.
ENVIRONMENT_BYTES = 256


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Within it, every thread that computes for torch takes denormal numbers for zero.

    Also the threads that OpenMP has made before. Afterwards all of them do what the thread that
    calls did before. On other backends, nothing is done here.
    """
    import keras

    if keras.config.backend() != "torch":
        yield
        return
    before = flushes_denormals()
    _set_flush(True)
    try:
        yield
    finally:
        _set_flush(before)


def flushes_denormals() -> bool:
    """Whether the thread that calls takes denormal numbers for zero."""
    return sys.float_info.min / 2 == 0


def _set_flush(on: bool) -> None:
    import torch

    torch.set_flush_denormal(on)
    if library := _openmp():
        environment = ctypes.create_string_buffer(ENVIRONMENT_BYTES)
        library.fegetenv(environment)
        in_team = ctypes.cast(library.fesetenv, ctypes.c_void_p)
        library.GOMP_parallel(in_team, environment, ctypes.c_uint(torch.get_num_threads()), 0)


@functools.cache
def _openmp() -> ctypes.CDLL | None:
    """What torch computes with, if its OpenMP can be asked to run a C function in each thread.

    `GOMP_parallel` is what programs compiled by GCC call for that. GNU's OpenMP has it, and those
    of LLVM and Intel on Linux.
    """
    import torch

    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        library = ctypes.CDLL(str(path))
        return library if library.GOMP_parallel and library.fesetenv else None
    except (OSError, AttributeError):
        return None
