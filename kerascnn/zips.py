"""What a zip file from elsewhere may hold: plain names, and sizes in proportion to the file."""

import zipfile
from collections.abc import Iterable

# What is stored may unfold to so many times its size; Keras and numpy store without compression.
MOST_EXPANSION = 100
# So much may unfold from next to nothing.
HARMLESS_BYTES = 2**20


def check_sizes(members: Iterable[zipfile.ZipInfo]) -> None:
    """Refuse members of an archive that would unfold to far more than what is stored.

    Raises:
        ValueError: naming the member.
    """
    for member in members:
        if member.file_size > most_bytes(member.compress_size):
            raise ValueError(
                f"its {quote(member.filename)} would unfold from {member.compress_size:,} to "
                f"{member.file_size:,} bytes"
            )


def most_bytes(stored: int) -> int:
    """How many bytes may unfold from so many stored ones."""
    return HARMLESS_BYTES + MOST_EXPANSION * stored


def is_plain(name: str) -> bool:
    """Whether a member's name stays in its directory on every system."""
    parts = name.removesuffix("/").split("/")
    return (
        name.isprintable()
        and not any(character in name for character in '\\:*?"<>|')
        and all(part and part not in (".", "..") for part in parts)
    )


def quote(name: str) -> str:
    """A name out of a file for a message: in quotes, short, and of printable characters alone."""
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    return "'" + "".join(each if each.isprintable() else "�" for each in shown) + "'"
