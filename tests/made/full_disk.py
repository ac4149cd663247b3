"""Training on a disk that is full at any moment of an epoch's end, or read-only.

    unshare --user --map-root-user --mount python full_disk.py DIRECTORY

Mounts a small file system of its own. The last line of the output is JSON: `failed`, the files that
could not be written, `read_only`, the one on a read-only disk, and `same`, whether every run that
then went on is the one that was not disturbed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras

from kerascnn.errors import RunError
from kerascnn.evaluation import evaluate, load_best_model
from kerascnn.evaluation.figures import write_figures
from kerascnn.run import Run
from kerascnn.training import resume, train
from made.interrupted import DATASET, RECIPE, interrupted, sha256_of_weights

PAGE = 4096
NUMBERS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")


class AtEpoch(keras.callbacks.Callback):
    """Does something as the third epoch begins."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            self.work()


def fill(disk, free):
    """Leave so many bytes."""
    stat = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        file.write(b"x" * max(0, stat.f_bavail * stat.f_frsize - free))


def numbers(run):
    history = run.read_history()
    return [history[name] for name in NUMBERS]


def fails(work):
    """The name of the file that could not be written, if one could not."""
    message = ""
    try:
        work()
    except RunError as error:
        message = str(error)
    expected = (
        r"'(.*/)?([\w.]+)' cannot be written: (No space left on device|Read-only file system)\."
    )
    found = re.fullmatch(expected, message)
    assert found or not message, message
    return found and found[2]


def measure(run):
    """Evaluate and draw, as the command does."""
    evaluate(run, dataset=DATASET)
    write_figures(run, dataset=DATASET)


def disturb(run, whole, work, undo):
    """Train on under a disturbance, then without; gives the file that failed, and the outcome."""
    before = run.read_history().epoch
    failed = fails(lambda: resume(run, dataset=DATASET, callbacks=(AtEpoch(work),)))
    after = run.read_history().epoch
    assert after[: len(before)] == before, "rows were lost"
    load_best_model(run)
    undo()
    resume(run, dataset=DATASET)
    same = numbers(run) == numbers(whole) and sha256_of_weights(run) == sha256_of_weights(whole)
    return failed, same


def main():
    disk = Path(sys.argv[1]) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=True)
    whole = train(RECIPE, Path(sys.argv[1]) / "whole", dataset=DATASET)
    begun = interrupted(2, "end", runs_dir=Path(sys.argv[1]) / "begun")
    sizes = {path.name: path.stat().st_size for path in begun.path.iterdir() if path.is_file()}
    pages = {name: -(-size // PAGE) + 3 for name, size in sizes.items()}
    best, checkpoint = pages["best.keras"], pages["checkpoint.npz"]
    frees = [0, 2, best // 2, best, best + checkpoint // 2]
    frees += range(best + checkpoint - 8, best + checkpoint + 8)

    found = []
    for free in frees:
        run = Run(shutil.copytree(begun.path, disk / "run"))
        found.append(
            disturb(
                run,
                whole,
                lambda free=free: fill(disk, free * PAGE),
                lambda: (disk / "filler").unlink(missing_ok=True),
            )
        )
        shutil.rmtree(run.path)

    # The checkpoint gives the place of the one before it back, so history.csv always fits, unless
    # somebody else is quicker.
    run, write = Run(shutil.copytree(begun.path, disk / "run")), Run.write_history

    def fill_and_write(run, rows):
        fill(disk, 0)
        write(run, rows)

    def restore():
        Run.write_history = write
        (disk / "filler").unlink()

    found.append(
        disturb(run, whole, lambda: setattr(Run, "write_history", fill_and_write), restore)
    )
    shutil.rmtree(run.path)

    run = Run(shutil.copytree(begun.path, disk / "run"))
    # Not while it trains: the system does not let a disk be read-only while a file is written.
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    read_only = fails(lambda: resume(run, dataset=DATASET))
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    found.append(disturb(run, whole, lambda: None, lambda: None))
    for free in (0, 4, 40):
        fill(disk, free * PAGE)
        found.append((fails(lambda: measure(run)), True))
        (disk / "filler").unlink()
    measure(run)
    failed = sorted({name for name, _ in found if name})
    same = all(same for _, same in found)
    print(json.dumps({"failed": failed, "same": same, "read_only": read_only}))


main()
