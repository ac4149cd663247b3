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
from collections.abc import Callable

from kerascnn.errors import BenchError
from kerascnn.recipe import Recipe

# In the order in which they take their turns.
PEERS = ("pytorch", "keras", "kerascnn")
# The study's epoch: images that train, and images that validate.
TRAINING_IMAGES, VALIDATION_IMAGES = 40_000, 10_000


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
        `backend`, `device`, `threads`, `batch_size`, `steps`, `rounds`; `floor`, with `mflop_image`
        (multiplications and additions of one image's training step), `gflop_second` (measured
        float32 matrix product) and `step_ms`; `peers`, a list of `name`, `what`, `step_ms` (median
        over rounds), `step_ms_low`, `step_ms_high`, `images_second`, `validation_seconds`,
        `epoch_seconds` (40,000 images trained on and 10,000 validated), `peak_mb`; and `ratios` of
        kerascnn's epoch to the others', `vs_pytorch`, `vs_keras`, and of its step to the floor's,
        `vs_floor`, each with `median`, `low` and `high` over rounds.

    Raises:
        BenchError: if a peer fails.
    """
    threads = threads or os.cpu_count() or 1
    workers: dict[str, _Worker] = {}
    try:
        for name in peers:
            progress(f"starting {name}")
            workers[name] = _Worker(name, threads)
            workers[name].ask(
                json.dumps({"recipe": recipe.to_toml(), "steps": steps, "threads": threads})
            )
        turns: dict[str, list[dict]] = {name: [] for name in peers}
        floors = []
        for number in range(rounds):
            for name, worker in workers.items():
                progress(f"round {number + 1} of {rounds}: {name}")
                turns[name].append(worker.ask("round"))
            floors.append(workers[peers[-1]].ask("floor"))
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
        return BenchError(f"The peer '{self.name}' failed: {last}")


def _summarize(recipe, steps, rounds, threads, turns, floors, about) -> dict[str, object]:
    batch_size = recipe.train.batch_size
    epochs = {name: [_epoch_seconds(turn, batch_size) for turn in t] for name, t in turns.items()}
    ours = about["kerascnn"] if "kerascnn" in about else next(iter(about.values()))
    mflop = ours["mflop_image"]
    floor_ms = [batch_size * mflop / floor["gflop_second"] for floor in floors]
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
            "gflop_second": statistics.median(floor["gflop_second"] for floor in floors),
            "step_ms": statistics.median(floor_ms),
        },
        "peers": [
            _summarize_peer(name, turns[name], epochs[name], about[name], batch_size)
            for name in turns
        ],
        "ratios": _ratios(turns, epochs, floor_ms),
    }


def _epoch_seconds(turn: dict, batch_size: int) -> float:
    return turn["step_ms"] / 1000 * TRAINING_IMAGES / batch_size + turn["validation_seconds"]


def _summarize_peer(name, turns, epochs, about, batch_size) -> dict[str, object]:
    steps = [turn["step_ms"] for turn in turns]
    median = statistics.median(steps)
    return {
        "name": name,
        "what": about["what"],
        "step_ms": median,
        "step_ms_low": min(steps),
        "step_ms_high": max(steps),
        "images_second": 1000 * batch_size / median,
        "validation_seconds": statistics.median(turn["validation_seconds"] for turn in turns),
        "epoch_seconds": statistics.median(epochs),
        "peak_mb": about["peak_mb"],
    }


def _ratios(turns, epochs, floor_ms) -> dict[str, dict[str, float] | None]:
    ratios = {}
    for other in ("pytorch", "keras"):
        known = "kerascnn" in epochs and other in epochs
        pairs = zip(epochs["kerascnn"], epochs[other], strict=True) if known else ()
        ratios[f"vs_{other}"] = _spread([ours / theirs for ours, theirs in pairs])
    steps = [turn["step_ms"] for turn in turns.get("kerascnn", ())]
    ratios["vs_floor"] = _spread([s / f for s, f in zip(steps, floor_ms, strict=False)])
    return ratios


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
