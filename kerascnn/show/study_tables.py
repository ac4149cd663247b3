"""The study beside what was measured, and the verdicts on its statements, as rich tables."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    MISSING,
    OF_RUN,
    TRAIN_LOSS,
    percent,
)
from kerascnn.records.study import Audit, AuditedClaim, StudyFigure, StudyRow, Verdict
from kerascnn.show.words import build_table, cell, visible

STYLES = {
    Verdict.HOLDS: "green",
    Verdict.FAILS: "red",
    Verdict.UNTOLD: "yellow",
    Verdict.CONTRADICTED: "magenta",
}
# How many statements have a verdict, as a part of a sentence.
COUNTED = {
    Verdict.HOLDS: "{} hold",
    Verdict.FAILS: "{} do not",
    Verdict.UNTOLD: "{} cannot be told apart from chance",
    Verdict.UNCHECKABLE: "{} cannot be checked",
    Verdict.CONTRADICTED: "in {} the study contradicts itself",
}
COLUMNS = {
    BEST_VAL_LOSS: "best val. loss",
    BEST_EPOCH: "best epoch",
    TRAIN_LOSS: "training loss",
    ACCURACY: "test accuracy",
}
# What rich puts around a column's text, and the widths of the first two columns of readings.
PADDING, NUMBER_AND_REPORTED = 3, 36


def table_study(rows: Sequence[StudyRow]) -> Table:
    """A row a recipe, reported beside measured."""
    table = build_table("Measured: mean ± standard deviation, range (in brackets: reported)")
    table.add_column("recipe, seeds", overflow="fold")
    for quantity in OF_RUN:
        table.add_column(COLUMNS[quantity], justify="right")
    for row in rows:
        seeds = ", ".join(map(str, row.seeds))
        table.add_row(f"{cell(row.recipe)}\n{seeds}", *map(_figure, row.of_run))
        table.add_section()
    return table


def table_study_classes(rows: Sequence[StudyRow]) -> Table | None:
    """A row a recipe: test accuracy of the classes that the study names; None without any."""
    table = build_table("Test accuracy by class (in brackets: reported)")
    table.add_column("recipe", overflow="fold")
    table.add_column("classes that the study names")
    for row in rows:
        if row.of_classes:
            table.add_row(cell(row.recipe), "; ".join(map(_class_figure, row.of_classes)))
            table.add_section()
    return table if table.row_count else None


def table_audit(claims: Sequence[AuditedClaim], title: str) -> Table:
    """A row a claim: what the study says, the verdict, and why."""
    table = build_table(title)
    table.add_column("the study says", ratio=4)
    table.add_column("verdict", width=13)
    table.add_column("because", ratio=6)
    table.expand = True
    for claim in claims:
        said = Text.assemble(visible(claim.text), "\n", (visible(claim.where), "dim"))
        verdict = Text(claim.verdict, style=STYLES.get(claim.verdict, ""))
        table.add_row(said, verdict, Text(visible(claim.evidence)))
        table.add_section()
    return table


def tables_readings(audited: Audit, width: int) -> list[Table]:
    """A row a reported number, a column a reading: what was measured, and which comes closest.

    Readings that do not fit side by side go into further tables, so that no number is cut. A table
    leaves out the rows that have nothing in it. With one reading alone there is no table.

    Args:
        audited: what holds of the study.
        width: how many characters fit into a line.
    """
    names = [reading.name for reading in audited.readings]
    several = (claim for claim in audited.claims if len(claim.readings) > 1)
    claims = [claim for claim in several if _reported(claim) is not None]
    if not claims:
        return []
    cells = [_reading_cell(claim, name) for claim in claims for name in names]
    widest = max(map(len, (*names, *cells))) + PADDING
    fit = max(1, (width - NUMBER_AND_REPORTED) // widest)
    parts = [names[start : start + fit] for start in range(0, len(names), fit)]
    return [_table_readings(claims, part) for part in parts]


def describe_counts(counts: Mapping[Verdict, int]) -> str:
    """How many statements have each verdict, as a sentence."""
    parts = (COUNTED[verdict].format(count) for verdict, count in counts.items())
    return f"Of {sum(counts.values())} statements of the study: {', '.join(parts)}."


def _reported(claim: AuditedClaim) -> float | None:
    given = (found.reported for found in claim.readings.values())
    return next((reported for reported in given if reported is not None), None)


def _table_readings(claims: Sequence[AuditedClaim], readings: Sequence[str]) -> Table:
    table = build_table(
        f"Reported numbers, by reading (■ comes closest, {Verdict.HOLDS.mark} holds, "
        f"{Verdict.FAILS.mark} does not, ~ cannot tell)"
    )
    table.add_column("number", overflow="fold")
    table.add_column("reported", justify="right")
    for name in readings:
        table.add_column(cell(name), justify="right", no_wrap=True)
    for claim in claims:
        cells = [_reading_cell(claim, name) for name in readings]
        if set(cells) != {MISSING}:
            title = "\n".join(map(cell, claim.name.split("/")))
            table.add_row(title, claim.quantity.write(_reported(claim)), *cells)
    return table


def _reading_cell(claim: AuditedClaim, name: str) -> str:
    found = claim.readings.get(name)
    if found is None or found.measured is None:
        return MISSING
    is_told = found.verdict in (Verdict.HOLDS, Verdict.FAILS)
    mark = found.verdict.mark if is_told else "~"
    closest = "■ " if claim.closest == name else ""
    return f"{closest}{claim.quantity.write(found.measured)} {mark}"


def _figure(figure: StudyFigure) -> str:
    measured, write = figure.measured, figure.quantity.write
    if measured is None:
        return MISSING
    lines = [write(measured.mean)]
    if measured.sd is not None:
        lines[0] += f" ± {write(measured.sd).removesuffix(' %')}"
        lines.append(f"{write(measured.low).removesuffix(' %')} – {write(measured.high)}")
    if figure.reported is not None:
        lines.append(f"({write(figure.reported)})")
    return "\n".join(lines)


def _class_figure(figure: StudyFigure) -> str:
    measured = figure.measured
    said = percent(measured and measured.mean)
    if measured and measured.sd is not None:
        said += f" ± {100 * measured.sd:.1f}"
    return cell(f"{figure.quantity.class_name} {said} ({percent(figure.reported, 0)})")
