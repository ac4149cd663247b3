"""`kerascnn bench`: how fast training is here, beside what one would write by hand."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kerascnn.cli.output import Json, complete_recipe, err, out, print_json


def bench(
    recipe: Annotated[
        str, typer.Option(help="What is trained.", autocompletion=complete_recipe)
    ] = "adam-lr0.001",
    dataset: Annotated[
        str, typer.Option(help="Data set; speed depends on the size of its images alone.")
    ] = "shapes",
    backend: Annotated[
        str | None, typer.Option(help="torch, jax or tensorflow; else KERAS_BACKEND, else torch.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor, for each peer; else all cores.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps a turn.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each peer.")] = 5,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the recipe; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Time training against a plain PyTorch script and stock Keras, in turns."""
    from kerascnn.backend import require_backend
    from kerascnn.bench import run_bench
    from kerascnn.recipe import load_recipe, parse_setting
    from kerascnn.show.run_tables import table_bench

    values = dict(parse_setting(setting) for setting in set_ or [])
    given = {"data.dataset": dataset, "train.batch_size": batch_size}
    values |= {key: value for key, value in given.items() if value is not None}
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
    floor, ratios = measured["floor"], measured["ratios"]
    for name, text in (
        ("vs_pytorch", "epoch, kerascnn / plain PyTorch script"),
        ("vs_keras", "epoch, kerascnn / stock Keras"),
        ("vs_floor", "training step, kerascnn / arithmetic floor"),
    ):
        ratio = ratios[name]
        spread = f"{ratio['low']:.2f} to {ratio['high']:.2f} over {measured['rounds']} rounds"
        out.print(f"{text}: {ratio['median']:.2f} ({spread})", highlight=False)
    out.print(
        f"Floor: {floor['mflop_image']:.0f} MFLOP an image at {floor['gflop_second']:.0f} GFLOP/s "
        f"of float32 matrix product: {floor['step_ms']:.1f} ms a step.",
        highlight=False,
    )
