"""Tables of what filters answer, read as text."""

import io

from made.figures import (
    build_explained_class,
    build_explanation,
    build_filter,
    build_maps,
    build_probabilities,
    build_ranked,
)
from rich.console import Console

from kerascnn.records.filters import FilterMap, KernelDescription, TopImages
from kerascnn.show.filter_tables import (
    table_correlations,
    table_filters,
    table_kernel,
    table_maps,
    table_probabilities,
    table_top,
)


def rows_of(table, width=200):
    """The cells of each line, as a wide terminal would show them."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    lines = [line.replace("┃", "│") for line in console.file.getvalue().splitlines()]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]


def test_top_images_have_rank_classes_and_activation():
    ranked = (build_ranked(1, label="[b]x", activation=1.90649), build_ranked(2, label=None))
    rows = rows_of(table_top(TopImages(filter=1, top=ranked), "Highest"))
    assert rows[1:] == [
        ["1", "7", "[b]x", "airplane", "1.906"],
        ["2", "7", "–", "airplane", "8.905"],
    ]


def test_maps_have_a_column_an_image_and_a_row_a_filter():
    of_filters = tuple(FilterMap(filter=number, mean=number / 8, max=1) for number in (1, 8))
    known = build_maps(filters=of_filters).record
    unknown = build_maps(filters=of_filters, label=None, image="a.png").record
    rows = rows_of(table_maps([known, unknown], "Means"))
    assert rows == [
        ["filter", "cat (0)", "a.png"], ["1", "0.125", "0.125"], ["8", "1.000", "1.000"]
    ]  # fmt: skip


def test_filters_are_dead_or_alive_and_name_their_classes_with_their_share():
    alive = build_filter(1, classes=["airplane", "ship"], active_share=0.998).record
    dead = build_filter(2, is_dead=True, active_share=0, mean=0).record
    rows = rows_of(table_filters([alive, dead], "Filters"))
    assert rows[-2:] == [
        ["1", "alive", "99.8 %", "0.500", "airplane 90 %, ship 90 %"],
        ["2", "dead", "0.0 %", "0.000", "–"],
    ]


def test_table_of_filters_fits_a_terminal_of_80_columns():
    console = Console(file=io.StringIO(), width=80)
    console.print(table_filters([build_filter(classes=["automobile", "truck"]).record], "Filters"))
    assert "automobile 90 %, truck 90 %" in console.file.getvalue()


def test_kernel_and_classes_say_what_their_numbers_mean():
    kernel = KernelDescription(
        orientation=40, selectivity=0.25, color="cyan", color_weights=(-1, 0.5, 0), color_share=0.5
    )
    explanation = build_explanation(kernel=kernel, classes=[build_explained_class("airplane")])
    assert dict(rows_of(table_kernel(explanation))[1:]) == {
        "preferred color": "cyan",
        "weights of red, green and blue": "-1.00, +0.50, +0.00",
        "share of color in the kernel": "50 %",
        "preferred orientation of edges": "40° from horizontal",
        "selectivity for it": "0.25 (1: only this one, 0: all alike)",
        "airplane among the top 100 images": "30 %, among all images 10 % (p = 0.001)",
        "airplane higher than another image": "in 67 % of pairs with about the same blueness of "
        "the image",
    }


def test_kernel_of_other_channels_than_three_has_no_color():
    none = dict.fromkeys(("color", "color_weights", "color_share"))
    kernel = KernelDescription(orientation=40, selectivity=0.25, **none)
    rows = rows_of(table_kernel(build_explanation(kernel=kernel)))
    assert [row[0] for row in rows[1:]] == ["preferred orientation of edges", "selectivity for it"]


def test_the_strongest_correlations_are_listed():
    rhos = {f"property {i}": 0.9 - i / 10 for i in range(12)}
    rows = rows_of(table_correlations(build_explanation(correlations=rhos)))
    assert rows[1] == ["property 0", "+0.90"]
    assert len(rows) == 1 + 10


def test_probabilities_have_bars_and_name_a_picture_once():
    rows = rows_of(
        table_probabilities([build_probabilities("a.png", [0.1, 0.7, 0, 0.2]).record], 2)
    )
    assert [row[:3] for row in rows[1:]] == [
        ["a.png", "automobile", "70.0 %"], ["", "cat", "20.0 %"]
    ]  # fmt: skip
    assert [len(row[3]) for row in rows[1:]] == [14, 4]
