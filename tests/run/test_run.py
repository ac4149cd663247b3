"""Run directories: their names, how they are found, and what is left when something goes wrong."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from made.records import make_evaluation, make_history
from matplotlib.figure import Figure

from kerascnn.errors import RunError
from kerascnn.recipe import load_recipe
from kerascnn.records.run import History
from kerascnn.run import Run
from kerascnn.run.contents import HISTORY_COLUMNS
from kerascnn.run.find import create_run, find_run, list_runs

RECIPE = load_recipe("sgd-lr0.01").with_values({"train.epochs": 3, "train.seed": 7})
MEASURED = make_evaluation(accuracy=0.75)


@pytest.fixture
def run():
    return create_run(RECIPE)


def make_run(name, runs_dir="runs"):
    run = Run(Path(runs_dir) / name)
    run.path.mkdir(parents=True)
    run.write_recipe(RECIPE)
    return run


def names(runs):
    return [run.name for run in runs]


def files(run):
    return sorted(path.name for path in run.path.iterdir())


def test_name_tells_recipe_seed_and_time(run):
    stem = "sgd-lr0.01-seed7-"
    assert run.name.startswith(stem)
    made = datetime.strptime(run.name.removeprefix(stem), "%Y%m%d-%H%M%S")
    assert abs((datetime.now() - made).total_seconds()) < 60
    assert run.path.parent == Path("runs")


def test_runs_of_one_second_get_different_names():
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: create_run(RECIPE), range(24)))
    assert len(set(names(made))) == 24
    assert all(run.recipe == RECIPE for run in made)


def test_recipe_of_a_run_begins_with_the_command_that_runs_it_again(run):
    text = (run.path / "recipe.toml").read_text("utf-8")
    assert text.startswith(f"# kerascnn run {run.name}/recipe.toml\n")
    assert run.recipe == RECIPE


def test_runs_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"^No run can be made in 'runs': File exists\.$"):
        create_run(RECIPE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_that_cannot_be_written_is_refused(run):
    run.path.parent.chmod(0o500)
    with pytest.raises(RunError, match=r"^No run can be made in 'runs': Permission denied\.$"):
        create_run(RECIPE)
    run.path.chmod(0o500)
    with pytest.raises(RunError, match=r"metrics.json' cannot be written: Permission denied\.$"):
        run.write_metrics(MEASURED)
    run.path.parent.chmod(0o700)
    run.path.chmod(0o700)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_save_that_fails_leaves_the_old_file_and_nothing_else(run, failure):
    run.write_best(lambda path: path.write_text("first"))

    def save(path):
        path.write_text("half of the sec")
        raise failure

    with pytest.raises(failure):
        run.write_best(save)
    assert run.best_path.read_text() == "first"
    assert files(run) == ["best.keras", "recipe.toml"]


def test_who_reads_while_a_file_is_replaced_reads_all_of_the_old_one(run):
    run.write_best(lambda path: path.write_text("first"))
    with run.best_path.open() as reader:
        run.write_best(lambda path: path.write_text("2nd"))
        assert reader.read() == "first"
    assert run.best_path.read_text() == "2nd"


def test_save_onto_a_full_disk_is_a_run_error(run):
    def save(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"best.keras' cannot be written: No space left on device"):
        run.write_best(save)
    assert files(run) == ["recipe.toml"]


def test_model_is_saved_under_a_name_that_keras_accepts(run):
    seen = []
    run.write_best(lambda path: (seen.append(path.suffix), path.write_text("model")))
    assert seen == [".keras"]


def test_numbers_that_are_not_finite_are_no_metrics():
    with pytest.raises(ValueError, match="finite"):
        make_evaluation(best_val_loss=float("nan"))


def test_history_is_empty_before_the_first_epoch(run):
    assert run.read_history() == History()


def test_history_grows_by_a_row_an_epoch(run):
    run.write_history(make_history([0.1 + 0.2]))
    run.write_history(make_history([0.1 + 0.2, 1e-7]))
    history = run.read_history()
    assert history.epoch == (1, 2)
    assert all(isinstance(number, int) for number in history["epoch"])
    assert history["val_loss"] == [0.1 + 0.2, 1e-7]


def test_predictions_read_back_as_written(run):
    arrays = {
        "probabilities": np.array([[0.25, 0.75]], "float32"),
        "predictions": np.array([1], "int32"),
        "labels": np.array([0], "int32"),
    }
    run.write_predictions(**arrays)
    read = run.read_predictions()
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def test_figure_is_stored_by_its_name(run):
    assert run.write_figure("history", Figure()) == run.figures_path / "history.png"
    assert (run.path / "figures" / "history.png").read_bytes().startswith(b"\x89PNG")
    assert files(run) == ["figures", "recipe.toml"]


@pytest.mark.parametrize("read", [Run.read_metrics, Run.read_predictions])
def test_run_that_was_not_evaluated_names_the_command(run, read):
    with pytest.raises(RunError, match=f"not evaluated yet: `kerascnn evaluate {run.path}`"):
        read(run)


HEADER = ",".join(HISTORY_COLUMNS)
DAMAGED_HISTORIES = {
    "empty": "",
    "another header": "epoch,loss\n1,2\n",
    "a short row": f"{HEADER}\n1,2,3\n",
    "a long row": f"{HEADER}\n1,2,3,4,5,6,7\n",
    "no number": f"{HEADER}\n1,x,3,4,5,6\n",
    "not finite": f"{HEADER}\n1,nan,3,4,5,6\n",
    "an epoch that is not finite": f"{HEADER}\ninf,2,3,4,5,6\n",
    "not text": b"\xff\xfe\x00",
    "an endless field": HEADER + '\n"' + "1" * 200_000,
}


@pytest.mark.parametrize("content", DAMAGED_HISTORIES.values(), ids=DAMAGED_HISTORIES)
def test_damaged_history_is_a_run_error(run, content):
    content = content if isinstance(content, bytes) else content.encode()
    (run.path / "history.csv").write_bytes(content)
    with pytest.raises(RunError, match=rf"^history.csv of run '{run.name}' is damaged \(.+\)\.$"):
        run.read_history()
    assert run.describe().status.startswith("damaged: history.csv")


DAMAGED_JSON = {
    "empty": b"",
    "half": b'{"test": {',
    "a list": b"[]",
    "not text": b"\xff",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_json_is_a_run_error(run, content):
    for name, read in (
        ("metrics.json", run.read_metrics),
        ("environment.json", run.read_environment),
    ):
        (run.path / name).write_bytes(content)
        with pytest.raises(RunError, match=rf"^{name} of run '{run.name}' is damaged \("):
            read()


@pytest.mark.parametrize("key", ["recipe", "test", "reported"])
def test_metrics_that_lack_a_part_are_damaged(run, key):
    content = MEASURED.model_dump(mode="json")
    del content[key]
    run.metrics_path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"damaged \({key}: .*\)\. `kerascnn evaluate {run.path}`"):
        run.read_metrics()


def test_numbers_that_are_text_are_damaged(run):
    content = MEASURED.model_dump(mode="json")
    content["test"]["accuracy"] = "0.75"
    run.metrics_path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"damaged \(test\.accuracy: .*number"):
        run.read_metrics()


def test_what_is_read_is_read_again_once_the_file_has_changed(run):
    run.write_history(make_history([1.0]))
    assert run.read_history() is run.read_history()
    run.write_history(make_history([1.0, 0.5]))
    assert len(run.read_history()) == 2


def test_records_read_like_the_dicts_of_version_0_1(run):
    run.write_metrics(MEASURED)
    measured = run.read_metrics()
    assert measured["test"]["accuracy"] == 0.75
    assert "accuracy" not in measured["reported"]
    assert dict(measured)["best_epoch"] == measured.best_epoch == 9
    assert measured.get("nothing") is None


WRITE_ACTIVATIONS = """
import sys
import numpy as np
from kerascnn.run import Run

