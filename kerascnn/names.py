"""Which runs and recipes there are, by their names alone; nothing is read."""

import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

# The end of a run's name, local time.
TIME_FORMAT = "%Y%m%d-%H%M%S"


def run_directories(runs_dir: str | Path) -> list[Path]:
    """The directories in a directory that have a recipe in them, the oldest first."""
    found = []
    with suppress(OSError), os.scandir(runs_dir) as entries:
        for entry in entries:
            # What is no run, or is gone by now, has no recipe.
            with suppress(OSError):
                if not entry.name.startswith("."):
                    written = os.stat(f"{entry.path}/recipe.toml").st_mtime
                    found.append((_made_at(entry.name, written), entry.path))
    return [Path(path) for _, path in sorted(found)]


def recipes_directory() -> Path:
    """Where the shipped recipes are: inside the installed package, or beside it in a clone."""
    package = Path(__file__).parent
    shipped = package / "recipes"
    return shipped if shipped.is_dir() else package.parent / "recipes"


def list_recipes() -> list[str]:
    """Names of the shipped recipes, in alphabetical order."""
    return sorted(path.stem for path in recipes_directory().glob("*.toml"))


def _made_at(name: str, written: float) -> tuple[str, int, float]:
    # The time and number in the name, which survive a copy; the clock of the file without them.
    found = re.search(r"-(\d{8}-\d{6})(?:-(\d+))?$", name)
    if not found:
        return f"{datetime.fromtimestamp(written):{TIME_FORMAT}}", 1, written
    return found[1], int(found[2] or 1), written
