"""What the files of a run say, as records; each function reads one kind of file.

They are functions and not one with a parameter, because `files.read_once` keeps what was read by
the function that read it.
"""

import csv
import io
import json
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerascnn.records.run import Checkpoint, Environment, Epoch, Evaluation, History
from kerascnn.regular_files import RECORD_BYTES, read_regular
from kerascnn.run.files import load_arrays

HISTORY_COLUMNS = tuple(Epoch.model_fields)
_numbers_of = itemgetter(*HISTORY_COLUMNS)
PREDICTIONS = ("probabilities", "predictions", "labels")


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The record of `checkpoint.npz`; None where there is no such file."""
    if not path.exists():
        return None
    record = load_arrays(path, ("record",))["record"]
    return Checkpoint.model_validate_json(record.tobytes())


class Progress(NamedTuple):
    """What of a checkpoint tells how far training is, see `Checkpoint`; `rows` are its epochs'."""

    rows: list[tuple[float, ...]]
    best: str | None


def read_progress(path: Path) -> Progress | None:
    """Of `checkpoint.npz`, in a fifth of the time of the record; None where there is no such file.

    It is compared with what else is in the run; nothing goes on from it.
    """
    try:
        record = json.loads(load_arrays(path, ("record",))["record"].tobytes())
    except FileNotFoundError:
        return None
    return Progress([_numbers_of(row) for row in record["history"]], record["best"])


def read_environment(path: Path) -> Environment:
    """`environment.json`."""
    return Environment.model_validate_json(read_regular(path, RECORD_BYTES), strict=True)


def read_evaluation(path: Path) -> Evaluation:
    """`metrics.json`."""
    return Evaluation.model_validate_json(read_regular(path, RECORD_BYTES), strict=True)


def read_history(path: Path) -> History:
    """`history.csv`; empty where there is no such file."""
    try:
        text = read_regular(path, RECORD_BYTES).decode("utf-8")
    except FileNotFoundError:
        return History()
    lines = csv.reader(io.StringIO(text))
    if tuple(next(lines, ())) != HISTORY_COLUMNS:
        raise ValueError(f"its columns are not {', '.join(HISTORY_COLUMNS)}")
    rows = [tuple(map(float, line)) for line in lines]
    if any(len(row) != len(HISTORY_COLUMNS) for row in rows):
        raise ValueError(f"a row of it has not {len(HISTORY_COLUMNS)} numbers")
    columns = zip(*rows, strict=True) if rows else ((),) * len(HISTORY_COLUMNS)
    return History(**dict(zip(HISTORY_COLUMNS, columns, strict=True)))


def read_predictions(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of `predictions.npz`, and the checksum of the model that predicted, if known."""
    arrays = load_arrays(path, (*PREDICTIONS, "model"))
    return {name: arrays[name] for name in PREDICTIONS}, str(arrays.get("model", ""))


def history_to_csv(history: History) -> str:
    """The text of `history.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HISTORY_COLUMNS)
    writer.writerows(zip(*(getattr(history, name) for name in HISTORY_COLUMNS), strict=True))
    return text.getvalue()
