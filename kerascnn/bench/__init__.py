"""How fast training is beside what a user would write by hand, on this machine.

Each peer trains the same network on the same images in a process of its own. The processes take
turns, round by round, so that a machine that slows down slows all of them; what counts are ratios.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerascnn.errors import BenchError
from kerascnn.recipe import Recipe
from kerascnn.records.bench import Bench, Floor, Peer, Ratios, Spread

# In the order in which they take their turns.
PEERS = ("pytorch", "keras", "kerascnn")
# The study's epoch: images that train, and images that validate; so many of these are timed.
TRAINING_IMAGES, VALIDATION_IMAGES, TIMED_IMAGES = 40_000, 10_000, 2_000


@dataclass(frozen=True)
class Turn:
    """What a peer took in one turn.

    Attributes:
        step_ms: milliseconds for a training step.
        validation_seconds: for 10,000 images.
    """

    step_ms: float
    validation_seconds: float

    def epoch_seconds(self, batch_size: int) -> float:
        """Seconds for an epoch of the study."""
        return self.step_ms / 1000 * TRAINING_IMAGES / batch_size + self.validation_seconds


def run_bench(
    recipe: Recipe,
    steps: int = 60,
    rounds: int = 5,
    threads: int | None = None,
    progress: Callable[[str], object] = lambda what: None,
) -> Bench:
    """Time the peers in turns.

    Args:
        recipe: what is trained; the batch size and the augmentation are its own.
        steps: training steps a turn.
        rounds: turns of each peer, after one that warms it up.
        threads: of the processor, for each peer; None for as many as there are cores.
        progress: called with what is being done.

    Raises:
        BenchError: if a peer fails.
    """
    threads = threads or os.cpu_count() or 1
    order = {"recipe": recipe.model_dump(mode="json"), "steps": steps, "threads": threads}
    turns: dict[str, list[Turn]] = {name: [] for name in PEERS}
    floors = []
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in PEERS:
            progress(f"starting {name}")
            workers[name] = _Worker(name, threads)
            stack.callback(workers[name].stop)
            workers[name].ask(json.dumps(order))
        for number in range(rounds):
            for name, worker in workers.items():
                progress(f"round {number + 1} of {rounds}: {name}")
                turns[name].append(Turn(**worker.ask("round")))
            floors.append(workers["kerascnn"].ask("floor")["gflop_second"])
        about = {name: worker.ask("about") for name, worker in workers.items()}
        network = workers["kerascnn"].ask("network")
    batch_size = recipe.train.batch_size
    floor_ms = [batch_size * network["mflop_image"] / gflop_second for gflop_second in floors]
    return Bench(
        backend=network["backend"],
        device=network["device"],
        threads=threads,
        recipe=recipe.name,
        batch_size=batch_size,
        steps=steps,
        rounds=rounds,
        floor=Floor(
            mflop_image=network["mflop_image"],
            gflop_second=statistics.median(floors),
            step_ms=statistics.median(floor_ms),
        ),
        peers=[summarize(name, turns[name], batch_size, **about[name]) for name in PEERS],
        ratios=compare(turns, batch_size, floor_ms),
    )


def summarize(name: str, turns: list[Turn], batch_size: int, what: str, peak_mb: int) -> Peer:
    """What a peer's turns come to."""
    steps = Spread.of(turn.step_ms for turn in turns)
    return Peer(
        name=name,
        what=what,
        step_ms=steps.median,
        step_ms_low=steps.low,
        step_ms_high=steps.high,
        images_second=1000 * batch_size / steps.median,
        validation_seconds=statistics.median(turn.validation_seconds for turn in turns),
        epoch_seconds=statistics.median(turn.epoch_seconds(batch_size) for turn in turns),
        peak_mb=peak_mb,
    )


def compare(turns: dict[str, list[Turn]], batch_size: int, floor_ms: list[float]) -> Ratios:
    """Ratios of kerascnn's turns to the others' turns, and to the floor, of the same rounds."""

    def epochs(name: str) -> np.ndarray:
        return np.array([turn.epoch_seconds(batch_size) for turn in turns[name]])

    steps = np.array([turn.step_ms for turn in turns["kerascnn"]])
    return Ratios(
        vs_pytorch=Spread.of(epochs("kerascnn") / epochs("pytorch")),
        vs_keras=Spread.of(epochs("kerascnn") / epochs("keras")),
        vs_floor=Spread.of(steps / floor_ms),
    )


class _Worker:
    """A peer in a process of its own, which answers one line of JSON to each word."""

    def __init__(self, name: str, threads: int):
        self.name = name
        # A file, because nobody reads while a peer works and a pipe would fill.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kerascnn.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )

    def ask(self, word: str) -> dict:
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        while line := self.process.stdout.readline():
            # A library may print, too.
            if line.startswith("{"):
                return json.loads(line)
        raise self._failure()

    def stop(self) -> None:
        with self.errors, self.process.stdout, contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _failure(self) -> BenchError:
        self.process.wait()
        self.errors.seek(0)
        last = (self.errors.read().strip().splitlines() or ["no message"])[-1]
        return BenchError(f"The program '{self.name}' of the bench failed: {last}")
