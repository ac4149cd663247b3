"""What every command prints with: two consoles, progress bars, figures, and how an error looks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kerascnn.backend import describe_backend
from kerascnn.errors import RunError
from kerascnn.show.words import time_in_words, visible

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.progress import TaskID

    from kerascnn.data.cifar10 import Progress
    from kerascnn.show.style import Figure


# Where nothing can be drawn over, work that goes on says so this often.
SECONDS_BETWEEN_LINES = 30


class SafeConsole(Console):
    """A console that passes on no command to the terminal but rich's own.

    Names come from files and folders; wherever one is printed, an escape sequence in it is seen and
    not obeyed.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = (visible(line) for line in segment.text.expandtabs().split("\n"))
                yield Segment("\n".join(lines), segment.style)


# Results go to standard output; progress, remarks and errors to standard error.
out = SafeConsole()
err = SafeConsole(stderr=True)


def print_json(content: object) -> None:
    """Print one JSON document, of plain values and records, on standard output."""

    def dump(record: BaseModel) -> dict[str, object]:
        return record.model_dump(mode="json")

    typer.echo(json.dumps(content, indent=2, allow_nan=False, default=dump))


def remark(text: str, style: str = "") -> None:
    """Print one line on standard error, whatever names from outside are in it."""
    err.print(Text(visible(text), style=style), soft_wrap=True)


def remark_problems(problems: Sequence[str], most: int = 10) -> None:
    """Say on standard error which files were passed over, the first ones in full."""
    for problem in problems[:most]:
        remark(f"Skipped: {problem}", "yellow")
    if len(problems) > most:
        remark(f"Skipped: {len(problems) - most} more files.", "yellow")


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A bar for each thing that takes longer than a second, with its speed and the time left.

    On standard error; where that is no terminal, a line every half minute.
    """
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    started = said = time.monotonic()
    first: dict[str, tuple[int, float]] = {}
    bars: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        count, since = first.setdefault(what, (done, now))
        speed = (done - count) / (now - since) if now > since else 0.0
        text = _count_in_words(what, done, total, speed)
        if err.is_terminal and now - started > 1:
            shown.start()
            if what not in bars:
                bars[what] = shown.add_task(what, count="")
            shown.update(bars[what], completed=done, total=total, count=text)
        elif not err.is_terminal and now - said > SECONDS_BETWEEN_LINES:
            said = now
            left = f", about {time_in_words((total - done) / speed)} left" if speed else ""
            remark(f"{what}: {text}{left}")

    shown = Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    try:
        yield tell
    finally:
        if bars:  # one that never started would leave an empty line
            shown.stop()


def _count_in_words(what: str, done: int, total: int, speed: float) -> str:
    unit, size = ("MiB", 2**20) if what == "download" else ("images", 1)
    text = f"{done // size:,}/{total // size:,} {unit}"
    if not speed:
        return text
    return f"{text}, {speed / size:,.{0 if speed / size >= 10 else 1}f}/s"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as a PNG file."""
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise RunError(f"'{path}' cannot be written: {error.strerror}.") from None
    return path


def fail(error: Exception, status: int = 1) -> int:
    """Show an error in one line and give the exit status."""
    message = " ".join(str(error).split())
    err.print(Text.assemble(("Error: ", "bold red"), (message, "red")), soft_wrap=True)
    return status


def show_version(wanted: bool) -> None:
    """Print versions, backend and device, and exit."""
    if not wanted:
        return
    about = describe_backend()
    versions = about["versions"]
    out.print(f"kerascnn {versions.pop('kerascnn')}", highlight=False)
    out.print(f"backend {about['backend']} on {about['device']}, {about['threads']} threads")
    packages = ", ".join(f"{package} {version}" for package, version in versions.items())
    out.print(f"{packages}, Python {about['python']}", highlight=False)
    raise typer.Exit
