"""`kerascnn report`: runs as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.options import DataDir, RunsDir, complete_run
from kerascnn.cli.output import err, remark

# What the page shows of augmentation: so many training images, and draws of each.
NUM_IMAGES, NUM_DRAWS = 6, 7


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: their directories, unique parts of their names, or `latest` (the default).",
            autocompletion=complete_run,
            metavar="[RUN]...",
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show all evaluated runs, and which of the study's statements they confirm.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="HTML file to write. Default: page.html in the run; for several runs or --all, "
            "report.html here.",
        ),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(help="Show test images and filters. Without them no data set is needed."),
    ] = True,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write runs as one HTML page that needs no other file and no network."""
    from kerascnn.errors import DatasetError

    if runs and every:
        raise typer.BadParameter("name runs or give --all, not both")
    found = _find_runs(runs, every, runs_dir)
    path = output or (Path("report.html") if every or len(found) > 1 else found[0].page_path)

    audited = _audit(found, runs_dir, data_dir) if every else None
    try:
        write_report(found, path, audited, data_dir, pictures)
    except DatasetError as error:
        raise DatasetError(f"{error} With `--no-pictures` the page needs no data set.") from None


def write_report(
    runs: list, path: Path, audited: dict | None, data_dir: Path | None, pictures: bool = True
) -> None:
    """Write the page and say where it is."""
    from kerascnn.page import write_page

    augmented = _augment(runs, data_dir) if pictures else {}
    with err.status("Looking at the runs ..."):
        write_page(runs, path, audited, augmented, data_dir, pictures)
    remark(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser.")


def _find_runs(names: list[str] | None, every: bool, runs_dir: Path) -> list:
    from kerascnn.errors import RunError
    from kerascnn.run.find import find_run, list_runs

    if not every:
        found = [find_run(name, runs_dir) for name in names or ["latest"]]
        return list({run.path.resolve(): run for run in found}.values())
    evaluated = [run for run in list_runs(runs_dir) if run.is_evaluated]
    if not evaluated:
        raise RunError(f"There is no evaluated run in '{runs_dir}'; `kerascnn runs` lists what is.")
    return evaluated


def _audit(runs: list, runs_dir: Path, data_dir: Path | None) -> dict | None:
    """The study's statements, where there is a run of the data set that they are about."""
    from kerascnn.study.audit import audit

    if not any(run.recipe.data.dataset == "cifar10" for run in runs):
        return None
    return audit(runs_dir, data_dir)


def _augment(runs: list, data_dir: Path | None) -> dict:
    """Training images of each run that augments, and draws of its augmentation."""
    from kerascnn.page.shown_run import augments

    chosen = [run for run in runs if run.is_evaluated and augments(run.recipe)]
    if not chosen:
        return {}

    from kerascnn.backend import require_backend

    require_backend()

    from kerascnn.cli.evaluate import load_with_progress
    from kerascnn.training.augment import sample_examples

    augmented = {}
    for run in chosen:
        images = load_with_progress(run.recipe.data.dataset, data_dir).train_images
        augmented[run.name] = sample_examples(run.recipe, images, NUM_IMAGES, NUM_DRAWS)
    return augmented
