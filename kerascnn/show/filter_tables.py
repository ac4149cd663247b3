"""What filters answer, as rich tables."""

from collections.abc import Sequence

from rich.table import Table

from kerascnn.records.filters import (
    ExplainedClass,
    Explanation,
    FilterRow,
    ImageMaps,
    KernelDescription,
    Probabilities,
    TopImages,
)
from kerascnn.records.quantity import MISSING, percent
from kerascnn.show.words import add_numbers, build_table, cell

NUM_CORRELATIONS = 10


def table_top(found: TopImages, title: str) -> Table:
    """The images that excite one filter most."""
    table = build_table(title)
    add_numbers(table, "rank")
    table.add_column("image", overflow="fold")
    table.add_column("true class")
    table.add_column("predicted class")
    add_numbers(table, "activation")
    for image in found.top:
        named = (cell(text or MISSING) for text in (image.image, image.label, image.prediction))
        table.add_row(str(image.rank), *named, f"{image.activation:.3f}")
    return table


def table_maps(images: Sequence[ImageMaps], title: str) -> Table:
    """Mean activation of each filter for each image."""
    table = build_table(title)
    add_numbers(table, "filter")
    for each in images:
        heading = f"{each.label} ({each.image})" if each.label else each.image
        table.add_column(cell(heading), justify="right", overflow="fold")
    for maps in zip(*(each.filters for each in images), strict=True):
        table.add_row(str(maps[0].filter), *(f"{found.mean:.3f}" for found in maps))
    return table


def table_filters(rows: Sequence[FilterRow], title: str) -> Table:
    """A row a filter: dead or alive, how often active, and whose images excite it."""
    table = build_table(title)
    add_numbers(table, "filter")
    table.add_column("state")
    add_numbers(table, "active\nimages", "mean\nactivation")
    table.add_column("over-represented classes,\ntheir share of its top images")
    for row in rows:
        classes = (f"{each.name} {percent(each.share, 0)}" for each in row.classes)
        state, active = "dead" if row.is_dead else "alive", percent(row.active_share)
        said = cell(", ".join(classes)) or MISSING
        table.add_row(str(row.filter), state, active, f"{row.mean:.3f}", said)
    return table


def table_kernel(explanation: Explanation) -> Table:
    """Preferred color and orientation of a filter, and the classes that excite it."""
    table = build_table(f"Filter {explanation.filter} of {explanation.layer}")
    table.add_column("")
    table.add_column("value")
    if explanation.kernel is not None:
        _add_kernel(table, explanation.kernel)
    for found in explanation.classes:
        _add_class(table, found, explanation)
    return table


def table_correlations(explanation: Explanation) -> Table:
    """The properties of images that a filter follows most."""
    table = build_table("Rank correlation of its mean activation with properties of the images")
    table.add_column("property")
    add_numbers(table, "rho")
    for name, rho in list(explanation.correlations.items())[:NUM_CORRELATIONS]:
        table.add_row(name, f"{rho:+.2f}")
    return table


def table_probabilities(pictures: Sequence[Probabilities], top: int) -> Table:
    """The most probable classes, or labels, of each picture, with bars."""
    by_itself = any(each.prediction is None for each in pictures)
    table = build_table(
        "Probability of each label by itself" if by_itself else "Class probabilities"
    )
    table.add_column("picture", overflow="fold")
    table.add_column("label" if by_itself else "class")
    add_numbers(table, "probability")
    table.add_column("")
    for each in pictures:
        for place, (name, share) in enumerate(list(each.probabilities.items())[:top]):
            picture = "" if place else cell(each.image)
            table.add_row(picture, cell(name), percent(share), "█" * round(20 * share))
        table.add_section()
    return table


def _add_kernel(table: Table, kernel: KernelDescription) -> None:
    if kernel.color is not None:
        weights = ", ".join(f"{weight:+.2f}" for weight in kernel.color_weights)
        table.add_row("preferred color", kernel.color)
        table.add_row("weights of red, green and blue", weights)
        table.add_row("share of color in the kernel", percent(kernel.color_share, 0))
    table.add_row("preferred orientation of edges", f"{kernel.orientation:.0f}° from horizontal")
    scale = "1: only this one, 0: all alike"
    table.add_row("selectivity for it", f"{kernel.selectivity:.2f} ({scale})")


def _add_class(table: Table, found: ExplainedClass, explanation: Explanation) -> None:
    among = f"{percent(found.share, 0)}, among all images {percent(found.base_rate, 0)}"
    table.add_row(
        cell(f"{found.name} among the top {explanation.num_top} images"),
        f"{among} (p = {found.p_value:.2g})",
    )
    often = percent(found.given_property.probability, 0)
    table.add_row(
        cell(f"{found.name} higher than another image"),
        f"in {often} of pairs with about the same {explanation.followed}",
    )
