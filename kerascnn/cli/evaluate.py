"""`kerascnn evaluate` and `kerascnn compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from kerascnn.backend import require_backend
from kerascnn.cli.options import DataDir, Json, RunName, RunsDir
from kerascnn.cli.output import out, print_json, remark_problems, show_progress

if TYPE_CHECKING:
    from kerascnn.data import Dataset
    from kerascnn.run import Run


def evaluate(
    run: RunName = "latest",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Measure a run's best epoch on the test images, and draw its figures again."""
    from kerascnn.run.find import find_run

    found = find_run(run, runs_dir)
    name = found.recipe.data.dataset
    require_backend()
    show(found, load_with_progress(name, data_dir), json)


def compare(a: RunName, b: RunName, runs_dir: RunsDir = Path("runs"), json: Json = False) -> None:
    """Compare two evaluated runs per class, with the difference and whether it exceeds chance."""
    from kerascnn.evaluation.compare import compare
    from kerascnn.run.find import find_run
    from kerascnn.show.run_tables import table_comparison

    comparison = compare(find_run(a, runs_dir), find_run(b, runs_dir))
    if json:
        print_json(comparison)
        return
    out.print(Text(f"A: {comparison.a}"))
    out.print(Text(f"B: {comparison.b}"))
    out.print(table_comparison(comparison))
    out.print(
        "p: McNemar's exact test on the images that only one of the two has right; per class "
        "adjusted by Holm's method for the number of classes. It judges these two trained models; "
        "other seeds of the same recipes differ too.",
        highlight=False,
    )


def show(run: Run, dataset: Dataset, json: bool) -> None:
    """Evaluate a run, draw its figures, and print tables, diagnosis, and where the figures are."""
    from kerascnn.evaluation import evaluate
    from kerascnn.evaluation.figures import write_figures
    from kerascnn.show.run_tables import table_losses, table_per_class

    evaluation = evaluate(run, dataset=dataset)
    write_figures(run, dataset=dataset)
    if json:
        print_json(evaluation)
        return
    if evaluation.dataset != "cifar10":
        text = (
            f"These are numbers of the data set '{evaluation.dataset}', not CIFAR-10 numbers; "
            "nothing that was reported compares with them."
        )
        out.print(Text(text, style="bold yellow"))
    out.print(table_per_class(evaluation))
    out.print(table_losses(evaluation))
    for finding in evaluation.diagnosis:
        out.print(Text.assemble(("Diagnosis: ", "bold"), finding.message), soft_wrap=True)
    if not evaluation.epochs:
        text = (
            f"No curves: the weights were converted from '{run.converted_from}', which tells "
            "nothing of their training."
        )
        out.print(Text(text), soft_wrap=True)
    figures = ", ".join(sorted(path.name for path in run.figures_path.glob("*.png")))
    out.print(Text(f"Figures: {run.figures_path}/ ({figures})"), soft_wrap=True)


def load_with_progress(name: str, data_dir: Path | None) -> Dataset:
    """Load a data set with a bar while it is decoded for the first time; name unusable files."""
    from kerascnn.data import load_dataset

    with show_progress() as progress:
        dataset = load_dataset(name, data_dir, progress)
    remark_problems(dataset.problems)
    return dataset
