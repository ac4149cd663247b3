"""The command line, run for real: once as a process, otherwise in this one."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "kerascnn"]
# With a network that trains in seconds.
SHAPES = ["--dataset", "shapes", "--set", "model.filters=[8,16,32]", "--set", "model.units=64"]


@pytest.fixture(scope="module")
def shapes_runs(tmp_path_factory):
    """A directory with two real runs on shapes, of seeds 0 and 1, and the first one's output."""
    directory = tmp_path_factory.mktemp("shapes")
    outputs = []
    for seed in ("0", "1"):
        arguments = [*SHAPES, "--epochs", "2", "--batch-size", "50", "--seed", seed]
        outputs.append(
            subprocess.run(
                [*COMMAND, "run", "adam-lr0.001", *arguments],
                cwd=directory,
                capture_output=True,
                text=True,
                check=True,
            )
        )
    return directory, outputs[0]


@pytest.fixture
def in_shapes_runs(shapes_runs, monkeypatch):
    monkeypatch.chdir(shapes_runs[0])
    return shapes_runs[0]


def test_run_shows_tables_and_leaves_a_whole_run_directory(shapes_runs):
    directory, done = shapes_runs
    assert "not CIFAR-10 numbers" in done.stdout
    assert "95 % interval" in done.stdout
    assert "overall" in done.stdout
    assert "reported" not in done.stdout.replace("nothing that was reported", "").replace(
        "was reported compares", ""
    )
    run = next((directory / "runs").glob("*-seed0-*"))
    names = {path.name for path in run.iterdir()}
    assert names == {
        ".lock",
        "recipe.toml",
        "environment.json",
        "checkpoint.npz",
        "history.csv",
        "best.keras",
        "predictions.npz",
        "metrics.json",
        "figures",
    }
    figures = {path.stem: Image.open(path).convert("RGB") for path in run.glob("figures/*.png")}
    assert set(figures) == {"history", "examples", "confusion", "per_class"}
    sizes = {name: figure.size for name, figure in figures.items()}
    assert sizes["history"] == (1500, 690)
    assert sizes["per_class"][1] > 10 * 50  # ten classes below each other
    for name, figure in figures.items():
        colors = sorted(figure.getcolors(maxcolors=2**24), reverse=True)
        assert colors[0][1] == (255, 255, 255), name
        drawn = 1 - colors[0][0] / np.prod(figure.size)
        assert (0.4 if name in ("examples", "confusion") else 0.02) < drawn < 0.7, name
    # Test images are drawn in their own colors, of which there are many.
    assert len(figures["examples"].getcolors(maxcolors=2**24)) > 5000


def test_progress_is_plain_lines_where_there_is_no_terminal(shapes_runs):
    _, done = shapes_runs
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert "val_loss" in lines[0]
    assert "\x1b" not in done.stderr + done.stdout


def test_a_short_run_learns_clearly_more_than_chance(in_shapes_runs, invoke):
    status, out, _ = invoke("evaluate", "seed0", "--json")
    measured = json.loads(out)
    assert status == 0
    assert 0.2 < measured["test"]["accuracy"] < 0.97
    assert measured["test"]["loss"] < np.log(10)


def test_json_of_evaluate_is_what_the_run_stores(in_shapes_runs, invoke):
    _, out, _ = invoke("evaluate", "seed0", "--json")
    run = next(in_shapes_runs.glob("runs/*-seed0-*"))
    assert json.loads(out) == json.loads((run / "metrics.json").read_text())


def test_the_stored_recipe_runs_again_to_the_same_numbers(in_shapes_runs, invoke, tmp_path):
    run = next(in_shapes_runs.glob("runs/*-seed0-*"))
    status, out, _ = invoke("run", str(run / "recipe.toml"), "--runs-dir", str(tmp_path), "--json")
    assert status == 0
    again = json.loads(out)
    first = json.loads((run / "metrics.json").read_text())
    assert again["test"]["per_class"] == first["test"]["per_class"]
    assert again["best_val_loss"] == first["best_val_loss"]


