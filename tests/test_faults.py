"""What goes wrong around a run: a clear error, nothing good overwritten, and the run goes on."""

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import keras
import numpy as np
import pytest
from made import MADE
from made.interrupted import DATASET, RECIPE, assert_same_run, interrupted

import kerascnn.run
from kerascnn.errors import RunError, TrainingError
from kerascnn.evaluation import evaluate
from kerascnn.run.find import create_run, list_runs
from kerascnn.training import resume, train

COMMAND = [sys.executable, "-m", "kerascnn"]
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount():
    if not shutil.which("unshare"):
        return False
    probe = [*NAMESPACE, "sh", "-c", "mount -t tmpfs tmpfs /tmp"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
def test_full_or_read_only_disk_loses_nothing(tmp_path):
    done = subprocess.run(
        [*NAMESPACE, sys.executable, MADE / "full_disk.py", tmp_path],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["same"]
    assert {"best.next.keras", "checkpoint.npz", "history.csv"} <= set(report["failed"])
    assert "predictions.npz" in report["failed"]
    assert any(name.endswith(".png") for name in report["failed"])
    assert report["read_only"]


class AtEpoch(keras.callbacks.Callback):
    """Does something as an epoch begins, counted from 1."""

    def __init__(self, epoch, work):
        super().__init__()
        self.epoch, self.work = epoch, work

    def on_epoch_begin(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            self.work(self)


def test_directory_that_vanishes_is_an_error_and_does_not_come_back():
    made = []
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        train(
            RECIPE,
            dataset=DATASET,
            started=made.append,
            callbacks=(AtEpoch(2, lambda _: shutil.rmtree(made[0].path)),),
        )
    assert not made[0].path.exists()


def test_run_goes_on_once_the_cause_of_a_loss_that_is_not_finite_is_gone():
    def explode(callback):
        callback.model.optimizer.learning_rate = math.inf

    with pytest.raises(TrainingError, match="in epoch 3"):
        train(RECIPE, "nan", dataset=DATASET, callbacks=(AtEpoch(3, explode),))
    (run,) = list_runs("nan")
    assert run.status == "2 of 4 epochs"
    resume(run, dataset=DATASET)
    assert_same_run(run, train(RECIPE, "whole", dataset=DATASET))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    run = train(RECIPE, tmp_path_factory.mktemp("runs"), dataset=DATASET)
    evaluate(run, dataset=DATASET)
    run.write_activations("test/conv1", {"mean": np.arange(300, dtype="float32").reshape(30, 10)})
    return run


@pytest.mark.parametrize(
    "name", ["predictions.npz", "activations/test-conv1.npz", "checkpoint.npz"]
)
def test_no_flipped_bit_or_missing_end_of_an_archive_gets_through(evaluated, name):
    def read():
        if name == "predictions.npz":
            return evaluated.read_predictions()
        if name.startswith("activations"):
            return evaluated.read_activations("test/conv1")
        return {"record": evaluated.read_checkpoint().model_dump_json()}

    path = evaluated.path / name
    content, good, chance = path.read_bytes(), read(), random.Random(0)
    refused = 0
    try:
        for _ in range(150):
            damaged = bytearray(content)
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            if chance.random() < 0.2:
                damaged = damaged[: chance.randrange(len(content))]
            path.write_bytes(damaged)
            try:
                found = read()
            except RunError as error:
                message = str(error)
            else:
                message = ""
            if message:
                assert re.fullmatch(rf".*{re.escape(Path(name).name)}.*", message)
                refused += 1
                continue
            # A bit of a date, for instance, says nothing.
            assert found.keys() == good.keys()
            for key, value in good.items():
                np.testing.assert_array_equal(found[key], value)
    finally:
        path.write_bytes(content)
    assert refused > 100


def test_no_flipped_bit_of_the_best_model_gets_through(evaluated):
    path, chance = evaluated.best_path, random.Random(0)
    content = path.read_bytes()
    try:
        for _ in range(50):
            damaged = bytearray(content)
            damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(RunError, match=r"best\.keras of run '.*' is damaged"):
                evaluated.verified_best()
    finally:
        path.write_bytes(content)


def test_clock_set_back_overwrites_no_run_and_breaks_no_history(monkeypatch):
    class Clock(datetime):
        times = iter([datetime(2030, 1, 2), datetime(2030, 1, 1), datetime(2030, 1, 1)])

        @classmethod
        def now(cls, tz=None):
            return next(cls.times)

    with monkeypatch.context() as patch:
        patch.setattr(kerascnn.run.find, "datetime", Clock)
        names = {create_run(RECIPE).name for _ in range(3)}
    assert len(names) == len(list_runs()) == 3
    times = iter(range(10**9, 0, -1000))
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    run = train(RECIPE.with_values({"train.epochs": 1}), "other", dataset=DATASET)
    assert run.read_history()["seconds"][0] >= 0


def test_interrupted_evaluation_can_be_asked_for_again(monkeypatch):
    run = train(RECIPE.with_values({"train.epochs": 1}), dataset=DATASET)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kerascnn.run.Run, "write_metrics", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, dataset=DATASET)
    assert run.status == "trained"
    evaluate(run, dataset=DATASET)
    assert run.status == "finished"


def call(*arguments, shell=None, **environment):
    command = shell or [*COMMAND, *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "KERAS_BACKEND", "OMP_NUM_THREADS")}
    kept |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        command, shell=bool(shell), capture_output=True, text=True, env=kept | environment
    )


@pytest.mark.parametrize(
    "command",
    [
        ["run", "adam-lr0.001", "--dataset", "shapes"],
        ["resume"],
        ["evaluate"],
        ["top-activations", "--filter", "1"],
        ["augmentations", "--dataset", "shapes"],
        ["bench", "--steps", "2"],
    ],
    ids=lambda command: command[0],
)
def test_misspelt_backend_is_an_error_of_one_line(command):
    interrupted(1, "end", runs_dir="runs")
    done = call(*command, KERAS_BACKEND="troch")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "KERAS_BACKEND is 'troch'; expected one of torch, jax, tensorflow" in done.stderr


@pytest.mark.parametrize("home", ["", "/nonexistent/home"])
def test_commands_work_without_a_home(home, evaluated):
    environment = {"HOME": home} if home else {}
    done = call("runs", "--runs-dir", str(evaluated.path.parent), "--json", **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["status"] == "finished"
    done = call("augmentations", "--dataset", "shapes", "--output", "drawn.png", **environment)
    assert done.returncode == 0, done.stderr
    assert Path("drawn.png").stat().st_size > 10_000


def test_output_may_be_cut_short_by_head(evaluated):
    program = f"'{sys.executable}' -m kerascnn"
    runs_dir = f"--runs-dir '{evaluated.path.parent}'"
    for command in ("recipes", f"runs {runs_dir} --json", "--help"):
        done = call(shell=f"{program} {command} | head -1")
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr
