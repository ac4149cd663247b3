"""Finished runs are found by how they trained, and summed up over seeds."""

import json

import numpy as np
import pytest
from made.runs import collapse, make_run

from kerascnn import load_recipe
from kerascnn.errors import RecipeError, SelectionError
from kerascnn.recipe import list_recipes
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    class_accuracy,
)
from kerascnn.records.run import ConvertedFrom, Environment
from kerascnn.run.find import list_runs
from kerascnn.study.readings import DEFAULT, READINGS, choose_recipes, find_reading, recipes_of
from kerascnn.study.results import load_results, select_results, spread_of, summarize

FIRST = load_recipe("sgd-lr0.01")


def found(runs_dir, reading="every-block", recipes=None):
    results = load_results(list_runs(runs_dir))
    return select_results(results, READINGS[reading], recipes or map(load_recipe, list_recipes()))


def test_every_reading_fits_the_recipes_that_it_concerns():
    for reading in READINGS.values():
        for name in recipes_of(reading):
            resolved = reading.resolve(load_recipe(name), seed=3)
            assert resolved.train.seed == 3
            assert (resolved.name == name) == (not reading.values)


def test_recipes_are_in_the_order_of_the_study():
    assert recipes_of(DEFAULT)[:5] == [
        "sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented", "adam-lr0.1", "adam-lr0.001",
    ]  # fmt: skip
    assert set(recipes_of(DEFAULT)) == set(list_recipes())


def test_unknown_reading_names_the_nearest():
    with pytest.raises(SelectionError, match="Did you mean 'pool-after-1'"):
        find_reading("pool-after1")


def test_reading_of_another_epoch_has_no_runs_to_make():
    with pytest.raises(SelectionError, match="has no runs of its own"):
        find_reading("last-epoch")


def test_value_that_the_reading_sets_is_refused():
    with pytest.raises(SelectionError, match=r"sets train\.momentum"):
        choose_recipes([], READINGS["momentum-0.9"], {"train.momentum": 0.5})


def test_reading_that_does_not_fit_a_recipe_is_an_error():
    with pytest.raises(RecipeError, match="momentum"):
        READINGS["momentum-0.9"].resolve(load_recipe("adam-lr0.001"))


def test_run_is_found_by_how_it_trained_not_by_its_name():
    make_run("runs", values={"name": "mine"})
    make_run("runs", values={"train.momentum": 0.9})
    make_run("runs", values={"train.learning_rate": 0.02})
    assert [len(runs) for runs in found("runs").values()] == [1]
    assert found("runs")["sgd-lr0.01"][0].recipe.name == "mine"
    assert list(found("runs", "momentum-0.9")) == ["sgd-lr0.01"]
    assert found("runs", "rate-0.02")["sgd-lr0.01"][0].recipe.train.learning_rate == 0.02


def test_of_two_runs_of_a_seed_the_later_counts_and_seeds_are_in_order():
    make_run("runs", seed=5, accuracies={"cat": 0.1})
    make_run("runs", seed=2)
    make_run("runs", seed=5, accuracies={"cat": 0.2})
    runs = found("runs")["sgd-lr0.01"]
    assert [run.seed for run in runs] == [2, 5]
    assert runs[1].class_accuracies["cat"] == 0.2


def test_unfinished_damaged_and_converted_runs_do_not_count():
    unfinished = make_run("runs", seed=1)
    (unfinished.path / "metrics.json").unlink()
    damaged = make_run("runs", seed=2)
    (damaged.path / "history.csv").write_text("nonsense")
    converted = make_run("runs", seed=3)
    converted.write_environment(Environment(converted_from=ConvertedFrom(file="net.pt")))
    (converted.path / "history.csv").unlink()
    assert found("runs") == {}


@pytest.mark.parametrize("key", ["best_epoch", "test.confusion", "test.per_class.0.count"])
def test_run_of_incomplete_metrics_is_not_finished(key):
    run = make_run("runs")
    measured = json.loads(run.metrics_path.read_text())
    *path, last = key.split(".")
    place = measured
    for step in path:
        place = place[int(step) if step.isdecimal() else step]
    del place[last]
    run.metrics_path.write_text(json.dumps(measured))
    assert found("runs") == {}


