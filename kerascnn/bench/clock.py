"""When a peer's steps, its validation and its epochs end, and the word that it waits for then."""

import time
from collections.abc import Callable

# After so many steps of the first epoch a peer tells what one takes.
PROBED_STEPS = 60
# So many steps at the beginning and at the end of an epoch are compared.
COMPARED_STEPS = 100


class Clock:
    """What a peer calls while it trains, epoch after epoch.

    Args:
        wait: called with numbers to tell: `step_ms` after the first steps, and after each epoch the
            times of that epoch, see `Turn`. It returns when training is to go on, and gives whether
            it is.
        steps: of an epoch.
    """

    def __init__(self, wait: Callable[[dict[str, float]], bool], steps: int):
        self._wait = wait
        self._steps_until_probed = min(PROBED_STEPS, steps)
        self._begin()

    def step(self) -> None:
        """A training step has ended."""
        self._ends.append(time.perf_counter())
        if len(self._ends) == self._steps_until_probed:
            self._steps_until_probed = 0
            self._wait({"step_ms": step_ms(self._ends)})
            # The time of waiting is nobody's.
            self._start += time.perf_counter() - self._ends[-1]

    def validated(self) -> None:
        """The validation of an epoch has ended."""
        self._validated = time.perf_counter()

    def epoch(self) -> bool:
        """An epoch has ended, its checkpoint is written; whether to train another one."""
        end = time.perf_counter()
        go_on = self._wait(
            {
                "seconds": end - self._start,
                "step_ms": step_ms(self._ends),
                "validation_seconds": self._validated - self._ends[-1],
                "checkpoint_seconds": end - self._validated,
                "last_to_first": last_to_first(self._ends),
            }
        )
        self._begin()
        return go_on

    def _begin(self) -> None:
        self._ends: list[float] = []
        self._start = time.perf_counter()


def step_ms(ends: list[float]) -> float:
    """Milliseconds a step, from the first one's end to the last one's.

    Args:
        ends: seconds at which steps ended.
    """
    return (ends[-1] - ends[0]) * 1000 / max(1, len(ends) - 1)


def last_to_first(ends: list[float]) -> float:
    """How many times as long as the first hundred steps the last hundred took.

    Of fewer than 200, the last half as against the first; 1 of fewer than three.

    Args:
        ends: seconds at which steps ended.
    """
    count = min(COMPARED_STEPS, (len(ends) - 1) // 2)
    return (ends[-1] - ends[-1 - count]) / (ends[count] - ends[0]) if count else 1.0
