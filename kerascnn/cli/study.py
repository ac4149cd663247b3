"""`kerascnn reproduce` and `kerascnn audit`: all runs of the study, and what of it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kerascnn.cli.options import DataDir, Json, RunsDir, complete_recipe
from kerascnn.cli.output import err, out, print_json, remark
from kerascnn.cli.report import write_report


def complete_reading(incomplete: str) -> list[str]:
    """Names of readings, for the shell's completion."""
    from kerascnn.study.readings import READINGS

    with_runs = [name for name, reading in READINGS.items() if reading.epoch is None]
    return [name for name in with_runs if name.startswith(incomplete)]


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
    reading: Annotated[
        str,
        typer.Option(
            help="How to understand the study: every-block, pool-after-1, pool-after-3, rate-0.02 "
            "or momentum-0.9.",
            autocompletion=complete_reading,
        ),
    ] = "every-block",
    dataset: Annotated[
        str | None, typer.Option(help="Data set: cifar10, shapes, or a folder of classes.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training images.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key in all recipes; repeatable."),
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Run all recipes, each with several seeds, and show them beside what the study reported.

    Runs that are there are not repeated, and unfinished ones go on: stop it at any time, and give
    the same command again. At the end report.html in the directory of the runs shows them all.
    """
    from kerascnn.backend import require_backend
    from kerascnn.cli.run import interruptible
    from kerascnn.study.reproduce import Reproduction
    from kerascnn.study.results import find_results, summarize

    chosen, wanted = _find_reading(reading), parse_seeds(seeds)
    values = _parse_settings(set_, {"data.dataset": dataset, "train.epochs": epochs})
    _refuse_overridden(values, chosen)
    loaded = _load_recipes(recipes, chosen, values)
    require_backend()
    _check_places(loaded, runs_dir, data_dir)
    work = Reproduction(loaded, wanted, chosen, runs_dir, data_dir)
    with interruptible(f"the same command goes on with what is in {runs_dir}"):
        _show_making(work, jobs)
    found = find_results(runs_dir, chosen, loaded)
    titles = {recipe.name: chosen.resolve(recipe).name for recipe in loaded}
    rows = summarize({titles[name]: results for name, results in found.items()})
    audited = _audit(runs_dir, data_dir) if rows and not values else None
    if json:
        print_json({"results": rows, "audit": audited, "failed": [job.name for job in work.failed]})
    else:
        _show_end(rows, audited, runs_dir)
    if rows:
        runs = [result.run for results in found.values() for result in results]
        write_report(runs, runs_dir / "report.html", audited, data_dir)
    if work.failed:
        raise typer.Exit(1)


def audit(
    verdict: Annotated[
        str | None, typer.Option(help="Show only claims of this verdict, or a part of it.")
    ] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Say of every statement of the study whether it holds, by the finished runs that are there."""
    from kerascnn.errors import RunError, SelectionError
    from kerascnn.study.finding import VERDICTS

    wanted = [each for each in VERDICTS if (verdict or "").lower() in each]
    wanted = [each for each in wanted if each == (verdict or "").lower()] or wanted
    if not wanted:
        raise SelectionError(f"There is no verdict '{verdict}'; they are: {', '.join(VERDICTS)}.")
    if not runs_dir.is_dir():
        raise RunError(f"There is no directory '{runs_dir}'; `kerascnn reproduce` makes the runs.")
    audited = _audit(runs_dir, data_dir)
    shown = [claim for claim in audited["claims"] if claim["verdict"] in wanted]
    if json:
        print_json(audited | {"claims": shown})
        return
    from kerascnn.show.study_tables import table_audit, tables_readings

    out.print(table_audit(shown, f"The study's statements, by the runs in {runs_dir}"))
    if len(audited["readings"]) > 1:
        for table in tables_readings(audited | {"claims": shown}, out.width):
            out.print(table)
    out.print(_counted(audited["counts"]))
    for problem in audited["left_out"]:
        remark(f"Left out: {problem}")


def parse_seeds(text: str) -> list[int]:
    """Seeds out of `3` (the first three, from 0), or a list such as `0,5,7`.

    Raises:
        SelectionError: if the text is none of these.
    """
    from kerascnn.errors import SelectionError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 11 for part in parts):
        raise SelectionError(f"'{text}' is not a number of seeds or a list such as 0,5,7.")
    numbers = [int(part) for part in parts]
    if len(numbers) > 1 or "," in text:
        return sorted(set(numbers))
    if not 1 <= numbers[0] <= 1000:
        raise SelectionError(f"{numbers[0]} seeds: expected 1 to 1000, or a list such as 0,5,7.")
    return list(range(numbers[0]))


