"""A long table looks as rich draws the same rows, at any width."""

import pytest
from rich.console import Console
from rich.table import Table

from kerascnn.show.long_table import LongTable
from kerascnn.show.words import add_numbers, build_table, cell

ROWS = [
    ("adam-lr0.001-seed0-20261123-101500", "cifar10", "finished", "0.461", "84.2 %"),
    ("日本の画像", "photos", "damaged: its history.csv is no file of this package", "–", "–"),
    ("[red]x[/]", "shapes", "3 of 50 epochs", "1.500", "–"),
]


def printed(table, width) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def empty() -> Table:
    table = build_table("Runs", "loss: lowest validation loss")
    table.add_column("run", overflow="fold")
    table.add_column("data")
    table.add_column("status")
    add_numbers(table, "loss", "test")
    return table


@pytest.mark.parametrize("width", [60, 80, 90, 120, 200])
def test_it_looks_as_rich_draws_it(width):
    expected = empty()
    for row in ROWS:
        expected.add_row(*map(cell, row))
    found = printed(LongTable(empty(), ROWS), width)
    if width >= 120:
        assert found == printed(expected, width)
    lines = found.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= width
    assert len({line[0] for line in lines if "│" in line}) == 1


@pytest.mark.parametrize("rows", [[], ROWS[:1]])
def test_it_may_be_empty_or_narrow(rows):
    assert printed(LongTable(empty(), rows), 30)
    assert printed(LongTable(empty(), rows), 300)


def test_no_row_tells_a_terminal_anything():
    row = ("a\x1b[2Jb\n\u202ec", "x", "y", "1", "2")
    assert "a�[2Jb��c" in printed(LongTable(empty(), [row]), 100)
