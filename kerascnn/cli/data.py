"""`kerascnn data`: what images are there, and how to get them."""

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.options import DataDir, Json
from kerascnn.cli.output import out, print_json, remark, show_progress

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
    from kerascnn.data.cifar10_preparation import prepare

    if is_prepared(data_dir):
        remark(f"CIFAR-10 is prepared already in {resolve_data_dir(data_dir)}.")
        return
    with show_progress() as progress:
        made = prepare(data_dir, archive, progress)
    remark(f"CIFAR-10 is prepared in {made}.")
