"""Many runs in processes of their own, so that any of them can be stopped and gone on with."""

import ctypes
import functools
import heapq
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

from kerascnn.errors import RunError, SelectionError
from kerascnn.recipe import Recipe
from kerascnn.run import Run
from kerascnn.run.find import find_same, is_finished, list_runs, trains_as
from kerascnn.signals import signals_held
from kerascnn.study.readings import Reading
from kerascnn.study.results import Results, load_results, select_results

POLL_SECONDS = 0.5
# Only so many last epochs tell how long the next one takes: the machine may be busier by now.
RECENT_EPOCHS = 5
# What prctl calls the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1
# The library is looked up here: between fork and exec as little as possible may be done.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


@dataclass(eq=False)
class Job:
    """One run that is wanted.

    Attributes:
        recipe: as the reading understands it, with its seed.
        state: `there` (was finished before), `waiting`, `running`, `done` or `failed`.
        run: its run, once there is a directory.
        message: why it failed.
        process: makes the run, and others of its recipe where they train together; None before it
            is started.
    """

    recipe: Recipe
    state: str = "waiting"
    run: Run | None = None
    message: str = ""
    process: "_Process | None" = None

    @property
    def name(self) -> str:
        return f"{self.recipe.name}, seed {self.recipe.train.seed}"

    @property
    def epochs(self) -> int:
        return self.recipe.train.epochs

    @property
    def epoch_seconds(self) -> tuple[float, ...]:
        """Seconds of each whole epoch so far."""
        with suppress(RunError):
            return self.run.read_history().seconds if self.run else ()
        return ()

    @property
    def epochs_left(self) -> int:
        return self.epochs - len(self.epoch_seconds)


class Reproduction:
    """The runs of a study: which are there, which are to be made, and making them.

    Args:
        recipes: as shipped.
        seeds: of each recipe.
        runs_dir: where runs are, and are made.
        together: whether the seeds of a recipe train as one computation, in one process.

    Raises:
        RunError: if no runs can be made in the directory.
    """

    def __init__(
        self,
        recipes: list[Recipe],
        seeds: list[int],
        reading: Reading,
        runs_dir: Path,
        data_dir: Path | None = None,
        together: bool = False,
    ):
        self.recipes, self.reading, self.together = recipes, reading, together
        self.runs_dir, self.data_dir = Path(runs_dir), data_dir
        # Fail once and early, rather than in each run.
        try:
            self.runs_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"No run can be made in '{runs_dir}': {error.strerror}.") from None
        self.jobs: list[Job] = []
        # All recipes come before the next seed: if the work is stopped early, each was tried.
        for wanted in (reading.resolve(recipe, seed) for seed in seeds for recipe in recipes):
            if not any(trains_as(job.recipe, wanted) for job in self.jobs):
                self.jobs.append(self._look_for(Job(wanted)))

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets that the runs need."""
        return list(dict.fromkeys(recipe.data.dataset for recipe in self.recipes))

    @property
    def failed(self) -> list[Job]:
        return self._jobs("failed")

    def make(self, num_jobs: int, watch: Callable[["Reproduction"], None]) -> None:
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
            with signals_held():
                self._stop()

    def results(self) -> Results:
        """Finished runs of these recipes, of all seeds, by the recipe's name in this reading."""
        finished = load_results(list_runs(self.runs_dir))
        found = select_results(finished, self.reading, self.recipes)
        names = {recipe.name: self.reading.resolve(recipe).name for recipe in self.recipes}
        return {names[name]: results for name, results in found.items()}

    def seconds_left(self, num_jobs: int) -> float | None:
        """Seconds until the last run ends, if epochs go on as they lately did; None if unknown."""
        running = self._jobs("running")
        recent = _recent_seconds(running) or _recent_seconds(self.jobs)
        if not recent:
            return None
        # Those that run go on; each of the others takes the place that is free first.
        busy = sorted(max(j.epochs_left for j in group) for group in self._groups("running"))
        free_at = [0] * (num_jobs - len(busy)) + busy
        for group in self._groups("waiting"):
            heapq.heapreplace(free_at, free_at[0] + max(job.epochs_left for job in group))
        return statistics.median(recent) * max(free_at)

    def _jobs(self, *states: str) -> list[Job]:
        return [job for job in self.jobs if job.state in states]

    def _groups(self, state: str) -> list[list[Job]]:
        """Jobs in a state, those together that one process makes or is to make."""
        groups: list[list[Job]] = []
        for job in self._jobs(state):
            mates = (group for group in groups if self.together and _are_mates(group[0], job))
            if group := next(mates, None):
                group.append(job)
            else:
                groups.append([job])
        return groups

    def _look_for(self, job: Job) -> Job:
        """Find the run of a job, which another process may have made by now."""
        job.run = find_same(self.runs_dir, job.recipe)
        if job.run and is_finished(job.run):
            job.state = "there"
        return job

    def _fill(self, num_jobs: int) -> bool:
        """Start as many as there is room for; gives whether anything is left to wait for."""
        for group in self._groups("waiting"):
            has_room = len(self._groups("running")) < num_jobs
            if has_room and (missing := [j for j in group if self._look_for(j).state == "waiting"]):
                self._start(missing, num_jobs)
        return bool(self._jobs("running"))

    def _start(self, group: list[Job], num_jobs: int) -> None:
        at_a_time = min(num_jobs, len(self._groups("waiting")) + len(self._groups("running")))
        try:
            with signals_held():  # an interrupt in here would leave a process that nobody knows of
                process = _Process(group, self.runs_dir, self.data_dir, at_a_time)
                for job in group:
                    job.process, job.state = process, "running"
        except OSError as error:
            for job in group:
                job.state, job.message = "failed", f"no process can be started: {error.strerror}."

    def _reap(self) -> None:
        for group in self._groups("running"):
            for job in group:
                job.run = job.run or find_same(self.runs_dir, job.recipe)
            process = group[0].process
            if (status := process.popen.poll()) is not None:
                self._end(group, status, process.close())

    def _end(self, group: list[Job], status: int, said: list[str]) -> None:
        for job in group:
            # Of several, one may have failed alone.
            is_done = not status or (len(group) > 1 and self._look_for(job).state == "there")
            job.state = "done" if is_done else "failed"
            job.message = "" if is_done else _why(status, _about(job, said))

    def _stop(self) -> None:
        """Let each process that still runs store its state and end."""
        groups = self._groups("running")
        for group in groups:
            group[0].process.popen.terminate()
        for group in groups:
            group[0].process.popen.wait()
            group[0].process.close()
            for job in group:
                job.state = "waiting"