def test_runs_lists_both(in_shapes_runs, invoke):
    _, out, _ = invoke("runs", "--json")
    rows = json.loads(out)
    assert [row["seed"] for row in rows] == [0, 1]
    assert {row["status"] for row in rows} == {"finished"}
    assert "%" in invoke("runs")[1]


def test_compare_judges_each_class(in_shapes_runs, invoke):
    status, out, _ = invoke("compare", "seed0", "seed1", "--json")
    comparison = json.loads(out)
    assert status == 0
    assert len(comparison["per_class"]) == 10
    predictions = [
        np.load(next(in_shapes_runs.glob(f"runs/*-seed{seed}-*/predictions.npz")))
        for seed in (0, 1)
    ]
    accuracies = [np.mean(each["predictions"] == each["labels"]) for each in predictions]
    assert comparison["overall"]["difference"] == pytest.approx(accuracies[1] - accuracies[0])
    assert "exceeds chance" in invoke("compare", "seed0", "seed1")[1]


def test_augmentations_writes_a_picture(invoke, tmp_path):
    status, _, err = invoke("augmentations", "--dataset", "shapes", "--images", "2", "-o", "a.png")
    assert status == 0
    assert "a.png" in err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_data_info_counts_classes(invoke):
    status, out, _ = invoke("data", "info", "shapes", "--json")
    assert status == 0
    assert json.loads(out)["splits"]["test"]["per_class"] == [100] * 10


def test_recipes_lists_all_five(invoke):
    _, out, _ = invoke("recipes", "--json")
    assert len(json.loads(out)) == 5
    table = invoke("recipes")[1]
    assert "sgd-lr0.01-augmented" in table


def test_recipes_show_prints_the_file_itself(invoke):
    import tomllib

    _, out, _ = invoke("recipes", "show", "adam-lr0.1")
    assert out.startswith("# kerascnn run adam-lr0.1")
    assert tomllib.loads(out)["train"]["learning_rate"] == 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "adam-lr0.01"], ["'adam-lr0.01' is not known", "adam-lr0.001"]),
        (["run", "nowhere.toml"], ["no recipe file 'nowhere.toml'"]),
        (["run", "adam-lr0.001", "--epochs", "0"], ["train.epochs = 0"]),
        (["run", "adam-lr0.001", "--set", "train.learning_rat=1"], ["train.learning_rate"]),
        (["run", "adam-lr0.001", "--set", "train.learning_rate"], ["KEY=VALUE"]),
        (
            ["run", "adam-lr0.001", "--epochs", "3", "--set", "train.epochs=2"],
            ["Give --epochs or --set train.epochs, not both."],
        ),
        (["run", "adam-lr0.001", "--dataset", "cifar11"], ["'cifar11'", "shapes"]),
        (
            ["run", "adam-lr0.001", "--data-dir", "empty"],
            ["--data-dir", "data prepare --archive", "--dataset shapes"],
        ),
        (["evaluate"], ["no run in 'runs'", "kerascnn run adam-lr0.001"]),
        (["evaluate", "x", "--runs-dir", "none"], ["no run in 'none'"]),
        (["data", "prepare", "--archive", "missing.tar.gz"], ["missing.tar.gz"]),
        (["augmentations", "--dataset", "shapes", "-o", "no/such/a.png"], ["cannot be written"]),
        (["audit", "--runs-dir", "a" * 300], ["'aaa", "cannot be used: File name too long"]),
        (["run", "adam-lr0.001", "--dataset", "a" * 300], ["cannot be used: File name too long"]),
        (["predict", "x", "--model", "a" * 300 + ".keras"], ["cannot be used: File name too long"]),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_1(invoke, monkeypatch, tmp_path, arguments, words):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    status, out, err = invoke(*arguments)
    assert status == 1
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "arguments", [["fly"], ["run"], ["run", "a", "--epochs", "many"], ["compare", "a"]]
)
def test_wrong_usage_exits_2(invoke, arguments):
    assert invoke(*arguments)[0] == 2


