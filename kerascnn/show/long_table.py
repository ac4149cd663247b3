"""A table of thousands of rows: rich, to which each cell is a world of its own, takes seconds."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from kerascnn.show.words import visible

# No column becomes narrower, however narrow the console.
NARROWEST = 5


class LongTable:
    """Rows beneath the columns of a table, which rich lays out as one row of many lines.

    Args:
        table: with columns, and no rows.
        rows: texts from outside, as many in each as there are columns.
    """

    def __init__(self, table: Table, rows: Sequence[Sequence[str]]):
        self.table, self.rows = table, [[visible(text) for text in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        frame = console.measure(self.table, options=options.update(max_width=10**6)).maximum
        frame -= sum(cell_len(str(column.header)) for column in self.table.columns)
        widths = self._fit(options.max_width - frame)
        lines = [line for row in self.rows for line in _fold(row, widths, console)]
        for column, width in zip(self.table.columns, widths, strict=True):
            column.width, column.no_wrap = width, True
        for cells in [zip(*lines, strict=True)] if lines else []:
            self.table.add_row(*(Text("\n".join(cell)) for cell in cells))
        yield self.table

    def _fit(self, room: int) -> list[int]:
        """Widths of the columns: those of the contents, and where that is too wide, of the room."""
        headers = [str(column.header) for column in self.table.columns]
        widths = [max(map(cell_len, texts)) for texts in zip(headers, *self.rows, strict=True)]
        while sum(widths) > room and max(widths) > NARROWEST:
            widths[widths.index(max(widths))] -= 1
        return widths


def _fold(row: Sequence[str], widths: Sequence[int], console: Console) -> Iterator[tuple[str, ...]]:
    """The lines of a row."""
    cells = [
        [text]
        if cell_len(text) <= width
        else [line.plain for line in Text(text).wrap(console, width)]
        for text, width in zip(row, widths, strict=True)
    ]
    for place in range(max(map(len, cells))):
        yield tuple(cell[place] if place < len(cell) else "" for cell in cells)
