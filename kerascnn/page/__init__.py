"""Runs as one HTML page that needs nothing else: no server, no network, no other file.

    runs ─► measured ─┬─► charts, comparison ────────────────────────────┐
                      └─► examples, explorer, pictures ─► shown_run ─► render ─► page.html

What was measured stands in the files of the runs; a page computes none of it again. What it shows
is first gathered (numbers, text, places in sheets of pictures); templates then only lay it out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerascnn.errors import RunError
from kerascnn.look.subject import Subject
from kerascnn.page import comparison
from kerascnn.page.examples import choose_cells, choose_examples
from kerascnn.page.explorer import MOST_FILTERS, MOST_FILTERS_OF_ONE, explore
from kerascnn.page.measured import Measured, identify, read_measured
from kerascnn.page.pictures import Album, place_in
from kerascnn.page.render import Content, render
from kerascnn.page.shown_run import Pictures, ShownRun
from kerascnn.records.study import Audit
from kerascnn.run import Run
from kerascnn.run.files import write_whole

# The runs shown with pictures and filters; of the others there are numbers and curves.
MOST_DETAILED = 8

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
    text = render(gather(runs, audit, augmented or {}, data_dir, pictures))
    return write_whole(Path(path), lambda written: written.write_text(text, "utf-8"))


def gather(
    runs: Sequence[Run],
    audit: Audit | None,
    augmented: Augmented,
    data_dir: str | Path | None,
    pictures: bool,
) -> Content:
    """Everything that the page shows; for the arguments see `write_page`."""
    if not runs:
        raise RunError("There is no run to show; name at least one.")
    found = [read_measured(*each) for each in zip(runs, identify(runs), strict=True)]
    groups = comparison.group_runs(found)
    detailed = [group.runs[0] for group in groups][:MOST_DETAILED]
    album = Album(len(detailed))
    shown = [
        ShownRun(
            measured,
            _picture(measured, album, data_dir, len(detailed)) if pictures else None,
            _place_draws(album, augmented.get(measured.run.name)),
        )
        for measured in detailed
    ]
    return Content(
        runs=shown,
        groups=groups,
        charts=comparison.build_charts(groups) if len(found) > 1 else [],
        class_tables=comparison.tabulate_classes(groups),
        pairs=comparison.compare_pairs(groups),
        audit=audit and Audit.model_validate(audit),
        sheets=album.sheets(),
        has_pictures=pictures,
    )


def _picture(
    measured: Measured, album: Album, data_dir: str | Path | None, num_runs: int
) -> Pictures:
    subject = Subject(measured.run, data_dir=data_dir and Path(data_dir))
    shown = subject.shown
    if not np.array_equal(shown.labels, measured.labels):
        raise RunError(
            f"Run '{measured.run.name}' was evaluated on other test images than there are now; "
            f"`kerascnn evaluate {measured.run.path}` measures it again."
        )
    atlas = album.atlas_of(shown.source, shown.images)
    most = MOST_FILTERS_OF_ONE if num_runs == 1 else MOST_FILTERS
    return Pictures(
        sheet=atlas.name,
        examples=choose_examples(measured, atlas),
        cells=choose_cells(measured, atlas, num_runs),
        explorer=explore(measured, subject, album, atlas, most),
    )


def _place_draws(
    album: Album, given: tuple[np.ndarray, np.ndarray] | None
) -> list[list[dict[str, object]]] | None:
    if given is None:
        return None
    originals, draws = given
    rows = np.concatenate([originals[:, None].astype("float32"), draws], axis=1)
    width = rows.shape[1]
    name = album.add(rows.round().clip(0, 255).astype("uint8").reshape(-1, *rows.shape[2:]))
    places = [place_in(name, number) for number in range(len(rows) * width)]
    return [places[start : start + width] for start in range(0, len(places), width)]
