"""Many runs, in real processes: none is repeated, any may be stopped, and one may fail alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
from made.runs import begin_run, make_run
from rich.console import Console

from kerascnn import list_runs, load_recipe
from kerascnn.cli.study_display import StudyDisplay
from kerascnn.errors import SelectionError
from kerascnn.signals import signals_held
from kerascnn.study.readings import DEFAULT, READINGS
from kerascnn.study.reproduce import Job, Reproduction, _about, _why, parse_seeds

on_torch = pytest.mark.skipif(keras.config.backend() != "torch", reason="what torch alone does")
FIRST = load_recipe("sgd-lr0.01")
# A run of short epochs on images drawn here, with a network that trains in seconds.
SHORT = (
    *("--dataset", "shapes", "--epochs", 3),
    *("--set", "model.filters=[8,16,32]", "--set", "model.units=64"),
)


def plan(recipes=(FIRST,), seeds=(0,), reading=DEFAULT):
    return Reproduction(list(recipes), list(seeds), reading, "runs")


def test_finished_runs_are_there_and_unfinished_ones_go_on():
    make_run("runs", seed=0)
    half = begin_run("runs", seed=1)
    jobs = plan(seeds=(0, 1, 2)).jobs
    assert [job.state for job in jobs] == ["there", "waiting", "waiting"]
    assert jobs[1].run.name == half.name
    assert jobs[2].run is None


def test_all_recipes_come_before_the_next_seed():
    recipes = [FIRST, load_recipe("adam-lr0.001")]
    names = [job.name for job in plan(recipes, (0, 1)).jobs]
    assert names == [
        "sgd-lr0.01, seed 0", "adam-lr0.001, seed 0", "sgd-lr0.01, seed 1", "adam-lr0.001, seed 1",
    ]  # fmt: skip


def test_reading_asks_for_runs_of_its_own():
    make_run("runs")
    job = plan(reading=READINGS["pool-after-1"]).jobs[0]
    assert job.state == "waiting"
    assert job.recipe.model.pool_after == (1,)


def test_what_trains_alike_is_one_job():
    alike = FIRST.with_values({"name": "other"})
    assert len(plan([FIRST, FIRST, alike]).jobs) == 1


def test_run_that_another_process_finished_meanwhile_is_not_repeated():
    work = plan()
    assert work.jobs[0].state == "waiting"
    make_run("runs")
    work.make(1, watch=lambda work: None)
    assert work.jobs[0].state == "there"
    assert len(list_runs()) == 1


def test_damaged_run_does_not_stand_in_the_way():
    damaged = make_run("runs")
    (damaged.path / "history.csv").write_text("nonsense")
    (job,) = plan().jobs
    assert (job.state, job.run) == ("waiting", None)


def test_process_that_was_killed_is_not_said_to_have_failed_by_its_title():
    assert _why(-9, ["sgd-lr0.01 on shapes, 1 epochs"]) == "its process was ended by signal 9."
    assert _why(1, ["Error: the disk is full", "bye"]) == "the disk is full"
    assert _why(1, []) == "it said nothing"


def test_process_that_cannot_be_started_fails_alone(monkeypatch):
    def refuse(*arguments, **settings):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    work = plan()
    monkeypatch.setattr(subprocess, "Popen", refuse)
    work.make(1, watch=lambda work: None)
    assert work.failed[0].message == "no process can be started: Resource temporarily unavailable."


def test_interrupt_is_held_back_until_it_is_known_what_runs():
    done = []

    def start():
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done


def test_time_left_is_that_of_recent_epochs_and_of_the_longest_run():
    make_run("runs", seed=0)  # 25 epochs of a second each
    work = plan([FIRST, load_recipe("adam-lr0.001")], (0, 1))
    assert work.seconds_left(1) == 50 + 25 + 50
    assert work.seconds_left(2) == 75  # 50 beside 25, and another 50 after that
    assert work.seconds_left(8) == 50


def test_time_left_is_not_known_before_the_first_epoch():
    assert plan().seconds_left(1) is None


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [0, 1, 2]), ("1", [0]), ("5,0,5", [0, 5]), ("7,", [7])]
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "", "x", "-1", "1001", "1.5", ","])
def test_other_seeds_are_refused(text):
    with pytest.raises(SelectionError, match="seeds"):
        parse_seeds(text)


def test_display_says_what_begins_fails_and_ends():
    work = plan(seeds=(0, 1, 2))
    display = StudyDisplay(Console(record=True, width=100), 1)
    for job, state in zip(work.jobs, ("running", "failed", "done"), strict=True):
        job.state, job.message = state, "the disk is full"
    display(work)
    display(work)
    assert display.console.export_text().splitlines() == [
        "sgd-lr0.01, seed 0: begins",
        "sgd-lr0.01, seed 1: failed: the disk is full",
        "sgd-lr0.01, seed 2: done",
    ]


def test_job_whose_run_is_damaged_has_no_epochs():
    run = make_run("runs")
    (run.path / "history.csv").write_text("nonsense")
    assert Job(FIRST, run=run).epoch_seconds == ()


@pytest.fixture
def command():
    return lambda *arguments: [sys.executable, "-m", "kerascnn", *map(str, arguments)]


@pytest.mark.slow
def test_study_is_run_once_and_shown_again_at_no_cost(invoke):
    arguments = ("reproduce", "sgd-lr0.01", "--seeds", 2, "--jobs", 2, *SHORT)
    status, output, remarks = invoke(*arguments)
    assert status == 0, remarks
    assert "sgd-lr0.01, seed 1: done" in remarks
    assert "±" in output
    page = Path("runs", "report.html").read_text("utf-8")
    assert "seed 1" in page
    before = [run.name for run in list_runs()]
    status, output, remarks = invoke(*arguments, "--json")
    assert status == 0
    assert [run.name for run in list_runs()] == before
    assert "2 runs: 2 there, 0 to go on with, 0 to begin" in remarks
    (row,) = json.loads(output)["results"]
    assert row["seeds"] == [0, 1]
    assert json.loads(output)["audit"] is None  # these are not the study's images


def test_row_of_a_reading_is_named_after_it(invoke):
    arguments = ("sgd-lr0.01", "--reading", "rate-0.02", "--seeds", 1, *SHORT, "--epochs", 1)
    status, output, remarks = invoke("reproduce", *arguments, "--json")
    assert status == 0, remarks
    (row,) = json.loads(output)["results"]
    assert row["recipe"] == "sgd-lr0.01-rate-0.02"


@pytest.mark.slow
def test_run_that_fails_does_not_stop_the_others(invoke):
    # At this rate SGD has a loss that is not finite.
    status, _, remarks = invoke(
        "reproduce", "sgd-lr0.01", "adam-lr0.1", "--seeds", 1, *SHORT,
        "--set", "train.learning_rate=1000",
    )  # fmt: skip
    assert status == 1
    assert "sgd-lr0.01, seed 0: failed: The loss became" in remarks
    assert "adam-lr0.1, seed 0: done" in remarks
    assert "Traceback" not in remarks


def test_seeds_that_train_together_are_one_process():
    recipes = [FIRST, load_recipe("adam-lr0.001")]
    work = Reproduction(recipes, [0, 1, 2], DEFAULT, "runs", together=True)
    assert [[job.name for job in group] for group in work._groups("waiting")] == [
        [f"{recipe.name}, seed {seed}" for seed in (0, 1, 2)] for recipe in recipes
    ]
    make_run("runs", seed=0)  # 25 epochs of a second each
    work = Reproduction(recipes, [0, 1], DEFAULT, "runs", together=True)
    assert work.seconds_left(1) == 25 + 50
    assert work.seconds_left(2) == 50


def test_what_is_said_of_one_of_several_is_its_message():
    said = ["Error: sgd-lr0.01, seed 1: The loss became nan.", "sgd-lr0.01 on shapes"]
    jobs = [Job(FIRST.with_values({"train.seed": seed})) for seed in (0, 1)]
    assert [_why(1, _about(job, said)) for job in jobs] == [
        "sgd-lr0.01, seed 1: The loss became nan.", "The loss became nan.",
    ]  # fmt: skip


@on_torch
@pytest.mark.slow
def test_seeds_train_together_and_are_found_again(invoke):
    arguments = ("reproduce", "sgd-lr0.01", "--together", "--seeds", 3, *SHORT)
    status, output, remarks = invoke(*arguments)
    assert status == 0, remarks
    assert "sgd-lr0.01, seed 2: done" in remarks
    assert "±" in output
    assert [run.read_environment()["together"] for run in list_runs()] == [3, 3, 3]
    status, _, remarks = invoke(*arguments)
    assert status == 0
    assert "3 runs: 3 there, 0 to go on with, 0 to begin" in remarks


@on_torch
@pytest.mark.slow
def test_of_those_that_train_together_each_fails_by_itself(invoke):
    arguments = ("sgd-lr0.01", "--together", "--seeds", 2, *SHORT)
    status, _, remarks = invoke("reproduce", *arguments, "--set", "train.learning_rate=1000")
    assert status == 1
    for seed in (0, 1):
        assert f"sgd-lr0.01, seed {seed}: failed: The loss became" in remarks
    assert "Traceback" not in remarks


@on_torch
@pytest.mark.slow
def test_seeds_that_train_together_go_on_after_sigterm(command):
    arguments = command("reproduce", "sgd-lr0.01", "--together", "--seeds", 2, *SHORT)
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(list_runs()) == 2 and all(len(r.read_history()) for r in list_runs()))
        process.send_signal(signal.SIGTERM)
        _, remarks = process.communicate(timeout=60)
    assert process.returncode == 143, remarks
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0 there, 2 to go on with, 0 to begin" in done.stderr
    assert len(list_runs()) == 2
    for run in list_runs():
        assert run.status == "finished"
        assert len(run.read_environment()["resumed"]) == 1


@pytest.mark.skipif(keras.config.backend() == "torch", reason="torch trains together")
def test_other_backends_do_not_train_together(invoke):
    status, _, remarks = invoke("reproduce", "sgd-lr0.01", "--together", *SHORT)
    assert status == 1
    assert "--together is for torch" in remarks


def test_help_names_the_readings_that_have_runs(invoke):
    _, shown, _ = invoke("reproduce", "--help")
    with_runs = {name for name, reading in READINGS.items() if reading.has_own_runs}
    assert {name for name in READINGS if name in shown} == with_runs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sgd-lr0.1",), "Did you mean"),
        (("--reading", "pool-after-2"), "Did you mean"),
        (("--seeds", "many"), "not a number of seeds"),
        (("sgd-lr0.01", "--set", "train.epoch=3"), "train.epochs"),
        (("adam-lr0.001", "--reading", "momentum-0.9"), "says nothing about adam-lr0.001"),
        (("--reading", "last-epoch"), "has no runs of its own"),
        (
            ("--epochs", 2, "--set", "train.epochs=3"),
            "Give --epochs or --set train.epochs, not both.",
        ),
        (("--set", "train.seed=9"), "--seeds chooses seeds"),
        (
            ("--reading", "rate-0.02", "--set", "train.learning_rate=0.1"),
            "Drop --set, or choose another --reading",
        ),
        (("--set", "name=x"), "has no place here"),
        (("--dataset", "shapes", "--runs-dir", "a-file"), "No run can be made in 'a-file'"),
        (("--data-dir", "nowhere"), "nowhere"),
        (
            ("sgd-lr0.01", "--together", "--set", "train.precision=mixed_bfloat16"),
            "--together is for float32, but sgd-lr0.01 is mixed_bfloat16.",
        ),
    ],
)
def test_wrong_use_is_one_line(invoke, arguments, said):
    Path("a-file").write_text("")
    status, _, remarks = invoke("reproduce", *arguments)
    assert status == 1
    assert said in remarks
    assert len(remarks.strip().splitlines()) == 1


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def children(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_stopped_at_any_point_it_leaves_nothing_running_and_goes_on(command, number, status):
    wanted = command("reproduce", "sgd-lr0.01", "--seeds", 1, *SHORT, "--epochs", 8)
    process = subprocess.Popen(wanted, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list_runs() and list_runs()[0].read_history().epoch)
    (child,) = children(process.pid)
    process.send_signal(number)
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in remarks
    wait_for(lambda: not is_alive(child), 30)
    (run,) = list_runs()
    assert run.status.endswith(" of 8 epochs")
    done = subprocess.run(wanted, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 to go on with" in done.stderr
    assert [each.name for each in list_runs()] == [run.name]
    assert run.status == "finished"
