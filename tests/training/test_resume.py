"""A run that was interrupted goes on as if it had not been."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import pytest
from made import MADE
from made.interrupted import DATASET, RECIPE, Interrupt, assert_same_run, interrupted

from kerascnn.errors import DatasetError, RunError, TrainingInterrupted
from kerascnn.evaluation import evaluate
from kerascnn.run import Run
from kerascnn.run.find import list_runs
from kerascnn.training import resume, train


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(RECIPE, tmp_path_factory.mktemp("whole"), dataset=DATASET)


@pytest.mark.parametrize("at", [(1, 0), (2, 2), (3, "end"), (4, 3), (4, "end")])
def test_resumed_run_is_the_uninterrupted_one_bit_for_bit(whole, at):
    run = interrupted(*at)
    resume(run, dataset=DATASET)
    assert run.status == "trained"
    assert_same_run(run, whole)


def test_run_may_be_interrupted_again_and_again(whole):
    run = interrupted(1, "end")
    for epoch in (2, 3, 4):
        with pytest.raises(TrainingInterrupted):
            resume(run, dataset=DATASET, callbacks=(Interrupt(epoch, 1),))
        with pytest.raises(TrainingInterrupted):
            resume(run, dataset=DATASET, callbacks=(Interrupt(epoch, "end"),))
    resume(run, dataset=DATASET)
    assert_same_run(run, whole)
    assert len(run.read_environment()["resumed"]) == 6


@pytest.mark.parametrize(
    "values",
    [
        {"train.optimizer": "sgd", "train.momentum": 0.9, "train.learning_rate": 0.01},
        {"train.optimizer": "sgd", "train.learning_rate": 0.1, "model.dropout": 0.0},
    ],
    ids=["momentum", "plain"],
)
def test_state_of_every_optimizer_is_kept(values, tmp_path):
    straight = train(RECIPE.with_values(values), "whole", dataset=DATASET)
    run = interrupted(3, 1, values=values)
    resume(run, dataset=DATASET)
    assert_same_run(run, straight)


def test_stock_step_is_resumed_as_the_stock_step(whole):
    straight = train(RECIPE, "whole", dataset=DATASET, fast=False)
    with pytest.raises(TrainingInterrupted) as caught:
        train(RECIPE, "cut", dataset=DATASET, fast=False, callbacks=(Interrupt(2),))
    run = resume(caught.value.run, dataset=DATASET)
    assert run.read_environment()["resumed"][0]["fast_step"] is False
    assert_same_run(run, straight)


def test_finished_run_is_left_as_it_is(whole):
    before = {path: path.read_bytes() for path in whole.path.glob("*.keras")}
    history = (whole.path / "history.csv").read_text()
    resume(whole, dataset=DATASET, started=lambda run: pytest.fail("it trains"))
    assert {path: path.read_bytes() for path in whole.path.glob("*.keras")} == before
    assert (whole.path / "history.csv").read_text() == history


def test_finished_run_keeps_no_variables_of_the_optimizer(whole):
    assert set(whole.read_arrays()) == {"record"}


def test_time_of_all_parts_is_added_up(whole):
    run = interrupted(3)
    resume(run, dataset=DATASET)
    seconds = run.read_history()["seconds"]
    assert run.read_environment()["wall_seconds"] == pytest.approx(sum(seconds), abs=0.006)


def test_changed_recipe_is_refused_with_the_difference():
    run = interrupted(2)
    run.write_recipe(run.recipe.with_values({"train.learning_rate": 0.5, "train.epochs": 9}))
    with pytest.raises(RunError) as caught:
        resume(run, dataset=DATASET)
    assert "train.learning_rate was 0.001, is 0.5; train.epochs was 4, is 9." in str(
        caught.value
    ) or "train.epochs was 4, is 9; train.learning_rate was 0.001, is 0.5." in str(caught.value)


def test_another_data_set_is_refused():
    run = interrupted(2)
    images = DATASET.train_images.copy()
    images[0, 0, 0, 0] ^= 1
    other = dataclasses.replace(DATASET, train_images=images)
    with pytest.raises(DatasetError, match="is not the one that run"):
        resume(run, dataset=other)
    resume(run, dataset=DATASET)


def test_run_without_a_checkpoint_cannot_go_on():
    run = interrupted(2)
    (run.path / "checkpoint.npz").unlink()
    with pytest.raises(RunError, match="has no checkpoint to go on from"):
        resume(run, dataset=DATASET)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_checkpoint_is_said_to_be_damaged(damage):
    run = interrupted(3)
    path = run.path / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(
        content if damage == "flipped" else content[: len(content) // 2 * (damage == "truncated")]
    )
    with pytest.raises(RunError, match=r"checkpoint\.npz of run '.*' is damaged"):
        resume(run, dataset=DATASET)


@pytest.mark.parametrize("file", ["history.csv", "best.keras"])
def test_single_flipped_bit_is_noticed(file):
    run = interrupted(3)
    path = run.path / file
    content = bytearray(path.read_bytes())
    # A digit of the first loss, and a byte of the weights, make another file that still reads.
    content[content.index(b"1,") + 4 if file == "history.csv" else len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"{file} of run '.*' is damaged"):
        evaluate(run, dataset=DATASET)


def test_damaged_history_is_written_anew_by_resume(whole):
    run = interrupted(3)
    (run.path / "history.csv").write_text("nonsense")
    resume(run, dataset=DATASET)
    assert_same_run(run, whole)


def test_second_process_is_refused_while_the_first_trains():
    seen = []

    class Second(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            code = "import sys, kerascnn\nkerascnn.resume(kerascnn.Run(sys.argv[1]))"
            done = subprocess.run(
                [sys.executable, "-c", code, str(run_of[0].path)], capture_output=True, text=True
            )
            seen.append(done.stderr)

    run_of = []
    train(
        RECIPE.with_values({"train.epochs": 1}),
        dataset=DATASET,
        callbacks=(Second(),),
        started=run_of.append,
    )
    assert "is being trained by another process" in seen[0]


KILLER = MADE / "killer.py"


def kill_and_resume(kills, directory):
    """Trains in processes that are killed at random moments; gives what the killer reports."""
    done = subprocess.run(
        [sys.executable, KILLER, str(kills), str(directory)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_nothing_is_lost_when_a_process_is_killed_at_any_moment(tmp_path):
    torch = keras.config.backend() == "torch"
    report = kill_and_resume(30 if torch else 5, tmp_path)
    assert report["kills"] >= (30 if torch else 5)
    if torch:
        assert report["torn"] >= 1, "no kill hit the writing of a checkpoint"
    straight = Run(report["straight"])
    for path in report["runs"]:
        run = Run(path)
        assert run.read_history()["epoch"] == list(range(1, report["epochs"] + 1))
        assert_same_run(run, straight)
        assert [p.name for p in run.path.iterdir() if p.name.startswith(".")] == [".lock"]
    assert len(list_runs(tmp_path / "runs")) == len(report["runs"])
