"""Several runs beside each other: by recipe, over epochs, by class, two at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation.compare import compare
from kerascnn.evaluation.metrics import describe_seeds
from kerascnn.page.charts import Chart, Series
from kerascnn.page.measured import Measured
from kerascnn.records.quantity import Quantity, Unit
from kerascnn.records.run import Collapse, ComparedClass, ReportedNumbers, SeedSummary

# So many recipes have a color of their own; those after them are dashed.
NUM_COLORS = 6
# The runs that all pairs are made of.
MOST_PAIRED = 8
_CURVES = (
    ("Validation loss", Quantity("val_loss", Unit.LOSS)),
    ("Validation accuracy", Quantity("val_accuracy", Unit.SHARE)),
)


@dataclass
class Group:
    """Runs, at least one, of one recipe that differ by their seed only."""

    label: str  # name of the recipe, with what tells it from others of that name
    place: int  # among the groups, from 0
    runs: list[Measured] = field(default_factory=list)

    @property
    def color(self) -> int:
        return self.place % NUM_COLORS

    @property
    def is_dashed(self) -> bool:
        """Whether its color belongs to another one, too."""
        return self.place >= NUM_COLORS

    @property
    def has_collapsed(self) -> bool:
        """Whether each of its runs calls nearly everything one class."""
        diagnoses = (run.evaluation.diagnosis for run in self.runs)
        return all(any(isinstance(found, Collapse) for found in each) for each in diagnoses)

    @property
    def accuracy(self) -> SeedSummary:
        return describe_seeds([run.evaluation.test.accuracy for run in self.runs])

    @property
    def val_loss(self) -> SeedSummary:
        """Best validation loss over its runs that have a history."""
        losses = (run.evaluation.best_val_loss for run in self.runs)
        return describe_seeds([loss for loss in losses if loss is not None])

    @property
    def reported(self) -> ReportedNumbers:
        return self.runs[0].evaluation.reported


@dataclass(frozen=True)
class ClassTable:
    """Recipes of one set of classes, a column each.

    A row has the name of a class, and for each group its mean accuracy and how far that is behind
    the best of the row (None where its runs have collapsed); the last row is `overall`.
    """

    groups: list[Group]
    rows: list[tuple[str, list[tuple[float, float | None]]]]


@dataclass(frozen=True)
class Pairs:
    """Runs on the same test images, two at a time: `A-B` are places in `runs`."""

    runs: list[str]
    rows: dict[str, list[ComparedClass]]  # all classes and, last, `overall`
    best: str  # the pair of the two most accurate

    def for_script(self) -> dict[str, object]:
        rows = {pair: [row.model_dump() for row in rows] for pair, rows in self.rows.items()}
        return {"runs": self.runs, "pairs": rows}


def group_runs(runs: Sequence[Measured]) -> list[Group]:
    """Runs by recipe, in the order of the first run of each."""
    groups: dict[str, Group] = {}
    for measured in runs:
        key = repr(_settings_of(measured))
        group = groups.setdefault(key, Group(measured.recipe.name, len(groups)))
        group.runs.append(measured)
    found = list(groups.values())
    for group in found:
        alike = [other for other in found if other.runs[0].recipe.name == group.label]
        if len(alike) > 1:
            group.label += f" ({_distinction(group, alike)})"
    return found


def build_charts(groups: Sequence[Group]) -> list[Chart]:
    """Charts of validation loss and accuracy, a curve a run; none where no run has a history."""
    curves = [
        (_name_curve(group, run), run.history, "seed" if place else "main", group)
        for group in groups
        for place, run in enumerate(group.runs)
        if len(run.history)
    ]
    charts = []
    for title, quantity in _CURVES if curves else ():
        series = [
            Series(name, getattr(history, quantity.name), style, group.color, group.is_dashed)
            for name, history, style, group in curves
        ]
        charts.append(Chart(f"all-{quantity.name}", title, quantity, series))
    return charts


def tabulate_classes(groups: Sequence[Group]) -> list[ClassTable]:
    """Mean accuracy of each class and recipe, a table for each set of classes.

    What calls everything one class is not compared with: it has all of that class right.
    """
    tables = []
    for names in dict.fromkeys(group.runs[0].class_names for group in groups):
        chosen = [group for group in groups if group.runs[0].class_names == names]
        means = np.array([[*_mean_by_class(group), group.accuracy.mean] for group in chosen])
        collapsed = np.array([group.has_collapsed for group in chosen])
        columns = zip((*names, "overall"), means.T, strict=True)
        tables.append(ClassTable(chosen, [(name, _cells(row, collapsed)) for name, row in columns]))
    return tables


def compare_pairs(groups: Sequence[Group]) -> Pairs | None:
    """Comparisons of the first runs of recipes, where they fit; None without any."""
    chosen = list(groups)[:MOST_PAIRED]
    runs = [group.runs[0] for group in chosen]
    pairs = {}
    for a, b in combinations(range(len(runs)), 2):
        try:
            found = compare(runs[a].run, runs[b].run)
        except RunError:  # not the same test images
            continue
        named = zip(runs[a].class_names, found.per_class, strict=True)
        rows = [row.model_copy(update={"name": name}) for name, row in named]
        pairs[f"{a}-{b}"] = [*rows, found.overall]
    if not pairs:
        return None
    names = [f"{group.label}, seed {group.runs[0].recipe.train.seed}" for group in chosen]
    best = max(pairs, key=lambda pair: pairs[pair][-1].a + pairs[pair][-1].b)
    return Pairs(names, pairs, best)


def _settings_of(measured: Measured) -> dict[str, object]:
    """What a recipe says, flat, but for its seed and what is only told about it."""
    content = measured.recipe.model_dump()
    flat = {"name": content["name"]}
    for section in ("data", "augmentation", "model", "train"):
        flat |= {f"{section}.{key}": value for key, value in content[section].items()}
    flat.pop("train.seed")
    return flat | {"data.dataset": measured.dataset}


def _distinction(group: Group, alike: Sequence[Group]) -> str:
    settings = [_settings_of(other.runs[0]) for other in alike]
    keys = [key for key in settings[0] if len({repr(each[key]) for each in settings}) > 1]
    own = _settings_of(group.runs[0])
    # As a recipe's file has them, where what is a tuple here is a list.
    told = {key: list(own[key]) if isinstance(own[key], tuple) else own[key] for key in keys}
    return ", ".join(f"{key.split('.')[-1]} {value}" for key, value in told.items())


def _name_curve(group: Group, run: Measured) -> str:
    return f"{group.label}, seed {run.recipe.train.seed}" if len(group.runs) > 1 else group.label


def _mean_by_class(group: Group) -> list[float]:
    tables = [run.evaluation.test.per_class for run in group.runs]
    return np.mean([[row.accuracy or 0.0 for row in rows] for rows in tables], axis=0).tolist()


def _cells(accuracies: np.ndarray, collapsed: np.ndarray) -> list[tuple[float, float | None]]:
    highest = accuracies[~collapsed].max(initial=0.0)
    behind = np.where(collapsed, None, accuracies - highest)
    return list(zip(accuracies.tolist(), behind.tolist(), strict=True))
