"""Signals that ask a process to end, and moments in which it cannot yet."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until the end."""
    held, before = [], {}
    with suppress(ValueError):  # not the main thread, which alone hears them
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in held[:1]:
            signal.raise_signal(number)
