"""Which run is meant, finished, the same as another, damaged, or not what its recipe says."""

from made.records import make_history
from made.runs import begin_run, make_run

from kerascnn.recipe import load_recipe
from kerascnn.records.run import Checkpoint, ConvertedFrom, Environment
from kerascnn.run.find import find_changed, find_damaged, find_same, list_runs

FIRST = load_recipe("sgd-lr0.01")


def test_converted_weights_are_not_the_same_as_a_run():
    converted = make_run("runs")
    converted.write_environment(Environment(converted_from=ConvertedFrom(file="net.pt")))
    (converted.path / "history.csv").unlink()
    assert find_same("runs", FIRST) is None


def test_damaged_runs_are_named():
    make_run("runs", seed=0)
    (make_run("runs", seed=1).path / "metrics.json").unlink()
    assert find_damaged(list_runs("runs")) == []
    history, metrics, recipe = (make_run("runs", seed=seed) for seed in (2, 3, 4))
    (history.path / "history.csv").write_text("nonsense")
    metrics.metrics_path.write_text('{"broken')
    (recipe.path / "recipe.toml").write_text("= nonsense")
    problems = find_damaged(list_runs("runs"))
    assert len(problems) == 3
    for run in (history, metrics, recipe):
        assert sum(run.name in problem for problem in problems) == 1


def test_finished_run_goes_before_a_later_unfinished_one():
    finished = make_run("runs")
    unfinished = begin_run("runs")
    assert find_same("runs", FIRST).name == finished.name
    (finished.path / "metrics.json").unlink()
    assert find_same("runs", FIRST).name == unfinished.name


def test_run_that_cannot_go_on_is_passed_over():
    no_checkpoint = make_run("runs")
    (no_checkpoint.path / "metrics.json").unlink()
    damaged = begin_run("runs")
    (damaged.path / "history.csv").write_text("nonsense")
    assert find_same("runs", FIRST) is None


def test_trained_run_without_its_best_model_is_not_gone_on_with():
    run = begin_run("runs")
    history = make_history([1.0] * 25)
    run.write_checkpoint(Checkpoint(history=history.rows, recipe=run.recipe.to_toml()))
    assert run.status == "trained"
    assert find_same("runs", FIRST) is None
    run.best_path.touch()
    assert find_same("runs", FIRST).name == run.name


def test_finished_runs_that_are_not_their_recipe_are_named():
    make_run("runs")
    changed = make_run("runs", values={"train.learning_rate": 0.5})
    make_run("runs", values={"data.dataset": "shapes"})
    make_run("runs", values={"name": "mine", "train.learning_rate": 0.5})
    (problem,) = find_changed(list_runs("runs"), set())
    assert changed.name in problem
    assert "recipe sgd-lr0.01 says: train.learning_rate was 0.01, is 0.5." in problem
    assert find_changed(list_runs("runs"), {changed.path}) == []
