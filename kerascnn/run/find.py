"""Which run is meant, which is the same as another, which is finished, and which goes on."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from kerascnn.errors import RunError
from kerascnn.names import TIME_FORMAT, run_directories
from kerascnn.recipe import TRAINING, Recipe, changes_from_shipped, differences
from kerascnn.run import Run


def create_run(recipe: Recipe, runs_dir: str | Path = "runs") -> Run:
    """Make a run directory of a new name, with the recipe in it.

    Raises:
        RunError: if it cannot be written.
    """
    stem = f"{recipe.name}-seed{recipe.train.seed}-{datetime.now():{TIME_FORMAT}}"
    try:
        Path(runs_dir).mkdir(parents=True, exist_ok=True)
        return Run(_make_directory(Path(runs_dir), stem, recipe))
    except OSError as error:
        raise RunError(f"No run can be made in '{runs_dir}': {error.strerror}.") from None


def list_runs(runs_dir: str | Path = "runs") -> list[Run]:
    """All runs in a directory, the oldest first."""
    return [Run(path) for path in run_directories(runs_dir)]


def find_run(name: str | Path = "latest", runs_dir: str | Path = "runs") -> Run:
    """Find a run by its directory, by its name or a unique part of it, or `latest`.

    Raises:
        RunError: if there is none, or more than one.
    """
    if os.path.isfile(Path(name) / "recipe.toml"):
        return Run(name)
    runs = list_runs(runs_dir)
    if not runs:
        raise RunError(f"There is no run in '{runs_dir}'; `kerascnn run adam-lr0.001` makes one.")
    if str(name) == "latest":
        return runs[-1]
    found = [run for run in runs if str(name) in run.name]
    exact = [run for run in found if run.name == str(name)]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        some = ", ".join(run.name for run in found[:3]) + (", ..." if len(found) > 3 else "")
        raise RunError(
            f"'{name}' fits {len(found)} runs in '{runs_dir}' ({some}); give more of it."
        )
    raise RunError(f"No run in '{runs_dir}' has '{name}' in its name; `kerascnn runs` lists them.")


def find_runs(names: Iterable[str] | None, runs_dir: str | Path = "runs") -> list[Run]:
    """The runs of these names, each once; all evaluated runs if `names` is None.

    Raises:
        RunError: as `find_run`, or if no run is evaluated.
    """
    if names is not None:
        found = [find_run(name, runs_dir) for name in names]
        return list({run.path.resolve(): run for run in found}.values())
    evaluated = [run for run in list_runs(runs_dir) if run.is_evaluated]
    if not evaluated:
        raise RunError(f"There is no evaluated run in '{runs_dir}'; `kerascnn runs` lists what is.")
    return evaluated


def find_damaged(runs: Iterable[Run]) -> list[str]:
    """A sentence for each run that cannot be read: which, and what is wrong."""
    return [problem for run in runs if (problem := _damage(run))]


def find_changed(runs: Iterable[Run], used: set[Path]) -> list[str]:
    """A sentence for each finished run on CIFAR-10 that trained otherwise than its recipe says.

    Those whose paths are `used`, for they are what some reading says, do not count.
    """
    return [
        f"Run '{run.name}' is not what recipe {run.recipe.name} says: {'; '.join(changes)}."
        for run in runs
        if run.path not in used
        and is_finished(run)
        and run.recipe.data.dataset == "cifar10"
        and (changes := changes_from_shipped(run.recipe))
    ]


def find_same(runs_dir: str | Path, wanted: Recipe) -> Run | None:
    """The run that makes training a recipe unnecessary, or that goes on with it.

    That is the last finished run of just this recipe and seed, else the last that can go on. What
    it is called does not matter; damaged runs and converted weights do not count.
    """
    same = _find_usable(runs_dir, lambda recipe: trains_as(recipe, wanted))
    finished = [run for run in same if is_finished(run)]
    return (finished or same or [None])[-1]


def find_begun(runs_dir: str | Path, wanted: Recipe) -> Run | None:
    """The run to resume for a recipe: the last of just this recipe and seed, finished or not.

    Raises:
        RunError: if the last run of this name and seed is half done with other settings.
    """
    if same := _find_usable(runs_dir, lambda recipe: trains_as(recipe, wanted)):
        return same[-1]
    key = wanted.name, wanted.train.seed
    called_so = _find_usable(runs_dir, lambda recipe: (recipe.name, recipe.train.seed) == key)
    if not called_so or called_so[-1].status == "finished":
        return None
    last = called_so[-1]
    raise RunError(
        f"Run '{last.name}' is half done, with another recipe: "
        f"{'; '.join(differences(last.recipe, wanted))}. `kerascnn resume {last.path}` goes on "
        "with it as it was; without --resume another run begins."
    )


def is_finished(run: Run) -> bool:
    """Whether a run was trained here, to its end, and has the figures of its best model."""
    try:
        finished = run.status == "finished" and len(run.read_history()) > 0
        return finished and run.read_metrics() is not None
    except RunError:
        return False


def trains_as(recipe: Recipe, other: Recipe) -> bool:
    """Whether two recipes mean the same training, whatever they are called."""
    return all(getattr(recipe, section) == getattr(other, section) for section in TRAINING)


def _make_directory(runs_dir: Path, stem: str, recipe: Recipe) -> Path:
    # Under its name there is a directory with a recipe in it, or none.
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=".making-") as temporary:
        for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
            made, path = Path(temporary) / (stem + suffix), runs_dir / (stem + suffix)
            if path.exists():
                continue
            made.mkdir()
            Run(made).write_recipe(recipe)
            try:
                made.rename(path)
                return path
            except OSError as error:  # another process had the same name in the same moment
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
    raise FileExistsError(17, "there are a thousand runs of this second")


def _find_usable(runs_dir: str | Path, fits: Callable[[Recipe], bool]) -> list[Run]:
    """Runs of recipes that fit, trained here, that are finished or can go on; the oldest first."""
    return [run for run in list_runs(runs_dir) if _is_usable(run, fits)]


def _damage(run: Run) -> str:
    try:
        _ = run.recipe, run.read_history(), run.metrics_path.exists() and run.read_metrics()
    except RunError as error:
        return str(error)
    return ""


def _is_usable(run: Run, fits: Callable[[Recipe], bool]) -> bool:
    try:
        if not fits(run.recipe) or run.converted_from is not None:
            return False
        if run.status in ("trained", "finished"):
            return is_finished(run) or run.best_path.exists()
        return run.read_checkpoint() is not None
    except RunError:
        return False
