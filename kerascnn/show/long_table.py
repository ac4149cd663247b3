"""A table of thousands of rows, for which rich itself takes seconds."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from kerascnn.show.words import visible

# No column becomes narrower, however narrow the console.
NARROWEST = 4
# Stands in the one row that rich draws.
_MARK = "\ue000"


class LongTable:
    """A table whose frame rich draws around one row, in whose place then stand all.

    Args:
        table: with columns, and no rows; it looks as rich would draw it.
        rows: texts from outside, as many in each as there are columns.
    """

    def __init__(self, table: Table, rows: Sequence[Sequence[str]]):
        self.table, self.rows = table, [[visible(text) for text in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        columns = self.table.columns
        frame = console.measure(self.table, options=options.update(max_width=10**6)).maximum
        frame -= sum(cell_len(str(column.header)) for column in columns)
        widths = self._fit(options.max_width - frame)
        for column, width in zip(columns, widths, strict=True):
            column.width, column.no_wrap = width, True
        self.table.add_row(_MARK)
        for line in console.render_lines(self.table, options, pad=False):
            text = "".join(segment.text for segment in line)
            if _MARK in text:
                yield Segment(self._body(console, text[0], widths))
            else:
                yield from line
                yield Segment.line()

    def _fit(self, room: int) -> list[int]:
        """Widths of the columns: those of the contents, and where that is too wide, of the room."""
        headers = [str(column.header) for column in self.table.columns]
        widths = [max(map(cell_len, texts)) for texts in zip(headers, *self.rows, strict=True)]
        while sum(widths) > room and max(widths) > NARROWEST:
            widths[widths.index(max(widths))] -= 1
        return widths

    def _body(self, console: Console, border: str, widths: Sequence[int]) -> str:
        """The lines of all rows."""
        lines = []
        for row in self.rows:
            cells = [_fold(*cell, console) for cell in zip(row, widths, strict=True)]
            for place in range(max(map(len, cells))):
                texts = [cell[place] if place < len(cell) else "" for cell in cells]
                padded = map(self._pad, texts, widths, self.table.columns)
                lines.append(f"{border} {f' {border} '.join(padded)} {border}\n")
        return "".join(lines)

    @staticmethod
    def _pad(text: str, width: int, column: Column) -> str:
        blanks = " " * (width - cell_len(text))
        return blanks + text if column.justify == "right" else text + blanks


def _fold(text: str, width: int, console: Console) -> list[str]:
    """The lines of a cell."""
    if cell_len(text) <= width:
        return [text]
    if " " not in text:
        return chop_cells(text, width)
    return [line.plain for line in Text(text).wrap(console, width)]
