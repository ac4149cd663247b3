"""`kerascnn convert` and `kerascnn export`: weights in from PyTorch, and out to other software."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from kerascnn.backend import require_backend
from kerascnn.cli.options import Custom, DatasetName, NetworkRecipe, RunsDir, Settings, complete_run
from kerascnn.cli.output import out, remark
from kerascnn.show.words import counted

if TYPE_CHECKING:
    from kerascnn.run import Run


def convert(
    weights: Annotated[
        Path,
        typer.Argument(metavar="WEIGHTS", help="File of `torch.save(network.state_dict(), ...)`."),
    ],
    recipe: NetworkRecipe = "adam-lr0.001",
    dataset: DatasetName = None,
    set_: Settings = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Make a run of the weights of a PyTorch network, to evaluate, compare and look into it.

    Names in the file do not matter: its convolutions are taken in their order, and so are its batch
    normalizations and its linear layers. The network must have been trained on pixels from -1 to 1
    (ToTensor, then Normalize with mean and deviation 0.5), and its outputs must be in the order of
    the classes of --dataset. No code in the file is run.
    """
    from kerascnn.data import with_absolute_folder
    from kerascnn.recipe import load_recipe, parse_values

    values = parse_values(set_, {"data.dataset": dataset})
    resolved = with_absolute_folder(load_recipe(recipe).with_values(values))
    require_backend()

    from kerascnn.exchange import convert

    run = convert(weights, resolved, runs_dir)
    out.print(Text(str(run.path)), soft_wrap=True)
    if rounded := run.read_environment().converted_from.num_rounded:
        remark(f"The float64 numbers of {counted(rounded, 'tensor')} were rounded to float32.")
    remark(f"`kerascnn evaluate {run.path}` measures it.")


def export(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run: its directory, a unique part of its name, or `latest` (the default).",
            autocompletion=complete_run,
        ),
    ] = None,
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A .keras file to write instead of a run. No code in it is run."
        ),
    ] = None,
    custom: Custom = None,
    format_: Annotated[
        Literal["torch", "pt2", "onnx", "tf_saved_model", "litert", "keras"],
        typer.Option(
            "--format",
            help="A PyTorch state_dict, a PyTorch program, ONNX, TensorFlow's SavedModel (a "
            "folder), LiteRT, or a plain .keras file.",
        ),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write a run's network, at its best epoch, or a .keras file for other software.

    What the written network takes and gives is printed, and stands in the metadata of the formats
    that have some. With --format torch, a script is printed that loads the file in PyTorch: that
    network takes pixels from -1 to 1, channels first. The other formats take what the .keras file
    takes; of a run, pixels from 0 to 255, channels last. A run's network gives logits.

    SavedModel and LiteRT are written by KERAS_BACKEND=tensorflow, whichever backend trained.
    """
    from kerascnn.run.find import find_run

    if run and model:
        raise typer.BadParameter("name a run or a --model, not both")
    if custom and not model:
        raise typer.BadParameter("--custom goes with --model; a run's models need no code")
    source = model or find_run(run or "latest", runs_dir)
    require_backend()

    from kerascnn.exchange import save
    from kerascnn.exchange.network import loading_script
    from kerascnn.model.custom import load_custom

    interface = save(source, output, format_, force, load_custom(custom or ()))
    remark(f"Wrote {output}.")
    if format_ == "torch":
        typer.echo(loading_script(source, output), nl=False)
        return
    for line in interface.lines():
        remark(line)
    if not model:
        _remark_precision(source, format_)


def _remark_precision(run: Run, kind: str) -> None:
    precision = run.recipe.train.precision
    if precision != "float32" and kind != "keras":
        remark(f"It computes in float32; the run in {precision}, so its numbers are rounded more.")
