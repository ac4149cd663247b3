"""Reading TOML of others in no time worth mention: tomllib itself takes as long as a text wants."""

import tomllib

from kerascnn.regular_files import RECIPE_BYTES

# A recipe has three levels; more than so many are no recipe, but could fill the stack.
MOST_LEVELS = 20
# tomllib's time grows with the square of a key's levels, of which each has a dot.
MOST_DOTS = 200


def parse_toml(text: str) -> dict[str, object]:
    """What TOML text says.

    Raises:
        ValueError: if it is not TOML, or longer or more nested than a recipe can be.
    """
    if len(text) > RECIPE_BYTES:
        raise ValueError(f"it has more than {RECIPE_BYTES:,} characters")
    if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
        raise ValueError(f"a line of it has more than {MOST_DOTS} dots")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise _too_deep() from None
    _check(content, 0)
    return content


def _check(value: object, level: int) -> None:
    if level > MOST_LEVELS:
        raise _too_deep()
    if isinstance(value, int):
        str(value)  # is a ValueError where tomllib's would be one, had it been decimal
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        _check(each, level + 1)


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {MOST_LEVELS} levels")