def test_help_imports_neither_keras_nor_torch_and_is_quick():
    code = (
        "import sys, time; start = time.perf_counter(); from kerascnn.cli import main\n"
        "sys.argv = ['kerascnn', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'keras', 'torch', 'matplotlib', 'tensorflow_datasets', 'scipy', 'pydantic'}\n"
        "print(sorted(slow & set(sys.modules)), time.perf_counter() - start)"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    last = [each.stdout.splitlines()[-1] for each in done]
    assert all(line.startswith("[] ") for line in last)
    assert min(float(line.split()[-1]) for line in last) < 0.5


def test_version_names_backend_device_and_versions(invoke):
    status, out, _ = invoke("--version")
    import keras

    assert status == 0
    assert f"backend {keras.config.backend()} on " in out
    assert f"keras {keras.__version__}" in out


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "Interrupted: "), (signal.SIGTERM, 143, "Terminated: ")],
    ids=["SIGINT", "SIGTERM"],
)
def test_signal_leaves_a_run_that_goes_on_and_exits_as_a_shell_expects(
    tmp_path, number, status, word
):
    process = subprocess.Popen(
        [*COMMAND, "run", "sgd-lr0.01", *SHAPES, "--epochs", "500"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("runs/*/best.keras")):
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert word in err
    assert "of 500 epochs; `kerascnn resume runs/" in err
    run = next(tmp_path.glob("runs/*"))
    done = subprocess.run(
        [*COMMAND, "evaluate", str(run), "--json"], capture_output=True, text=True, check=True
    )
    rows = (run / "history.csv").read_text().strip().splitlines()
    assert json.loads(done.stdout)["epochs"] == len(rows) - 1


TINY = ["--dataset", "tiny", "--set", "model.filters=[2,2,2]", "--set", "model.units=4"]


@pytest.fixture
def tiny(tmp_path):
    """A folder of two classes in the current directory."""
    for shade, name in ((40, "dark"), (210, "light")):
        (tmp_path / "tiny" / name).mkdir(parents=True)
        for number in range(20):
            picture = Image.new("RGB", (32, 32), (shade, shade + number, shade))
            picture.save(tmp_path / "tiny" / name / f"{number}.png")


@pytest.fixture
def half_done(tiny, invoke, monkeypatch):
    """A run of three epochs that was interrupted after the first."""
    from kerascnn.training.callbacks import KeepRun

    store = KeepRun.on_epoch_end

    def store_and_interrupt(self, epoch, logs=None):
        store(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(KeepRun, "on_epoch_end", store_and_interrupt)
        status, _, err = invoke("run", "sgd-lr0.01", *TINY, "--epochs", 3)
    assert status == 130
    assert "holds 1 of 3 epochs; `kerascnn resume runs/sgd-lr0.01-seed0-" in err


def test_resume_goes_on_and_evaluates_and_then_says_that_the_run_is_finished(half_done, invoke):
    status, out, err = invoke("resume")
    assert status == 0
    assert "after epoch 1" in err
    assert "epoch 2/3" in err
    assert "epoch 1/3" not in err
    assert "overall" in out
    status, out, err = invoke("resume")
    assert (status, out) == (0, "")
    assert "is finished: there is nothing to resume." in err
    for arguments in (
        ("resume", "--json"),
        ("run", "sgd-lr0.01", *TINY, "--epochs", 3, "--resume", "--json"),
    ):
        status, out, _ = invoke(*arguments)
        assert status == 0
        assert json.loads(out) == json.loads(next(Path("runs").glob("*/metrics.json")).read_text())


def test_run_with_resume_goes_on_with_the_same_recipe(half_done, invoke):
    status, _, err = invoke("run", "sgd-lr0.01", *TINY, "--epochs", 3, "--resume")
    assert status == 0
    assert "after epoch 1" in err
    assert len(list(Path("runs").iterdir())) == 1
    # Another seed is another run.
    status, _, err = invoke("run", "sgd-lr0.01", *TINY, "--epochs", 1, "--resume", "--seed", 5)
    assert status == 0
    assert "after epoch" not in err
    assert len(list(Path("runs").iterdir())) == 2


def test_run_with_resume_refuses_another_recipe_and_says_what_differs(half_done, invoke):
    status, _, err = invoke("run", "sgd-lr0.01", *TINY, "--epochs", 4, "--resume")
    assert status == 1
    assert "is half done, with another recipe: train.epochs was 3, is 4." in err
    assert len(list(Path("runs").iterdir())) == 1
