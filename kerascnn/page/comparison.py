"""Several runs beside each other: by recipe, over epochs, by class, two at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from kerascnn.errors import RunError
from kerascnn.evaluation.compare import compare
from kerascnn.evaluation.metrics import collapsed_class, describe_seeds
from kerascnn.page.charts import build_chart
from kerascnn.page.measured import Measured

# So many recipes have a color of their own; those after them are dashed.
NUM_COLORS = 6
# The runs that all pairs are made of.
MOST_PAIRED = 8


@dataclass
class Group:
    """Runs of one recipe that differ by their seed only.

    Attributes:
        label: name of the recipe, with what tells it from others of that name.
        place: its place among the groups, from 0.
        runs: at least one.
    """

    label: str
    place: int
    runs: list[Measured] = field(default_factory=list)

    @property
    def color(self) -> int:
        """Number of its color."""
        return self.place % NUM_COLORS

    @property
    def is_dashed(self) -> bool:
        """Whether its color belongs to another one, too."""
        return self.place >= NUM_COLORS

    @property
    def has_collapsed(self) -> bool:
        """Whether each of its runs calls nearly everything one class."""
        return all(collapsed_class(run.confusion) is not None for run in self.runs)


def group_runs(runs: list[Measured]) -> list[Group]:
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


def describe_groups(groups: list[Group]) -> list[dict[str, object]]:
    """A row a recipe: means over its seeds, their spread, and what was reported."""
    return [
        {
            "label": group.label,
            "color": group.color,
            "runs": [{"id": run.identity, "seed": run.recipe.train.seed} for run in group.runs],
            "accuracy": describe_seeds([run.accuracy for run in group.runs]),
            "reported": group.runs[0].reported("accuracy"),
            "val_loss": describe_seeds(
                [min(r.history["val_loss"]) for r in group.runs if r.best_epoch]
            ),
            "reported_val_loss": group.runs[0].reported("best_val_loss"),
        }
        for group in groups
    ]


def describe_curves(groups: list[Group]) -> list[dict[str, object]]:
    """Charts of validation loss and accuracy, a curve a run; none where no run has a history."""
    charts = []
    for key, title, form in (
        ("val_loss", "Validation loss", ".3f"),
        ("val_accuracy", "Validation accuracy", ".1%"),
    ):
        series = [
            {
                "name": group.label + _seed_of(run, group),
                "values": run.history[key],
                "style": "main" if place == 0 else "seed",
                "color": group.color,
                "is_dashed": group.is_dashed,
            }
            for group in groups
            for place, run in enumerate(group.runs)
            if run.best_epoch
        ]
        if series:
            charts.append(build_chart(f"all-{key}", title, series, form))
    return charts


def describe_classes(groups: list[Group]) -> list[dict[str, object]]:
    """Mean accuracy of each class and recipe, a table for each set of classes.

    What calls everything one class is not compared with: it has all of that class right.
    """
    tables = []
    for names in dict.fromkeys(group.runs[0].class_names for group in groups):
        chosen = [group for group in groups if group.runs[0].class_names == names]
        means = np.array([_mean_by_class(group) for group in chosen])
        collapsed = np.array([group.has_collapsed for group in chosen])
        rows = [{"name": n, "cells": _cells(means[:, i], collapsed)} for i, n in enumerate(names)]
        overall = np.array([np.mean([run.accuracy for run in group.runs]) for group in chosen])
        rows.append({"name": "overall", "cells": _cells(overall, collapsed)})
        heads = [{"label": group.label, "color": group.color} for group in chosen]
        tables.append({"heads": heads, "rows": rows})
    return tables


def describe_pairs(groups: list[Group]) -> dict[str, object] | None:
    """Comparisons of the first runs of recipes, two at a time, where they fit; None without any.

    Returns:
        `runs` (`name` of each), `pairs`, from `A-B` to rows of `name`, `a`, `b`, `difference`,
        `p_value` and `exceeds_chance`, the last for all images, and `best`, the pair of the two
        most accurate.
    """
    runs = [group.runs[0] for group in groups][:MOST_PAIRED]
    pairs = {}
    for a, b in combinations(range(len(runs)), 2):
        try:
            found = compare(runs[a].run, runs[b].run)
        except RunError:  # not the same test images
            continue
        names = [*runs[a].class_names, "overall"]
        rows = [*found.per_class, found.overall]
        pairs[f"{a}-{b}"] = [
            {"name": name, **{key: getattr(row, key) for key in _KEPT}}
            for name, row in zip(names, rows, strict=True)
        ]
    names = [
        f"{group.label}, seed {run.recipe.train.seed}"
        for group, run in zip(groups, runs, strict=False)
    ]
    if not pairs:
        return None
    best = max(pairs, key=lambda pair: pairs[pair][-1]["a"] + pairs[pair][-1]["b"])
    return {"runs": names, "pairs": pairs, "best": best}


_KEPT = ("a", "b", "difference", "p_value", "exceeds_chance")


def _settings_of(measured: Measured) -> dict[str, object]:
    """What a recipe says, flat, but for its seed and what is only told about it."""
    content = measured.recipe.model_dump()
    flat = {"name": content["name"]}
    for section in ("data", "augmentation", "model", "train"):
        flat |= {f"{section}.{key}": value for key, value in content[section].items()}
    flat.pop("train.seed")
    return flat | {"data.dataset": measured.dataset}


def _distinction(group: Group, alike: list[Group]) -> str:
    settings = [_settings_of(other.runs[0]) for other in alike]
    keys = [key for key in settings[0] if len({repr(each[key]) for each in settings}) > 1]
    own = _settings_of(group.runs[0])
    return ", ".join(f"{key.split('.')[-1]} {_plain(own[key])}" for key in keys)


def _plain(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _seed_of(run: Measured, group: Group) -> str:
    return f", seed {run.recipe.train.seed}" if len(group.runs) > 1 else ""


def _mean_by_class(group: Group) -> list[float]:
    confusions = [run.confusion for run in group.runs]
    shares = [np.diag(each) / np.maximum(1, each.sum(axis=1)) for each in confusions]
    return np.mean(shares, axis=0).tolist()


def _cells(values: np.ndarray, collapsed: np.ndarray) -> list[dict[str, object]]:
    highest = values[~collapsed].max(initial=0.0)
    return [
        {"value": float(value), "behind": None if out else float(value - highest)}
        for value, out in zip(values, collapsed, strict=True)
    ]