def _find_reading(name: str):
    from kerascnn.errors import SelectionError
    from kerascnn.study.readings import find_reading

    reading = find_reading(name)
    if reading.epoch is not None:
        raise SelectionError(
            f"Reading '{name}' has no runs of its own: `kerascnn audit` reads it off the others'."
        )
    return reading


def _parse_settings(settings: list[str] | None, options: dict) -> dict[str, object]:
    from kerascnn.errors import SelectionError
    from kerascnn.recipe import parse_values

    values = parse_values(settings, options)
    for key, instead in (("train.seed", "--seeds chooses seeds"), ("name", "recipes keep theirs")):
        if key in values:
            raise SelectionError(f"--set {key}=... has no place here: {instead}.")
    return values


def _refuse_overridden(values: dict[str, object], reading) -> None:
    from kerascnn.errors import SelectionError

    if both := sorted(values.keys() & reading.values.keys()):
        raise SelectionError(f"{both[0]} is what reading '{reading.name}' sets; leave one of both.")


def _load_recipes(names: list[str] | None, reading, values: dict[str, object]) -> list:
    from kerascnn.data import with_absolute_folder
    from kerascnn.errors import SelectionError
    from kerascnn.recipe import load_recipe
    from kerascnn.study.readings import recipes_of

    loaded = [load_recipe(name) for name in names or recipes_of(reading)]
    for recipe in loaded:
        if not reading.concerns(recipe.name):
            raise SelectionError(f"Reading '{reading.name}' says nothing about {recipe.name}.")
    return [with_absolute_folder(recipe.with_values(values)) for recipe in loaded]


def _check_places(recipes: list, runs_dir: Path, data_dir: Path | None) -> None:
    """Fail once and early rather than in each run; CIFAR-10 is decoded here for all of them."""
    from kerascnn.cli.evaluate import load_with_progress
    from kerascnn.errors import RunError

    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"No run can be made in '{runs_dir}': {error.strerror}.") from None
    for name in dict.fromkeys(recipe.data.dataset for recipe in recipes):
        load_with_progress(name, data_dir)


def _audit(runs_dir: Path, data_dir: Path | None) -> dict:
    from kerascnn.study.audit import audit as audit_runs

    with err.status("Checking the study's statements ..."):
        return audit_runs(runs_dir, data_dir)


def _show_making(work, num_jobs: int) -> None:
    from kerascnn.cli.study_display import StudyDisplay

    there = sum(job.state == "there" for job in work.jobs)
    begun = sum(job.state == "waiting" and job.run is not None for job in work.jobs)
    count = f"{len(work.jobs)} runs" if len(work.jobs) != 1 else "1 run"
    new = len(work.jobs) - there - begun
    remark(f"{count}: {there} there, {begun} to go on with, {new} to begin, in {work.runs_dir}")
    display = StudyDisplay(err, num_jobs)
    try:
        work.make(num_jobs, display)
    finally:
        display.close()


def _show_end(rows: list[dict], audited: dict | None, runs_dir: Path) -> None:
    from kerascnn.show.study_tables import table_study, table_study_classes

    if rows:
        out.print(table_study(rows))
    if any(len(row["figures"]) > 4 for row in rows):
        out.print(table_study_classes(rows))
    if audited:
        out.print(_counted(audited["counts"]))
        remark(f"`kerascnn audit --runs-dir {runs_dir}` says which, and why.")


def _counted(counts: dict[str, int]) -> str:
    said = {
        "holds": "{} hold",
        "does not hold": "{} do not",
        "cannot be told apart": "{} cannot be told apart from chance",
        "not checkable": "{} cannot be checked",
        "the study contradicts itself": "in {} the study contradicts itself",
    }
    parts = (said[verdict].format(count) for verdict, count in counts.items())
    return f"Of {sum(counts.values())} statements of the study: {', '.join(parts)}."
