"""`kerascnn data`: what images are there, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerascnn.cli.options import DataDir, Json
from kerascnn.cli.output import build_data_progress, out, print_json, remark

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer(help="Show or prepare data sets.", no_args_is_help=True)


@app.command()
def info(
    dataset: Annotated[
        str, typer.Argument(help="Data set: cifar10, shapes, or a folder.")
    ] = "cifar10",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show what a data set holds: how many images of each class, and their mean colors."""
    from kerascnn.cli.evaluate import load_with_progress
    from kerascnn.data import describe_dataset
    from kerascnn.show.run_tables import table_dataset

    description = describe_dataset(load_with_progress(dataset, data_dir))
    if json:
        print_json(description)
    else:
        out.print(table_dataset(description))


@app.command()
def prepare(
    archive: Annotated[
        Path | None,
        typer.Option(help="Use this cifar-10-binary.tar.gz instead of downloading it (162 MiB)."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Prepare CIFAR-10 as a TFDS data set, without TensorFlow."""
    from kerascnn.data.cifar10 import is_prepared, resolve_data_dir
    from kerascnn.data.preparation import prepare

    if is_prepared(data_dir):
        remark(f"CIFAR-10 is prepared already in {resolve_data_dir(data_dir)}.")
        return
    with build_data_progress() as progress:
        made = prepare(data_dir, archive, _PrepareBars(progress, downloads=archive is None))
    remark(f"CIFAR-10 is prepared in {made}.")


class _PrepareBars:
    """Shows what `prepare` reports: bytes of the download, if there is one, then images."""

    def __init__(self, progress: Progress, downloads: bool):
        self.progress, self.done = progress, 0
        self._start("download" if downloads else "write images")

    def __call__(self, done: int, total: int) -> None:
        if done < self.done:  # counting starts over: all is downloaded
            self._start("write images")
        self.done = done
        if self.step == "download":
            count = f"{done / 2**20:.0f}/{total / 2**20:.0f} MiB"
        else:
            count = f"{done:,}/{total:,} images"
        self.progress.update(self.task, completed=done, total=total, count=count)

    def _start(self, step: str) -> None:
        self.step, self.task = step, self.progress.add_task(step, total=None, count="")
