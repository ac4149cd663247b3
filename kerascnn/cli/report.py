"""`kerascnn report`: runs as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerascnn.backend import require_backend
from kerascnn.cli.evaluate import load_with_progress
from kerascnn.cli.options import DataDir, RunsDir, complete_run
from kerascnn.cli.output import err, remark
from kerascnn.errors import DatasetError

if TYPE_CHECKING:
    from kerascnn.page import Augmented
    from kerascnn.records.study import Audit
    from kerascnn.run import Run

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
        bool, typer.Option(help="Show test images and filters. Without them no data set is needed.")
    ] = True,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write runs as one HTML page that needs no other file and no network."""
    from kerascnn.run.find import find_runs

    if runs and every:
        raise typer.BadParameter("name runs or give --all, not both")
    found = find_runs(None if every else runs or ["latest"], runs_dir)
    path = output or (Path("report.html") if every or len(found) > 1 else found[0].page_path)
    audited = None
    if every and any(run.recipe.data.dataset == "cifar10" for run in found):
        from kerascnn.study.audit import audit

        audited = audit(runs_dir, data_dir)
    try:
        write_report(found, path, audited, data_dir, pictures)
    except DatasetError as error:
        raise DatasetError(f"{error} With `--no-pictures` the page needs no data set.") from None


def write_report(
    runs: list[Run], path: Path, audited: Audit | None, data_dir: Path | None, pictures: bool = True
) -> None:
    """Write the page and say where it is."""
    from kerascnn.page import write_page

    augmented = _augment(runs, data_dir) if pictures else {}
    with err.status("Looking at the runs ..."):
        write_page(runs, path, audited, augmented, data_dir, pictures)
    remark(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser.")


def _augment(runs: list[Run], data_dir: Path | None) -> Augmented:
    """Training images of each run that augments, and draws of its augmentation."""
    chosen = [run for run in runs if run.is_evaluated and run.recipe.augments]
    if not chosen:
        return {}

    require_backend()

    from kerascnn.training.augment import sample_examples

    augmented = {}
    for run in chosen:
        images = load_with_progress(run.recipe.data.dataset, data_dir).train_images
        augmented[run.name] = sample_examples(run.recipe, images, NUM_IMAGES, NUM_DRAWS)
    return augmented
