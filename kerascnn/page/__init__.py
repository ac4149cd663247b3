"""Runs as one HTML page that needs nothing else: no server, no network, no other file.

    runs ─► measured ─► charts, comparison ─┐
                └─► examples, explorer ─► pictures ─► gather ─► render ─► page.html

Everything a page shows is first gathered as plain data (numbers, text, places in sheets of
pictures); templates then only lay it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerascnn.errors import RunError
from kerascnn.look.explanation import image_properties
from kerascnn.look.subject import Subject
from kerascnn.page import comparison
from kerascnn.page.examples import choose_cells, choose_examples
from kerascnn.page.explorer import MOST_FILTERS, MOST_FILTERS_OF_ONE, explore
from kerascnn.page.measured import Measured, augments, describe_run, identify, read_measured
from kerascnn.page.pictures import Album, place_in
from kerascnn.page.render import render
from kerascnn.records.study import Audit
from kerascnn.run import Run
from kerascnn.run.files import write_whole

# The runs shown with pictures and filters; of the others there are numbers and curves.
MOST_DETAILED = 8

_NO_PICTURES = {"explorer": None, "examples": None, "cells": {}, "sheet": None}

Augmented = Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_page(
    runs: Sequence[Run],
    path: str | Path,
    audit: Audit | None = None,
    augmented: Augmented | None = None,
    data_dir: str | Path | None = None,
    pictures: bool = True,
) -> Path:
    """Write runs as one self-contained HTML file.

    Args:
        runs: evaluated runs; with several, the first of each recipe is shown in full.
        path: the file.
        audit: what holds of the study, as `kerascnn.audit` or its `--json` gives it.
        augmented: from the name of a run to training images, uint8 (num_images, height, width, 3),
            and draws of their augmentation, (num_images, num_draws, height, width, 3), 0 to 255.
        data_dir: see `load_dataset`.
        pictures: whether to show test images and filters, for which the data set must be there.

    Returns:
        The path.

    Raises:
        RunError: if there is no run, one was not evaluated, or the file cannot be written.
        DatasetError: if the test images are not there.
    """
    content = gather(runs, audit, augmented or {}, data_dir, pictures)
    text = render(content)
    return write_whole(Path(path), lambda written: written.write_text(text, "utf-8"))


def gather(
    runs: Sequence[Run],
    audit: Audit | None,
    augmented: Augmented,
    data_dir: str | Path | None,
    pictures: bool,
) -> dict[str, object]:
    """Everything that the page shows, as plain data for its templates; arguments as above."""
    if not runs:
        raise RunError("There is no run to show; name at least one.")
    found = [read_measured(*each) for each in zip(runs, identify(list(runs)), strict=True)]
    groups = comparison.group_runs(found)
    detailed = [group.runs[0] for group in groups][:MOST_DETAILED]
    album = Album(len(detailed))
    shown = [describe_run(measured) | _NO_PICTURES for measured in detailed]
    if pictures:
        _add_pictures(shown, detailed, album, data_dir)
    _add_augmentation(shown, detailed, album, augmented)
    charts = comparison.describe_curves(groups) if len(found) > 1 else []
    return {
        "title": _title(shown, groups),
        "is_single": len(found) == 1,
        "num_runs": len(found),
        "runs": shown,
        "groups": comparison.describe_groups(groups),
        "charts": charts,
        "chart_values": _chart_values([*charts, *(c for run in shown for c in run["charts"])]),
        "run_values": {run["id"]: _run_values(run) for run in shown},
        "class_tables": comparison.describe_classes(groups),
        "paired": comparison.describe_pairs(groups),
        "audit": audit and Audit.model_validate(audit),
        "sheets": album.sheets(),
        "has_pictures": pictures,
    }


def _add_pictures(
    shown: list[dict], detailed: list[Measured], album: Album, data_dir: str | Path | None
) -> None:
    properties: dict[str, dict[str, np.ndarray]] = {}
    for run, measured in zip(shown, detailed, strict=True):
        subject = Subject(measured.run, data_dir=data_dir and Path(data_dir))
        images, source = subject.shown.images, subject.shown.source
        if not np.array_equal(subject.shown.labels, measured.labels):
            raise RunError(
                f"Run '{measured.run.name}' was evaluated on other test images than there are now; "
                f"`kerascnn evaluate {measured.run.path}` measures it again."
            )
        atlas = album.atlas_of(source, images)
        if source not in properties:
            properties[source] = image_properties(images)
        run["examples"] = choose_examples(measured, atlas)
        run["sheet"] = atlas.name
        run["cells"] = choose_cells(measured, atlas, len(detailed))
        most = MOST_FILTERS_OF_ONE if len(shown) == 1 else MOST_FILTERS
        run["explorer"] = explore(measured, subject, album, atlas, properties[source], most)


def _add_augmentation(
    shown: list[dict], detailed: list[Measured], album: Album, augmented: Augmented
) -> None:
    for run, measured in zip(shown, detailed, strict=True):
        given = augmented.get(measured.run.name)
        run["augments"] = augments(measured.recipe)
        run["augmentation"] = given and _place_draws(album, *given)


def _place_draws(album: Album, originals: np.ndarray, draws: np.ndarray) -> dict[str, object]:
    """A row an image, the original first: `rows` of places, and the counts for the text."""
    rows = np.concatenate([originals[:, None].astype("float32"), draws], axis=1)
    num_images, width = rows.shape[:2]
    name = album.add(rows.round().clip(0, 255).astype("uint8").reshape(-1, *rows.shape[2:]))
    places = [place_in(name, number) for number in range(num_images * width)]
    return {
        "rows": [places[start : start + width] for start in range(0, len(places), width)],
        "num_images": num_images,
        "num_draws": width - 1,
    }


def _chart_values(charts: list[dict]) -> dict[str, object]:
    """What the script needs of charts."""
    return {
        chart["id"]: {
            "is_share": chart["form"].endswith("%"),
            "num_epochs": chart["num_epochs"],
            "low": chart["low"],
            "high": chart["high"],
            "series": [
                {"name": each["name"], "values": [round(value, 5) for value in each["values"]]}
                for each in chart["series"]
            ],
        }
        for chart in charts
    }


def _run_values(run: dict) -> dict[str, object]:
    """What the script needs of a run: its classes, and what the cells of its matrix open."""
    names = [row["name"] for row in run["classes"]]
    return {"names": names, "cells": run["cells"], "sheet": run["sheet"]}


def _title(shown: list[dict], groups: list[comparison.Group]) -> str:
    if len(groups) == 1 and len(groups[0].runs) == 1:
        return shown[0]["title"]
    num_runs = sum(len(group.runs) for group in groups)
    recipes = "1 recipe" if len(groups) == 1 else f"{len(groups)} recipes"
    return f"{num_runs} runs of {recipes}"