def parse_seeds(text: str) -> list[int]:
    """Seeds out of `3` (the first three, from 0), or a list such as `0,5,7`.

    Raises:
        SelectionError: if the text is none of these.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 11 for part in parts):
        raise SelectionError(f"'{text}' is not a number of seeds or a list such as 0,5,7.")
    numbers = [int(part) for part in parts]
    if len(numbers) > 1 or "," in text:
        return sorted(set(numbers))
    if not 1 <= numbers[0] <= 1000:
        raise SelectionError(f"{numbers[0]} seeds: expected 1 to 1000, or a list such as 0,5,7.")
    return list(range(numbers[0]))


def _recent_seconds(jobs: list[Job]) -> list[float]:
    return [seconds for job in jobs for seconds in job.epoch_seconds[-RECENT_EPOCHS:]]


def _are_mates(job: Job, other: Job) -> bool:
    """Whether two runs are of one recipe but for the seed, and one process makes both, or none."""
    seed = {"train.seed": other.recipe.train.seed}
    return job.process is other.process and trains_as(job.recipe.with_values(seed), other.recipe)


class _Process:
    """`kerascnn run`, `resume` or `evaluate` of one job, or `run-together` of several."""

    def __init__(self, group: list[Job], runs_dir: Path, data_dir: Path | None, at_a_time: int):
        self.directory = tempfile.TemporaryDirectory(prefix="kerascnn-")
        self.log_path = Path(self.directory.name, "log")
        command = self._command(group, runs_dir)
        command += ["--json"] + (["--data-dir", str(data_dir)] if data_dir else [])
        try:
            with self.log_path.open("wb") as log:
                self.popen = subprocess.Popen(
                    [sys.executable, "-m", "kerascnn", *command],
                    env=_environment(at_a_time),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    # Ctrl-C reaches this process alone, which then ends the others.
                    start_new_session=True,
                    preexec_fn=functools.partial(_as_child, os.getpid()),
                )
        except OSError:
            self.directory.cleanup()
            raise

    def _command(self, group: list[Job], runs_dir: Path) -> list[str]:
        job, *others = group
        if others or not job.run:
            paths = [self._write_recipe(place, each) for place, each in enumerate(group)]
            command = "run-together" if others else "run"
            return [command, *paths, "--runs-dir", str(runs_dir)]
        # A run that is trained already lacks its figures, or they are damaged.
        is_trained = job.run.status in ("trained", "finished")
        return ["evaluate" if is_trained else "resume", str(job.run.path)]

    def _write_recipe(self, place: int, job: Job) -> str:
        path = Path(self.directory.name, f"recipe{place}.toml")
        path.write_text(job.recipe.to_toml(), "utf-8")
        return str(path)

    def close(self) -> list[str]:
        """Tidy up; the lines that the process wrote on standard error."""
        lines = self.log_path.read_text("utf-8", "replace").split("\n")
        self.directory.cleanup()
        return [line for line in lines if line.strip()]


def _about(job: Job, said: list[str]) -> list[str]:
    """What a process said of one of its jobs; all that it said, if that is nothing."""
    of_job = [line for line in said if f" {job.name}: " in line]
    return [line.replace(f"{job.name}: ", "", 1) for line in of_job] or said


def _why(status: int, said: list[str]) -> str:
    if status < 0:
        return f"its process was ended by signal {-status}."
    errors = [line for line in said if line.startswith("Error: ")]
    return (errors or said or ["it said nothing"])[-1].removeprefix("Error: ")


def _environment(at_a_time: int) -> dict[str, str]:
    environment = dict(os.environ)
    if at_a_time > 1:  # else each process would use all cores, and they would wait for each other
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // at_a_time)))
    return environment


def _as_child(parent: int) -> None:
    """Where the kernel can (Linux), have it end this process when its parent is killed."""
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed in between
            os._exit(1)
