"""What a person sees while many networks train, each in a process of its own."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from kerascnn.show.words import time_left
from kerascnn.study.reproduce import Job, Reproduction

# Without a terminal, a line of how far all is at most this often, in seconds.
LINE_SECONDS = 60


class StudyDisplay:
    """Shows how far all runs are, those that are running, and the time left."""

    def __init__(self, console: Console, num_jobs: int):
        self.console, self.num_jobs = console, num_jobs
        self.states: dict[Job, str] = {}
        self.bars: dict[Job, TaskID] = {}
        self.said_at = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[shown]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.progress.start()
        self.all = self.progress.add_task("all runs", shown="")

    def __call__(self, work: Reproduction) -> None:
        for job in work.jobs:
            if self.states.get(job, "waiting") != job.state:
                self._tell(job)
            self.states[job] = job.state
            self._show(job)
        done, total = sum(map(_epochs_done, work.jobs)), sum(job.epochs for job in work.jobs)
        left = work.seconds_left(self.num_jobs)
        shown = f"{done}/{total} epochs"
        if left is not None:
            shown += f", about {time_left(left)} left"
        self.progress.update(self.all, completed=done, total=total, shown=shown)
        if self.progress.disable and time.monotonic() - self.said_at > LINE_SECONDS:
            self.said_at = time.monotonic()
            self._print(shown)

    def close(self) -> None:
        self.progress.stop()

    def _tell(self, job: Job) -> None:
        if job.state == "running":
            self._print(f"{job.name}: {'goes on' if job.run else 'begins'}")
        if job.state == "done":
            self._print(f"{job.name}: done" + (f", {job.run.name}" if job.run else ""))
        if job.state == "failed":
            self._print(f"{job.name}: failed: {job.message}", "red")

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _show(self, job: Job) -> None:
        if job.state == "running":
            if job not in self.bars:
                self.bars[job] = self.progress.add_task(job.name, total=job.epochs, shown="")
            done = len(job.epoch_seconds)
            shown = f"epoch {min(done + 1, job.epochs)}/{job.epochs}"
            self.progress.update(self.bars[job], completed=done, shown=shown)
        elif job in self.bars:
            self.progress.remove_task(self.bars.pop(job))


def _epochs_done(job: Job) -> int:
    return job.epochs if job.state in ("there", "done") else len(job.epoch_seconds)