def test_summary_gives_mean_deviation_and_range():
    for seed, best in enumerate((0.6, 0.7, 0.65)):
        make_run("runs", seed=seed, val_loss=[1.0] * 10 + [best] + [1.0] * 14)
    row = summarize(found("runs"))[0]
    assert (row.recipe, row.seeds) == ("sgd-lr0.01", (0, 1, 2))
    loss, epoch = row.of_run[:2]
    assert (loss.quantity, loss.reported) == (BEST_VAL_LOSS, 0.678)
    assert loss.measured.mean == pytest.approx(0.65)
    assert loss.measured.sd == pytest.approx(0.05)
    assert (loss.measured.low, loss.measured.high, loss.measured.num_seeds) == (0.6, 0.7, 3)
    assert (epoch.quantity, epoch.measured.mean) == (BEST_EPOCH, 11)
    classes = [figure.quantity.class_name for figure in row.of_classes]
    assert classes == ["bird", "cat", "dog", "frog", "ship", "truck"]


def test_one_seed_has_no_deviation():
    make_run("runs")
    assert summarize(found("runs"))[0].of_run[0].measured.sd is None


def test_other_images_than_cifar10_have_nothing_reported():
    make_run("runs", values={"data.dataset": "shapes"})
    recipes = [FIRST.with_values({"data.dataset": "shapes"})]
    (row,) = summarize(found("runs", recipes=recipes))
    assert [figure.reported for figure in row.figures] == [None] * 4


def test_spread_is_pooled_over_recipes_without_those_that_collapsed():
    for seed, best in enumerate((0.6, 0.7)):
        make_run("runs", seed=seed, val_loss=[best] * 25)
        make_run("runs", "adam-lr0.001", seed=seed, val_loss=[best + 0.3] * 50)
        collapse(make_run("runs", "adam-lr0.1", seed=seed, val_loss=[2.3 + seed] * 50))
    spread = spread_of(found("runs"), BEST_VAL_LOSS)
    assert spread.df == 2
    assert spread.sd == pytest.approx(np.std([0.6, 0.7], ddof=1))


def test_spread_of_classes_is_pooled_over_all_ten():
    make_run("runs", seed=0)
    make_run("runs", seed=1, accuracies={"cat": 0.6})
    spread = spread_of(found("runs"), class_accuracy("dog"))
    assert spread.df == 10
    # As multiples of sqrt(p (1 - p)): a weak class varies more than a strong one.
    assert spread.sd == pytest.approx(np.sqrt(0.2**2 / 2 / 10 / (0.7 * 0.3)))


def test_without_two_seeds_there_is_no_spread():
    make_run("runs")
    assert spread_of(found("runs"), ACCURACY) is None


def test_another_epoch_is_read_off_the_history():
    make_run("runs", val_loss=list(np.linspace(1.0, 0.4, 25)), loss=list(np.linspace(2, 1, 25)))
    sixth, last = (found("runs", name)["sgd-lr0.01"][0] for name in ("epoch-6", "last-epoch"))
    assert sixth.value(BEST_VAL_LOSS) == pytest.approx(np.linspace(1.0, 0.4, 25)[5])
    assert sixth.value(TRAIN_LOSS) == pytest.approx(np.linspace(2, 1, 25)[5])
    assert last.value(BEST_VAL_LOSS) == pytest.approx(0.4)
    assert last.value(ACCURACY) == 0.7  # of the validation images
    assert last.value(class_accuracy("cat")) is None
    assert last.value(BEST_EPOCH) is None


def test_training_loss_of_the_best_epoch_is_read_off_the_history():
    val_loss = [1.0] * 9 + [0.5] + [1.0] * 15
    make_run("runs", val_loss=val_loss, loss=list(np.linspace(2, 1, 25)))
    result = found("runs", "train-at-best")["sgd-lr0.01"][0]
    assert result.value(TRAIN_LOSS) == pytest.approx(np.linspace(2, 1, 25)[9])
    assert result.value(BEST_VAL_LOSS) is None


def test_epoch_beyond_the_end_is_not_known():
    make_run("runs", values={"train.epochs": 3})
    recipes = [FIRST.with_values({"train.epochs": 3})]
    result = found("runs", "epoch-6", recipes)["sgd-lr0.01"][0]
    assert result.value(BEST_VAL_LOSS) is None
