"""How fast training is beside what a user would write by hand, on this machine.

Each peer trains the same network on the same images in a process of its own. The processes take
turns, round by round, so that a machine that slows down slows all of them; what counts are ratios.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kerascnn.errors import BenchError
from kerascnn.recipe import Recipe

# In the order in which they take their turns.
PEERS = ("pytorch", "keras", "kerascnn")
# The study's epoch: images that train, and images that validate.
TRAINING_IMAGES, VALIDATION_IMAGES = 40_000, 10_000


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
    peers: tuple[str, ...] = PEERS,
    progress: Callable[[str], object] = lambda what: None,
) -> dict[str, object]:
    """Time the peers in turns.

    Args:
        recipe: what is trained; the batch size and the augmentation are its own.
        steps: training steps a turn.
        rounds: turns of each peer, after one that warms it up.
        threads: of the processor, for each peer; None for as many as there are cores.
        peers: of `PEERS`.
        progress: called with what is being done.

    Returns:
        `backend`, `device`, `threads`, `recipe`, `batch_size`, `steps`, `rounds`.
        `floor`: `mflop_image` (multiplications and additions of one image's training step),
            `gflop_second` (measured with a float32 matrix product) and `step_ms`.
        `peers`: a list of `name`, `what`, `step_ms` (median over rounds), `step_ms_low`,
            `step_ms_high`, `images_second`, `validation_seconds`, `epoch_seconds` (40,000 images
            trained on and 10,000 validated) and `peak_mb`.
        `ratios`: of kerascnn's epoch to the others', `vs_pytorch` and `vs_keras`, and of its step
            to the floor's, `vs_floor`; each has `median`, `low` and `high` over rounds.

    Raises:
        BenchError: if a peer fails.
    """
    threads = threads or os.cpu_count() or 1
    workers: dict[str, _Worker] = {}
    try:
        for name in peers:
            progress(f"starting {name}")
            workers[name] = _Worker(name, threads)
            order = {"recipe": recipe.model_dump(mode="json"), "steps": steps, "threads": threads}
            workers[name].ask(json.dumps(order))
        turns: dict[str, list[Turn]] = {name: [] for name in peers}
        floors = []
        for number in range(rounds):
            for name, worker in workers.items():
                progress(f"round {number + 1} of {rounds}: {name}")
                turns[name].append(Turn(**worker.ask("round")))
            floors.append(workers[peers[-1]].ask("floor")["gflop_second"])
        about = {name: worker.ask("about") for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.stop()
    return _summarize(recipe, steps, rounds, threads, turns, floors, about)


class _Worker:
    """A peer in a process of its own, which answers one line of JSON to each word."""

    def __init__(self, name: str, threads: int):
        self.name = name
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        # A file, because nobody reads while a peer works and a pipe would fill.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kerascnn.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
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


def _summarize(
    recipe: Recipe,
    steps: int,
    rounds: int,
    threads: int,
    turns: dict[str, list[Turn]],
    floors: list[float],
    about: dict[str, dict],
) -> dict[str, object]:
    batch_size = recipe.train.batch_size
    ours = about["kerascnn"] if "kerascnn" in about else next(iter(about.values()))
    mflop = ours["mflop_image"]
    floor_ms = [batch_size * mflop / gflop_second for gflop_second in floors]
    return {
        "backend": ours["backend"],
        "device": ours["device"],
        "threads": threads,
        "recipe": recipe.name,
        "batch_size": batch_size,
        "steps": steps,
        "rounds": rounds,
        "floor": {
            "mflop_image": mflop,
            "gflop_second": statistics.median(floors),
            "step_ms": statistics.median(floor_ms),
        },
        "peers": [
            {
                "name": name,
                "what": about[name]["what"],
                **_summarize_peer(turns[name], batch_size),
                "peak_mb": about[name]["peak_mb"],
            }
            for name in turns
        ],
        "ratios": _ratios(turns, batch_size, floor_ms),
    }


def _summarize_peer(turns: list[Turn], batch_size: int) -> dict[str, float]:
    steps = [turn.step_ms for turn in turns]
    median = statistics.median(steps)
    return {
        "step_ms": median,
        "step_ms_low": min(steps),
        "step_ms_high": max(steps),
        "images_second": 1000 * batch_size / median,
        "validation_seconds": statistics.median(turn.validation_seconds for turn in turns),
        "epoch_seconds": statistics.median(turn.epoch_seconds(batch_size) for turn in turns),
    }


def _ratios(
    turns: dict[str, list[Turn]], batch_size: int, floor_ms: list[float]
) -> dict[str, dict[str, float] | None]:
    ours = turns.get("kerascnn", [])
    ratios = {}
    for other in ("pytorch", "keras"):
        pairs = zip(ours, turns.get(other, []), strict=False)
        ratios[f"vs_{other}"] = _spread(
            mine.epoch_seconds(batch_size) / theirs.epoch_seconds(batch_size)
            for mine, theirs in pairs
        )
    steps = zip(ours, floor_ms, strict=False)
    ratios["vs_floor"] = _spread(turn.step_ms / floor for turn, floor in steps)
    return ratios


def _spread(ratios: Iterable[float]) -> dict[str, float] | None:
    values = list(ratios)
    if not values:
        return None
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
