"""How numbers and names are written, in tables, pages and messages alike."""

import re

from rich.markup import escape
from rich.table import Table
from rich.text import Text

# What a terminal would obey, what turns the direction of writing, and halves of characters.
COMMANDS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Text from outside, such as a class's name, in one line and without commands to a terminal."""
    return COMMANDS.sub("�", text)


def cell(text: str) -> str:
    """Text from outside as rich's tables take it: nothing in it is markup."""
    return escape(visible(text))


def counted(count: int, noun: str) -> str:
    """How many there are: `1 epoch`, `3 epochs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def time_in_words(seconds: float) -> str:
    """How long something took, in one unit: `40 seconds`, `12 minutes`, `2.5 hours`."""
    if seconds < 90:
        return counted(round(seconds), "second")
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def build_table(title: str, caption: str | None = None) -> Table:
    """A table without columns; title and caption stand at its left."""
    caption = caption and Text(caption)
    table = Table(title=Text(visible(title)), caption=caption, title_style="bold")
    table.title_justify = table.caption_justify = "left"
    return table


def add_numbers(table: Table, *headings: str) -> None:
    """Add columns of numbers, which stand at the right."""
    for heading in headings:
        table.add_column(heading, justify="right")


def short_percent(share: float) -> str:
    """A fraction in percent where there is little room; what is not nothing never reads as 0."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def time_left(seconds: float, to_the_second: bool = False) -> str:
    """How long something will take: `89 s`, `10 min`, `2 h 01 min`; to the second `10 min 05 s`."""
    if to_the_second and 60 <= round(seconds) < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