path, layer, value = sys.argv[1:]
print(flush=True)
sys.stdin.readline()
for _ in range(20):
    Run(path).write_activations(f"images/{layer}", {"mean": np.full((2, 3), float(value))})
"""


def test_two_processes_that_keep_activations_of_two_layers_lose_nothing(run):
    run.best_path.touch()
    values = {"conv1": 1.0, "relu1": 2.0}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_ACTIVATIONS, run.path, layer, str(value)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for layer, value in values.items()
    ]
    for process in processes:
        process.stdout.readline()  # it is ready to write
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert len(list((run.path / "activations").iterdir())) == 2
    for layer, value in values.items():
        assert (run.read_activations(f"images/{layer}")["mean"] == value).all()


def test_environment_that_is_missing_is_a_run_error(run):
    with pytest.raises(RunError, match=r"environment.json .*\(No such file or directory\)"):
        run.read_environment()


def test_damaged_predictions_are_a_run_error(run):
    run.write_predictions(**dict.fromkeys(("probabilities", "predictions", "labels"), np.ones(9)))
    path = run.path / "predictions.npz"
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[100] ^= 1
    for content in (b"", b"not a zip", whole[: len(whole) // 2], bytes(changed)):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"^predictions.npz .* is damaged .* writes it anew\.$"):
            run.read_predictions()


def test_predictions_without_labels_are_damaged(run):
    run.write_predictions(probabilities=np.ones((1, 2)), predictions=np.ones(1))
    with pytest.raises(RunError, match=r"is damaged .*labels"):
        run.read_predictions()


@pytest.mark.parametrize("content", ["not = toml = at all", "name = 'x'"])
def test_damaged_recipe_is_a_run_error(run, content):
    (run.path / "recipe.toml").write_text(content)
    with pytest.raises(RunError, match=f"^Run '{run.name}' has no usable recipe. "):
        _ = run.recipe


def test_status_counts_epochs_and_then_says_whether_it_was_evaluated(run):
    assert run.status == "0 of 3 epochs"
    run.write_history(make_history([1.0]))
    assert run.status == "1 of 3 epochs"
    run.write_history(make_history([1.0] * 3))
    assert run.status == "trained"
    run.write_metrics(MEASURED)
    assert run.status == "finished"


def test_evaluated_run_that_stopped_early_still_counts_its_epochs(run):
    run.write_history(make_history([1.0]))
    run.write_metrics(MEASURED)
    assert run.status == "1 of 3 epochs"


def test_description_of_a_new_run_has_none_for_what_is_not_known(run):
    assert run.describe().model_dump() == {
        "run": run.name,
        "recipe": "sgd-lr0.01",
        "dataset": "cifar10",
        "seed": 7,
        "best_epoch": None,
        "best_val_loss": None,
        "accuracy": None,
        "status": "0 of 3 epochs",
    }


def test_description_gives_the_first_of_the_best_epochs_and_the_accuracy(run):
    run.write_history(make_history([2.0, 1.5, 1.5]))
    run.write_metrics(MEASURED)
    found = run.describe()
    assert (found.best_epoch, found.best_val_loss) == (2, 1.5)
    assert (found.accuracy, found.status) == (0.75, "finished")


def test_description_of_a_damaged_run_says_what_is_damaged(run):
    run.write_history(make_history([1.5]))
    run.metrics_path.write_text("{")
    found = run.describe()
    assert found.status.startswith("damaged: metrics.json")
    assert (found.recipe, found.best_val_loss, found.accuracy) == ("sgd-lr0.01", 1.5, None)
    (run.path / "recipe.toml").write_text("")
    found = run.describe()
    assert found.status.startswith("damaged: Run ")
    assert found.recipe is None


def test_runs_are_listed_from_the_oldest_by_the_time_in_their_names():
    make_run("a-seed0-20260102-000000")
    make_run("12345678-seed0-20260103-000000")
    make_run("z-seed0-20260101-235959")
    assert names(list_runs()) == [
        "z-seed0-20260101-235959",
        "a-seed0-20260102-000000",
        "12345678-seed0-20260103-000000",
    ]


def test_runs_of_one_second_are_listed_by_their_number():
    stem = "a-seed0-20260102-000000"
    expected = [stem, f"{stem}-2", f"{stem}-10"]
    for name in reversed(expected):
        make_run(name)
    assert names(list_runs()) == expected


def test_renamed_run_is_listed_by_the_clock_of_its_recipe():
    make_run("a-seed0-20200101-000000")
    make_run("b-seed0-29990101-000000")
    make_run("mine")
    assert [name[0] for name in names(list_runs())] == ["a", "m", "b"]


def test_directory_without_a_recipe_is_no_run():
    Path("runs/notes").mkdir(parents=True)
    make_run("a-seed0-20260102-000000")
    assert names(list_runs()) == ["a-seed0-20260102-000000"]
    assert list_runs("elsewhere") == []


@pytest.fixture
def three_runs():
    return [make_run(f"{name}-seed0-2026010{day}-000000") for day, name in enumerate("abb", 1)]


def test_latest_is_the_youngest(three_runs):
    assert find_run().name == find_run("latest").name == three_runs[2].name


def test_run_is_found_by_a_unique_part(three_runs):
    assert find_run("a-seed").name == three_runs[0].name
    assert find_run("0102").name == three_runs[1].name


def test_whole_name_wins_over_names_that_contain_it(three_runs):
    make_run(f"{three_runs[0].name}-2")
    assert find_run(three_runs[0].name).name == three_runs[0].name


def test_run_is_found_by_its_directory_wherever_it_is(tmp_path, three_runs):
    shutil.move(three_runs[0].path, tmp_path / "moved")
    assert find_run("moved").name == find_run(tmp_path / "moved").name == "moved"
    assert find_run("moved").recipe == RECIPE


def test_part_of_two_names_lists_them(three_runs):
    with pytest.raises(RunError, match=r"'b-seed' fits 2 runs in 'runs' \(b-.*, b-.*\); give more"):
        find_run("b-seed")


def test_part_of_many_names_lists_the_first_three(three_runs):
    make_run("d-seed0-20260104-000000")
    with pytest.raises(RunError, match=r"'seed' fits 4 runs in 'runs' \((\w-[^,]*, ){3}\.\.\.\)"):
        find_run("seed")


@pytest.mark.parametrize("name", ["nosuch", "x" * 300, "\0", "runs/nosuch"])
def test_part_of_no_name_is_refused(three_runs, name):
    with pytest.raises(RunError, match="in its name; `kerascnn runs` lists them"):
        find_run(name)


def test_no_run_at_all_names_the_command_that_makes_one():
    with pytest.raises(RunError, match=r"no run in 'runs'; `kerascnn run adam-lr0.001` makes one"):
        find_run()
