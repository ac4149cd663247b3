"""`kerascnn reproduce` and `kerascnn audit`: all runs of the study, and what of it holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerascnn.backend import describe_backend, require_backend
from kerascnn.cli.options import (
    DataDir,
    DatasetName,
    Epochs,
    Json,
    RunsDir,
    Settings,
    complete_recipe,
)
from kerascnn.cli.output import err, out, print_json, remark
from kerascnn.cli.report import write_report
from kerascnn.errors import BackendError, RunError, SelectionError
from kerascnn.show.words import counted

if TYPE_CHECKING:
    from kerascnn.recipe import Recipe
    from kerascnn.records.study import Audit, StudyRow
    from kerascnn.study.reproduce import Reproduction


def complete_reading(incomplete: str) -> list[str]:
    """Names of readings, for the shell's completion."""
    from kerascnn.study.readings import names_with_runs

    return [name for name in names_with_runs() if name.startswith(incomplete)]


def reproduce(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of recipes; all of them where none is given.",
            autocompletion=complete_recipe,
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 0 on, or a list such as 0,5,7.")
    ] = "3",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; they share the cores.")] = 1,
    together: Annotated[
        bool,
        typer.Option(
            "--together",
            help="Train all seeds of a recipe as one computation, in one process; on torch.",
        ),
    ] = False,
    reading: Annotated[
        str,
        typer.Option(
            help="How to understand the study: every-block, pool-after-1, pool-after-3, rate-0.02 "
            "or momentum-0.9.",
            autocompletion=complete_reading,
        ),
    ] = "every-block",
    dataset: DatasetName = None,
    epochs: Epochs = None,
    set_: Settings = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Run all recipes, each with several seeds, and show them beside what the study reported.

    Finished runs are not repeated, and unfinished ones go on: you can stop at any time and give the
    same command again. At the end, report.html in the directory of the runs shows all of them.
    """
    from kerascnn.cli.evaluate import load_with_progress
    from kerascnn.cli.run import interruptible
    from kerascnn.data import with_absolute_folder
    from kerascnn.study.readings import choose_recipes, find_reading
    from kerascnn.study.reproduce import Reproduction, parse_seeds

    chosen, wanted = find_reading(reading), parse_seeds(seeds)
    values = _parse_settings(set_, {"data.dataset": dataset, "train.epochs": epochs})
    loaded = [with_absolute_folder(r) for r in choose_recipes(recipes or (), chosen, values)]
    require_backend()
    if together:
        _check_together(loaded)
    work = Reproduction(loaded, wanted, chosen, runs_dir, data_dir, together)
    for name in work.datasets:  # decoded once, rather than in each run
        load_with_progress(name, data_dir)
    with interruptible(f"the same command goes on with what is in {runs_dir}"):
        _show_making(work, jobs)
    _show_results(work, is_study=not values, json=json)
    if work.failed:
        raise typer.Exit(1)


def audit(
    verdict: Annotated[
        str | None,
        typer.Option(help="Show only statements with this verdict; a part of its name is enough."),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Say for every statement of the study whether it holds, judged by the finished runs."""
    from kerascnn.show.study_tables import describe_counts, table_audit, tables_readings
    from kerascnn.study.finding import choose_verdicts

    wanted = choose_verdicts(verdict or "")
    if not runs_dir.is_dir():
        raise RunError(f"There is no directory '{runs_dir}'; `kerascnn reproduce` makes the runs.")
    audited = _audit(runs_dir, data_dir)
    claims = [claim for claim in audited.claims if claim.verdict in wanted]
    shown = audited.model_copy(update={"claims": tuple(claims)})
    if json:
        print_json(shown)
        return
    out.print(table_audit(claims, f"The study's statements, by the runs in {runs_dir}"))
    for table in tables_readings(shown, out.width):
        out.print(table)
    out.print(describe_counts(audited.counts))
    for problem in audited.left_out:
        remark(f"Left out: {problem}")


def _parse_settings(settings: list[str] | None, options: dict) -> dict[str, object]:
    from kerascnn.recipe import parse_values

    values = parse_values(settings, options)
    for key, instead in (("train.seed", "--seeds chooses seeds"), ("name", "recipes keep theirs")):
        if key in values:
            raise SelectionError(f"--set {key}=... has no place here: {instead}.")
    return values


def _check_together(recipes: list[Recipe]) -> None:
    if (backend := describe_backend()["backend"]) != "torch":
        raise BackendError(f"--together is for torch, not for {backend}; leave it out there.")
    for recipe in recipes:
        if (precision := recipe.train.precision) != "float32":
            raise SelectionError(f"--together is for float32, but {recipe.name} is {precision}.")


def _audit(runs_dir: Path, data_dir: Path | None) -> Audit:
    from kerascnn.study.audit import audit as audit_runs

    with err.status("Checking the study's statements ..."):
        return audit_runs(runs_dir, data_dir)


def _show_making(work: Reproduction, num_jobs: int) -> None:
    from kerascnn.cli.study_display import StudyDisplay

    there = sum(job.state == "there" for job in work.jobs)
    begun = sum(job.state == "waiting" and job.run is not None for job in work.jobs)
    count, new = counted(len(work.jobs), "run"), len(work.jobs) - there - begun
    remark(f"{count}: {there} there, {begun} to go on with, {new} to begin, in {work.runs_dir}")
    with closing(StudyDisplay(err, num_jobs)) as display:
        work.make(num_jobs, display)


def _show_results(work: Reproduction, is_study: bool, json: bool) -> None:
    """Show what the runs gave, and what of the study holds where they are the study's."""
    from kerascnn.study.results import summarize

    results = work.results()
    rows = summarize(results)
    audited = _audit(work.runs_dir, work.data_dir) if rows and is_study else None
    if json:
        failed = [job.name for job in work.failed]
        print_json({"results": rows, "audit": audited, "failed": failed})
    elif rows:
        _print_tables(rows, audited, work.runs_dir)
    if rows:
        runs = [result.run for found in results.values() for result in found]
        write_report(runs, work.runs_dir / "report.html", audited, work.data_dir)


def _print_tables(rows: list[StudyRow], audited: Audit | None, runs_dir: Path) -> None:
    from kerascnn.show.study_tables import describe_counts, table_study, table_study_classes

    out.print(table_study(rows))
    if classes := table_study_classes(rows):
        out.print(classes)
    if audited:
        out.print(describe_counts(audited.counts))
        remark(f"`kerascnn audit --runs-dir {runs_dir}` says which, and why.")
