"""How fast training is, as the bench measured it."""

import statistics
from collections.abc import Iterable

from kerascnn.records import Record


class Spread(Record):
    """A ratio over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of some values, at least one."""
        values = list(values)
        return cls(median=statistics.median(values), low=min(values), high=max(values))


class Floor(Record):
    """How fast a training step would be if it were arithmetic alone.

    Attributes:
        mflop_image: multiplications and additions of one image's training step, in millions.
        gflop_second: measured with a float32 matrix product, in 10**9 a second.
        step_ms: milliseconds for a training step.
    """

    mflop_image: float
    gflop_second: float
    step_ms: float


class Peer(Record):
    """One of the programs that take turns.

    Attributes:
        name: of the program.
        what: what is measured, in a line.
        step_ms, step_ms_low, step_ms_high: milliseconds a training step, the median over rounds.
        images_second: images trained on in a second.
        validation_seconds: for 10,000 images.
        epoch_seconds: 40,000 images trained on and 10,000 validated.
        peak_mb: memory at the most.
    """

    name: str
    what: str
    step_ms: float
    step_ms_low: float
    step_ms_high: float
    images_second: float
    validation_seconds: float
    epoch_seconds: float
    peak_mb: int


class Ratios(Record):
    """kerascnn's epoch to the others', and its training step to the floor's."""

    vs_pytorch: Spread
    vs_keras: Spread
    vs_floor: Spread


class Bench(Record):
    """What was trained, on what, and how long each program took.

    Attributes:
        threads: of the processor, for each program.
        steps: training steps a turn.
        rounds: turns of each program.
    """

    backend: str
    device: str
    threads: int
    recipe: str
    batch_size: int
    steps: int
    rounds: int
    floor: Floor
    peers: tuple[Peer, ...]
    ratios: Ratios
