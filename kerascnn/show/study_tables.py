"""The study beside what was measured, and the verdicts on its statements, as rich tables."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from kerascnn.records.quantity import MISSING, percent
from kerascnn.show.words import build_table, cell, visible

VERDICT_STYLES = {
    "holds": "green",
    "does not hold": "red",
    "cannot be told apart": "yellow",
    "the study contradicts itself": "magenta",
}


def table_study(rows: list[dict]) -> Table:
    """A row a recipe, reported beside measured, as `results.summarize` gives them."""
    table = build_table("Measured: mean ± standard deviation, range (in brackets: reported)")
    table.add_column("recipe, seeds", overflow="fold")
    for column in ("best val. loss", "best epoch", "training loss", "test accuracy"):
        table.add_column(column, justify="right")
    for row in rows:
        seeds = ", ".join(map(str, row["seeds"]))
        figures = (_figure(figure) for figure in row["figures"][:4])
        table.add_row(f"{cell(row['recipe'])}\n{seeds}", *figures)
        table.add_section()
    return table


def table_study_classes(rows: list[dict]) -> Table:
    """A row a recipe: test accuracy of the classes that the study names for it."""
    table = build_table("Test accuracy by class (in brackets: reported)")
    table.add_column("recipe", overflow="fold")
    table.add_column("classes that the study names")
    for row in rows:
        if classes := row["figures"][4:]:
            table.add_row(cell(row["recipe"]), "; ".join(map(_class_figure, classes)))
            table.add_section()
    return table


def table_audit(claims: list[dict], title: str) -> Table:
    """A row a claim: what the study says, the verdict, and why, as `audit.audit` gives them."""
    table = build_table(title)
    table.add_column("the study says", ratio=4)
    table.add_column("verdict", width=13)
    table.add_column("because", ratio=6)
    table.expand = True
    for claim in claims:
        said = Text.assemble(visible(claim["text"]), "\n", (visible(claim["where"]), "dim"))
        style = VERDICT_STYLES.get(claim["verdict"], "")
        table.add_row(said, Text(claim["verdict"], style=style), Text(visible(claim["evidence"])))
        table.add_section()
    return table


def tables_readings(audited: dict, width: int) -> list[Table]:
    """A row a reported number, a column a reading: what was measured, and which comes closest.

    As many tables, one below the other, as it takes for no number to be cut at a width in columns
    of text; each without the rows that have nothing in it.
    """
    names = [reading["name"] for reading in audited["readings"]]
    rows = [claim for claim in audited["claims"] if _is_read_in_several(claim)]
    fit = max(1, (width - 36) // 16)
    parts = [names[start : start + fit] for start in range(0, len(names), fit)]
    return [_table_readings(rows, part) for part in parts] if rows else []


def _is_read_in_several(claim: dict) -> bool:
    found = claim["readings"].values()
    return len(found) > 1 and any(each["reported"] is not None for each in found)


def _table_readings(claims: list[dict], readings: list[str]) -> Table:
    table = build_table(
        "Reported numbers, by reading (■ comes closest, ✓ holds, ✗ does not, ~ cannot tell)"
    )
    table.add_column("number", overflow="fold")
    table.add_column("reported", justify="right")
    for name in readings:
        table.add_column(cell(name), justify="right", no_wrap=True)
    for claim in claims:
        found = claim["readings"].values()
        reported = next(each["reported"] for each in found if each["reported"] is not None)
        cells = [_reading_cell(claim, name) for name in readings]
        if set(cells) != {MISSING}:
            title = "\n".join(map(cell, claim["name"].split("/")))
            table.add_row(title, _amount(claim["name"], reported), *cells)
    return table


def _reading_cell(claim: dict, name: str) -> str:
    found = claim["readings"].get(name)
    if found is None or found["measured"] is None:
        return MISSING
    mark = {"holds": "✓", "does not hold": "✗"}.get(found["verdict"], "~")
    closest = "■ " if claim["closest"] == name else ""
    return f"{closest}{_amount(claim['name'], found['measured'])} {mark}"


def _amount(name: str, value: float) -> str:
    """A number of a claim, as people write it: a loss, an epoch, or a share."""
    if "loss" in name:
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) > 1 else percent(value)


def _figure(figure: dict) -> str:
    measured, reported = figure["measured"], figure["reported"]
    if measured is None:
        return MISSING
    write = _writer(figure["quantity"])
    lines = [write(measured["mean"])]
    if measured["sd"] is not None:
        lines[0] += f" ± {write(measured['sd']).removesuffix(' %')}"
        lines.append(f"{write(measured['low']).removesuffix(' %')} – {write(measured['high'])}")
    if reported is not None:
        lines.append(f"({write(reported)})")
    return "\n".join(lines)


def _class_figure(figure: dict) -> str:
    name, measured = figure["quantity"].removeprefix("class "), figure["measured"]
    said = MISSING if measured is None else percent(measured["mean"])
    if measured and measured["sd"] is not None:
        said += f" ± {100 * measured['sd']:.1f}"
    return cell(f"{name} {said} ({percent(figure['reported'], 0)})")


def _writer(quantity: str):
    if quantity.endswith("loss"):
        return lambda value: f"{value:.3f}"
    if quantity == "best_epoch":
        return lambda value: f"{value:.1f}".removesuffix(".0")
    return percent
