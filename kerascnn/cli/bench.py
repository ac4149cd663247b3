"""`kerascnn bench`: how long an epoch takes here, beside what one would write by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from kerascnn.backend import BACKENDS, require_backend
from kerascnn.cli.options import BatchSize, DatasetName, Json, NetworkRecipe, Settings
from kerascnn.cli.output import SECONDS_BETWEEN_LINES, err, out, print_json, remark
from kerascnn.cli.run import interruptible
from kerascnn.errors import SelectionError
from kerascnn.show.words import time_in_words

if TYPE_CHECKING:
    from kerascnn.bench import Progress
    from kerascnn.records.bench import Bench

ROUNDS, QUICK_ROUNDS = 3, 5


Backend = Annotated[
    str | None,
    typer.Option(help="Keras backend: torch, jax or tensorflow. Default: KERAS_BACKEND, or torch."),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Processor threads of each program. Default: one for each core."),
]
Rounds = Annotated[
    int | None,
    typer.Option(
        min=1,
        help=f"Timed turns of each program. Default: {ROUNDS}, or {QUICK_ROUNDS} where quick.",
    ),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick", help="Time a few steps a turn instead of an epoch: done in a minute or two."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(min=2, help="Training steps in each turn, which makes it quick. Default: 60."),
]
Profiled = Annotated[
    bool,
    typer.Option("--profile", help="Also tell where the time of kerascnn's step goes, on torch."),
]


def bench(
    recipe: NetworkRecipe = "adam-lr0.001",
    dataset: DatasetName = None,
    backend: Backend = None,
    batch_size: BatchSize = None,
    threads: Threads = None,
    rounds: Rounds = None,
    quick: Quick = False,
    steps: Steps = None,
    profile: Profiled = False,
    set_: Settings = None,
    json: Json = False,
) -> None:
    """Time whole epochs here beside PyTorch scripts and stock Keras, which take turns.

    An epoch is 40,000 images trained on and 10,000 validated, with augmentation and checkpoint;
    each program trains one before any is timed. That takes a quarter of an hour or more; --quick
    times some steps, from which an epoch is only extrapolated.

    The data set is shapes, its images repeated, unless --dataset or --set names another: time
    depends on the size of the images, not on what they show.
    """
    from kerascnn.bench import QUICK_STEPS, Plan, run_bench
    from kerascnn.recipe import load_recipe, parse_values

    options = {"data.dataset": dataset, "train.batch_size": batch_size}
    values = {"data.dataset": "shapes"} | parse_values(set_, options)
    resolved = load_recipe(recipe).with_values(values)
    quick = quick or steps is not None
    _choose(backend, quick, profile)
    plan = Plan(
        rounds=rounds or (QUICK_ROUNDS if quick else ROUNDS),
        quick_steps=(steps or QUICK_STEPS) if quick else None,
        threads=threads,
        profile=profile,
    )
    with interruptible("nothing of the bench is kept"), _progress(quick) as progress:
        measured = run_bench(resolved, plan, progress, _tell_estimate)
    if json:
        print_json(measured)
    else:
        _show(measured)


def _choose(backend: str | None, quick: bool, profile: bool) -> None:
    """Settle the backend, and refuse what does not go together."""
    if backend is not None:
        if backend not in BACKENDS:
            raise SelectionError(
                f"--backend is '{backend}'; expected one of {', '.join(BACKENDS)}."
            )
        os.environ["KERAS_BACKEND"] = backend
    name = require_backend()
    if profile and quick:
        raise SelectionError("--profile is of whole epochs: leave out --quick and --steps.")
    if profile and name != "torch":
        raise SelectionError(f"--profile is for torch; the backend is {name}.")


def _tell_estimate(seconds: float) -> None:
    remark(f"This will take about {time_in_words(seconds)}.")


@contextmanager
def _progress(quick: bool) -> Iterator[Progress]:
    """Shows what is being done; where nothing can be drawn over, in lines.

    A turn of an epoch takes long enough for a line of its own; quick ones share one now and then.
    """
    said, pause = time.monotonic(), SECONDS_BETWEEN_LINES if quick else 0

    def tell(what: str, left: float | None, update: Callable[[str], object]) -> None:
        nonlocal said
        text = what if left is None else f"{what}, about {time_in_words(left)} left"
        now = time.monotonic()
        if err.is_terminal:
            update(text)
        elif now - said > pause:
            said = now
            remark(text)

    with err.status("bench") as status:
        yield lambda what, left: tell(what, left, status.update)


def _show(measured: Bench) -> None:
    from kerascnn.show.bench_tables import table_bench, table_profile, table_ratios

    out.print(table_bench(measured))
    out.print(table_ratios(measured), highlight=False)
    if measured.profile:
        out.print(table_profile(measured.profile))
