"""What filters answer, as rich tables."""

from __future__ import annotations

from rich.table import Table

from kerascnn.records.quantity import MISSING, percent
from kerascnn.show.words import build_table, cell


def table_top(row: dict, title: str) -> Table:
    """The images that excite one filter most, as a row of `look.top_images`."""
    table = build_table(title)
    table.add_column("rank", justify="right")
    table.add_column("image", overflow="fold")
    table.add_column("true class")
    table.add_column("predicted class")
    table.add_column("activation", justify="right")
    for image in row["top"]:
        cells = (image["image"], image["label"], image["prediction"])
        named = (cell(text or MISSING) for text in cells)
        table.add_row(str(image["rank"]), *named, f"{image['activation']:.3f}")
    return table


def table_maps(rows: list[dict], title: str) -> Table:
    """Mean activation of each filter for each image, as rows of `look.maps_of`."""
    table = build_table(title)
    table.add_column("filter", justify="right")
    for row in rows:
        heading = row["label"] or row["image"]
        heading = f"{heading} ({row['image']})" if row["label"] else heading
        table.add_column(cell(heading), justify="right", overflow="fold")
    for place, first in enumerate(rows[0]["filters"]):
        values = (f"{row['filters'][place]['mean']:.3f}" for row in rows)
        table.add_row(str(first["filter"]), *values)
    return table


def table_filters(rows: list[dict], title: str) -> Table:
    """A row a filter, as `look.all_filters` gives them."""
    table = build_table(title)
    table.add_column("filter", justify="right")
    table.add_column("state")
    table.add_column("active for", justify="right")
    table.add_column("mean", justify="right")
    table.add_column("over-represented among its top images")
    for row in rows:
        classes = (_over_represented(found) for found in row["classes"])
        table.add_row(
            str(row["filter"]),
            "dead" if row["is_dead"] else "alive",
            percent(row["active_share"]),
            f"{row['mean']:.3f}",
            cell(", ".join(classes)) or MISSING,
        )
    return table


def table_kernel(row: dict) -> Table:
    """Preferred color and orientation of a filter, as `look.explain` gives them."""
    table = build_table(f"Filter {row['filter']} of {row['layer']}")
    table.add_column("")
    table.add_column("value")
    kernel = row["kernel"]
    if kernel is not None:
        if kernel["color"]:
            weights = ", ".join(f"{weight:+.2f}" for weight in kernel["color_weights"])
            table.add_row("preferred color", f"{kernel['color']} (red, green, blue: {weights})")
            table.add_row("share of color in the kernel", percent(kernel["color_share"], 0))
        orientation = f"{kernel['orientation']:.0f}° from horizontal"
        selectivity = f"selectivity {kernel['selectivity']:.2f}"
        table.add_row("preferred orientation of edges", f"{orientation} ({selectivity})")
    for found in row["classes"]:
        given = found["given_property"]["probability"]
        table.add_row(
            cell(f"{found['name']} among the top {row['num_top']}"),
            f"{percent(found['share'], 0)}, base rate {percent(found['base_rate'], 0)}, "
            f"p = {found['p_value']:.2g}; among alike images {percent(given, 0)} superior",
        )
    return table


def table_correlations(row: dict, num_rows: int = 10) -> Table:
    """The properties that a filter follows most, as `look.explain` gives them."""
    table = build_table("Rank correlation of its mean activation with properties of the images")
    table.add_column("property")
    table.add_column("rho", justify="right")
    for name, rho in list(row["correlations"].items())[:num_rows]:
        table.add_row(name, f"{rho:+.2f}")
    return table


def table_probabilities(rows: list[dict], top: int) -> Table:
    """The most probable classes of each picture, with bars, as `look.predict_files` gives them."""
    table = build_table("Class probabilities")
    table.add_column("picture", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    table.add_column("")
    for row in rows:
        ranked = list(row["probabilities"].items())[:top]
        for place, (name, share) in enumerate(ranked):
            picture = "" if place else cell(row["image"])
            table.add_row(picture, cell(name), percent(share), "█" * round(20 * share))
        table.add_section()
    return table


def _over_represented(found: dict) -> str:
    return f"{found['name']} {percent(found['share'], 0)}"
