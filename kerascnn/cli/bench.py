"""`kerascnn bench`: how fast training is here, beside what one would write by hand."""

import os
from typing import Annotated

import typer

from kerascnn.backend import require_backend
from kerascnn.cli.options import BatchSize, DatasetName, Json, NetworkRecipe, Settings
from kerascnn.cli.output import err, out, print_json


def bench(
    recipe: NetworkRecipe = "adam-lr0.001",
    dataset: DatasetName = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Keras backend: torch, jax or tensorflow. Default: KERAS_BACKEND, or torch."
        ),
    ] = None,
    batch_size: BatchSize = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Processor threads of each program. Default: one for each core."),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Training steps in each turn.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each program.")] = 5,
    set_: Settings = None,
    json: Json = False,
) -> None:
    """Time training here beside a plain PyTorch script and stock Keras, which take turns.

    The data set is shapes unless --dataset or --set names another: time depends on the size of the
    images, not on what they show.
    """
    from kerascnn.bench import run_bench
    from kerascnn.recipe import load_recipe, parse_values
    from kerascnn.show.run_tables import table_bench

    options = {"data.dataset": dataset, "train.batch_size": batch_size}
    values = {"data.dataset": "shapes"} | parse_values(set_, options)
    resolved = load_recipe(recipe).with_values(values)
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    require_backend()
    with err.status("bench") as status:
        measured = run_bench(resolved, steps, rounds, threads, progress=status.update)
    if json:
        print_json(measured)
        return
    out.print(table_bench(measured))
    floor, ratios = measured.floor, measured.ratios
    for ratio, text in (
        (ratios.vs_pytorch, "epoch, kerascnn / plain PyTorch script"),
        (ratios.vs_keras, "epoch, kerascnn / stock Keras"),
        (ratios.vs_floor, "training step, kerascnn / arithmetic floor"),
    ):
        spread = f"{ratio.low:.2f} to {ratio.high:.2f} over {measured.rounds} rounds"
        out.print(f"{text}: {ratio.median:.2f} ({spread})", highlight=False)
    out.print(
        f"Floor: {floor.mflop_image:.0f} MFLOP an image at {floor.gflop_second:.0f} GFLOP/s of "
        f"float32 matrix product: {floor.step_ms:.1f} ms a step.",
        highlight=False,
    )
