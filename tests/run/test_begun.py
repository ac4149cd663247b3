"""Which run `run --resume` goes on with."""

import pytest
from made.runs import begin_run, make_run

from kerascnn.errors import RunError
from kerascnn.recipe import load_recipe
from kerascnn.records.run import Checkpoint, ConvertedFrom, Environment
from kerascnn.run.find import create_run, find_begun

WANTED = load_recipe("sgd-lr0.01")


def begin_other(values):
    recipe = WANTED.with_values(values)
    run = create_run(recipe, "runs")
    run.write_checkpoint(Checkpoint(recipe=recipe.to_toml()))
    return run


def test_without_a_run_there_is_none_to_resume():
    assert find_begun("runs", WANTED) is None


def test_damaged_recipe_of_a_neighbour_changes_nothing():
    begun = begin_run("runs")
    (begin_run("runs").path / "recipe.toml").write_text("= nonsense")
    assert find_begun("runs", WANTED).path == begun.path


def test_last_run_of_just_this_recipe_and_seed_is_resumed():
    make_run("runs")
    begin_run("runs")
    last = begin_run("runs")
    begin_run("runs", seed=1)
    begin_run("runs", recipe="adam-lr0.001")
    begin_other({"train.epochs": 3})
    assert find_begun("runs", WANTED).path == last.path


def test_half_done_run_with_other_settings_is_refused_with_what_differs():
    other = begin_other({"train.learning_rate": 0.5, "train.epochs": 3})
    with pytest.raises(RunError, match=f"Run '{other.name}' is half done") as refused:
        find_begun("runs", WANTED)
    assert "train.learning_rate was 0.5, is 0.01" in str(refused.value)
    assert "train.epochs was 3, is 25" in str(refused.value)
    assert f"`kerascnn resume {other.path}` goes on with it" in str(refused.value)


def test_finished_run_with_other_settings_is_no_reason_to_refuse():
    begin_other({"train.epochs": 3})
    make_run("runs", values={"train.epochs": 4})
    assert find_begun("runs", WANTED) is None


def test_runs_that_cannot_go_on_are_passed_over():
    create_run(WANTED, "runs")  # killed before its first checkpoint
    converted = create_run(WANTED, "runs")
    converted.write_environment(Environment(converted_from=ConvertedFrom(file="net.pt")))
    assert find_begun("runs", WANTED) is None
