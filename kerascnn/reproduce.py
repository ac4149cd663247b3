"""Many runs, each in a process of its own, so that any of them can be stopped and gone on with."""

from __future__ import annotations

import ctypes
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kerascnn.errors import RunError
from kerascnn.readings import Reading
from kerascnn.recipe import Recipe
from kerascnn.results import find_same
from kerascnn.run import Run

POLL_SECONDS = 0.5
# How long an epoch takes is told from the last ones: the machine may be busier or idler by now.
RECENT_EPOCHS = 5
# Of prctl.h. The library is looked up here: between fork and exec as little as can be is done.
_PR_SET_PDEATHSIG = 1
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


@dataclass
class Job:
    """One run that is wanted.

    Attributes:
        recipe: resolved, with its seed.
        state: `there` (was finished before), `waiting`, `running`, `done` or `failed`.
        run: its run, once there is a directory.
        message: why it failed.
    """

    recipe: Recipe
    state: str = "waiting"
    run: Run | None = None
    message: str = ""

    @property
    def name(self) -> str:
        """Recipe and seed."""
        return f"{self.recipe.name}, seed {self.recipe.train.seed}"

    @property
    def epochs(self) -> int:
        """Epochs that it has in all."""
        return self.recipe.train.epochs

    @property
    def epoch_seconds(self) -> list[float]:
        """Seconds of each whole epoch so far."""
        if self.run is None:
            return []
        with suppress(RunError):
            return self.run.read_history()["seconds"]
        return []


class Reproduction:
    """The runs of a study: which are there, which are to be made, and making them.

    Args:
        recipes: as shipped.
        seeds: of each recipe.
        reading: how the recipes are understood.
        runs_dir: where runs are, and are made.
        data_dir: directory of prepared TFDS data sets.
    """

    def __init__(
        self,
        recipes: list[Recipe],
        seeds: list[int],
        reading: Reading,
        runs_dir: Path,
        data_dir: Path | None = None,
    ):
        self.runs_dir, self.data_dir = runs_dir, data_dir
        # All recipes with one seed come before the next seed: stopped early, each was tried.
        wanted = [reading.resolve(recipe, seed) for seed in seeds for recipe in recipes]
        self.jobs = [Job(recipe, run=find_same(runs_dir, recipe)) for recipe in wanted]
        for job in self.jobs:
            if job.run and job.run.status == "finished":
                job.state = "there"
        self._running: dict[int, _Process] = {}

    @property
    def failed(self) -> list[Job]:
        """Jobs that did not end well."""
        return [job for job in self.jobs if job.state == "failed"]

    def make(self, num_jobs: int = 1, watch: Callable[[Reproduction], object] = id) -> None:
        """Make what is missing, so many runs at a time; what failed does not stop the others.

        Args:
            num_jobs: processes at a time; they share the processor's cores.
            watch: called about twice a second.

        Raises:
            KeyboardInterrupt: once all processes have stored their state, if it was interrupted.
        """
        try:
            while self._fill(num_jobs):
                watch(self)
                time.sleep(POLL_SECONDS)
                self._reap()
            watch(self)
        finally:
            self._stop()

    def seconds_left(self, num_jobs: int) -> float | None:
        """Seconds until the last run ends, if epochs go on as they lately did; None if unknown."""
        recent = [s for job in self._active() for s in job.epoch_seconds[-RECENT_EPOCHS:]]
        if not recent:
            recent = [s for job in self.jobs for s in job.epoch_seconds[-RECENT_EPOCHS:]]
        if not recent:
            return None
        left = [job.epochs - len(job.epoch_seconds) for job in self.jobs if self._is_open(job)]
        # No run can be shared out, so the longest is a bound of its own.
        at_once = min(num_jobs, len(left)) or 1
        return statistics.median(recent) * max(max(left, default=0), sum(left) / at_once)

    def _active(self) -> list[Job]:
        return [self.jobs[index] for index in self._running]

    @staticmethod
    def _is_open(job: Job) -> bool:
        return job.state in ("waiting", "running")

    def _fill(self, num_jobs: int) -> bool:
        """Start what there is room for; whether anything is left to wait for."""
        for index, job in enumerate(self.jobs):
            if len(self._running) < num_jobs and job.state == "waiting":
                job.state = "running"
                self._running[index] = _Process(job, self.runs_dir, self.data_dir, num_jobs)
        return bool(self._running)

    def _reap(self) -> None:
        for index, process in list(self._running.items()):
            job = self.jobs[index]
            job.run = job.run or find_same(self.runs_dir, job.recipe)
            if (status := process.popen.poll()) is None:
                continue
            del self._running[index]
            last_words = process.close()
            job.state, job.message = ("failed", last_words) if status else ("done", "")

    def _stop(self) -> None:
        """Have what still runs store its state and end."""
        for process in self._running.values():
            process.popen.terminate()
        for index, process in self._running.items():
            process.popen.wait()
            process.close()
            self.jobs[index].state = "waiting"
        self._running = {}


class _Process:
    """`kerascnn run` or `kerascnn resume` of one job."""

    def __init__(self, job: Job, runs_dir: Path, data_dir: Path | None, num_jobs: int):
        self.directory = tempfile.TemporaryDirectory(prefix="kerascnn-")
        if job.run:
            command = ["resume", str(job.run.path)]
        else:
            recipe_path = Path(self.directory.name, "recipe.toml")
            recipe_path.write_text(job.recipe.to_toml(), "utf-8")
            command = ["run", str(recipe_path), "--runs-dir", str(runs_dir)]
        command += ["--json"] + (["--data-dir", str(data_dir)] if data_dir else [])
        self.log = open(Path(self.directory.name, "log"), "w+b")  # noqa: SIM115
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "kerascnn", *command],
            env=_environment(num_jobs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            # Ctrl-C reaches this process alone, which then ends the others.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def close(self) -> str:
        """Tidy up; the last line that the process wrote."""
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").split("\n")
        self.log.close()
        self.directory.cleanup()
        said = [line for line in lines if line.strip()]
        return said[-1].removeprefix("Error: ") if said else "it said nothing"


def _environment(num_jobs: int) -> dict[str, str]:
    environment = dict(os.environ)
    if num_jobs > 1:  # threads of several processes on one core would wait for each other
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_jobs)))
    return environment


def _die_with_parent() -> None:
    """Where the kernel can (Linux), have it end this process when its parent is killed."""
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
