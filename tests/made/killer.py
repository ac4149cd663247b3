"""Train runs in processes that are killed at random moments, until so many kills are done.

    python killer.py KILLS DIRECTORY

Each process is forked from this one, which has imported everything and computed nothing. The last
line of the output is JSON: `kills`, `torn` (kills that left a half-written file), `epochs`, `runs`
and `straight`, a run that nobody killed.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import keras  # noqa: F401, imported once for all children

from kerascnn.run.find import list_runs
from kerascnn.training import resume, train
from made.interrupted import DATASET, RECIPE

EPOCHS = 12


def in_a_child(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def main():
    kills, directory = int(sys.argv[1]), Path(sys.argv[2])
    recipe = RECIPE.with_values({"train.epochs": EPOCHS})
    chance = random.Random(int(time.time()))
    runs_dir, done, torn = directory / "runs", 0, 0
    runs_dir.mkdir()

    def begin():
        train(recipe, runs_dir, dataset=DATASET)

    def go_on():
        resume(list_runs(runs_dir)[-1], dataset=DATASET)

    straight = directory / "straight"
    start = time.monotonic()
    _, status = os.waitpid(in_a_child(lambda: train(recipe, straight, dataset=DATASET)), 0)
    assert status == 0
    length = time.monotonic() - start

    finished = True
    while done < kills or not finished:
        pid = in_a_child(begin if finished else go_on)
        # Some near the start, most anywhere, some after the end.
        time.sleep(chance.random() * length * chance.choice([0.5, 1.0]) if done < kills else 0)
        if done < kills:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        assert killed or status == 0, "a process could not go on"
        done += killed
        known = list_runs(runs_dir)
        if killed and known:
            torn += any(known[-1].path.glob(".writing-*/*"))
        finished = not known or known[-1].status == "trained"
        if killed and finished and known and (known[-1].path / "checkpoint.npz").exists():
            finished = set(known[-1].read_arrays()) == {"record"}
    print(
        json.dumps(
            {
                "kills": done,
                "torn": torn,
                "epochs": EPOCHS,
                "runs": [str(run.path) for run in list_runs(runs_dir)],
                "straight": str(list_runs(straight)[0].path),
            }
        )
    )


main()
