"""Two thousand command lines of real and mangled arguments: exit status 0, 1 or 2, one line where
something is wrong, and no file outside the directories that were given."""

import contextlib
import io
import json
import os
import re
import shutil
import sys
import urllib.error
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from PIL import Image

from kerascnn.errors import BenchError
from kerascnn.recipe import load_recipe
from kerascnn.show.words import COMMANDS

CLASSES = ("ant", "[red]bee[/]", "c\x1b[31mat\nx")
REPOSITORY = Path(__file__).parents[2]


def write_pictures(folder):
    generator = np.random.default_rng(0)
    for index, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 80, (8, 8, 3)).astype("uint8")
            pixels[..., index] += 150
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "ant" / "broken.png").write_text("not a picture")


def call(work, *arguments):
    """Run the command line in this process, in a directory: exit status, standard output, error."""
    from kerascnn.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with (
        mock.patch.object(sys, "argv", ["kerascnn", *arguments]),
        mock.patch.dict(os.environ),
        contextlib.chdir(work),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
    return status, *(stream.buffer.getvalue().decode() for stream in streams)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory to work in, with data, models and one finished run, and another beside it."""
    root = tmp_path_factory.mktemp("property")
    work = root / "work"
    write_pictures(work / "pictures")
    (root / "home").mkdir()
    (root / "beside").mkdir()
    recipe = load_recipe("adam-lr0.001").with_values(
        {
            "name": "tiny",
            "data.dataset": "pictures",
            "data.validation_fraction": 0.4,
            "model.filters": [2, 3],
            "model.pool_after": [1],
            "model.units": 4,
            "train.epochs": 1,
        }
    )
    (work / "tiny.toml").write_text(recipe.to_toml())
    (work / "bad.toml").write_text("name = ?")
    (work / "text.png").write_text("no")
    (work / "text.keras").write_text("no")
    (work / "empty").mkdir()
    names = ("C:\\out", "..\\..\\[red]\x1b[31m$\\frac{\n")
    keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(2, 3, name=names[0]), layers.ReLU(name=names[1])]
    ).save(work / "own.keras")
    environment = {
        "HOME": str(root / "home"),
        "TFDS_DATA_DIR": str(work / "data"),
        "KERASCNN_RUNS_DIR": "runs",
        "COLUMNS": "200",
        "TERM": "dumb",
    }
    refuse = urllib.error.URLError("no network in tests")
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch("urllib.request.urlopen", side_effect=refuse),
        mock.patch("kerascnn.bench.run_bench", side_effect=BenchError("not in tests.")),
        mock.patch("kerascnn.study.reproduce.Reproduction.make"),  # that is hours of training
    ):
        status, _, err = call(work, "run", "tiny.toml")
        assert status == 0, err
        next((work / "runs").iterdir()).rename(work / "runs" / "tiny-seed0-20260101-000000")
        shutil.copytree(work, root / "good")
        yield root


def listing(directory, without=()):
    """Each file under a directory with its size and time of change."""
    found = {}
    for path in directory.rglob("*"):
        if not any(part in without for part in path.relative_to(directory).parts):
            stat = path.lstat()
            found[str(path)] = None if path.is_dir() else (stat.st_size, stat.st_mtime_ns)
    return found


# Command lines.

JUNK = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.sampled_from(
        [
            "", "-", "--", "-1", "1e9", "nan", "../no/such/x", "/no/such/x", "[/]", "[red]", "=",
            "a" * 300, "\x1b[31mred", "a\nb", "\udcff", "--json", "--help", "-h", "~", "*", "%s",
            "$(touch out)", "{0}", "$\\frac{", "<b>", ".", "/dev/null", "日本", "0",
            "\u202egnp.exe", "١",
        ]
    ),
)  # fmt: skip
RECIPES = st.sampled_from(["tiny.toml", "tiny.toml", "bad.toml", "sgd-lr0.01", "nowhere.toml"])
RUNS = st.sampled_from(
    [
        "latest",
        "tiny",
        "runs/tiny-seed0-20260101-000000",
        "seed0",
        "nope",
        "../runs",
        "pictures",
        ".",
    ]
)
LAYERS = st.sampled_from(
    [
        "conv1",
        "bn1",
        "relu1",
        "conv1:1",
        "conv1:9",
        "fc1",
        "logits",
        "image",
        "pool",
        "../../out",
        "x",
    ]
)
NUMBERS = st.sampled_from(["0", "1", "2", "3", "-1", "17", "x", "1.5", "", "99999999999999999999"])
IMAGES = st.sampled_from(
    ["pictures", "pictures/ant", "pictures/ant/0.png", "text.png", "empty", "none", "cifar10", "."]
)
MODELS = st.sampled_from(["own.keras", "text.keras", "none.keras", "tiny.toml", "old.h5", "."])
OUTPUTS = st.sampled_from(["out.png", "no/such/out.png", "empty", "o\nut.png", "out", ""])
KEYS = st.sampled_from(
    [
        "train.epochs=2", "train.epochs=0", "train.learning_rate=0.1", "train.learning_rate=1e3",
        "model.filters=[2]", "model.pool_after=[]", "model.kernel_size=5", "data.dataset=pictures",
        "data.validation_fraction=0.99", "name=../x", "title=[/]", "train.x=1", "x",
        "reported.note=a", "model.pool_after=[1,2]",
        "train.batch_size=1", "augmentation.crop_padding=9",
        "train.seed=-1",
    ]
)  # fmt: skip
# What commands say on standard error besides what is wrong: progress, and what they left out.
REMARK = re.compile(
    r"Skipped: |Left out: |Figure: |Wrote |Dead: |No filter is dead\.$|Trained |epoch \d+/\d+ "
    r"|.+ on .+, \d+ epochs?, into |\d+ runs?: \d+ there, |There is no run in "
    r"|CIFAR-10 is prepared |`kerascnn audit .+` says which|Pictures of another size "
    r"|Layer: |The model's outputs |The model has several outputs|The model takes pictures of any "
    r"|The figure shows the first "
)
VERDICTS = st.sampled_from(["holds", "not", "x", "", "the study contradicts itself"])
FILTERS = st.sampled_from(["1", "2", "all", "1,2", "0", "x", "1,1", ",", "-1", "9"])


def option(name, values, odds=4):
    """The option with a value, in one of `odds` command lines."""
    return st.integers(1, odds).flatmap(
        lambda n: st.tuples(st.just(name), values) if n == 1 else st.just(())
    )


def flag(name):
    return st.sampled_from([(), (name,)])


def line(*parts):
    parts = [st.just((part,)) if isinstance(part, str) else part for part in parts]
    return st.tuples(*parts).map(lambda found: [each for part in found for each in part])


def one(values):
    return values.map(lambda value: (value,))


LOOK = (
    option("--tap", st.sampled_from(["conv", "bn", "relu", "pool"])),
    option("--layer", LAYERS),
    option("--model", MODELS, 6),
    option("--images", IMAGES),
    option("-o", OUTPUTS),
    option("--runs-dir", st.sampled_from(["runs", "empty", "none", "tiny.toml"]), 8),
    option("--data-dir", st.sampled_from(["empty", "none"]), 8),
    flag("--json"),
)
OPTIONAL_RUN = st.one_of(st.just(()), one(RUNS))
HEAVY = st.one_of(
    line(
        "run",
        st.just(("tiny.toml",)),
        option("--epochs", NUMBERS),
        option("--batch-size", NUMBERS),
        option("--seed", NUMBERS),
        option("--set", KEYS, 2),
        option("--set", KEYS),
        option("--runs-dir", st.sampled_from(["runs", "new/er", "tiny.toml"])),
        flag("--no-fast"),
        flag("--json"),
    ),
    line("evaluate", OPTIONAL_RUN, option("--runs-dir", OUTPUTS, 6), flag("--json")),
    line("top-activations", OPTIONAL_RUN, option("-f", NUMBERS), option("-k", NUMBERS), *LOOK),
    line("feature-maps", OPTIONAL_RUN, option("--filters", FILTERS, 2), *LOOK),
    line("feature-maps", OPTIONAL_RUN, option("--image", NUMBERS, 1), *LOOK),
    line("feature-maps", option("--class", st.sampled_from([*CLASSES, "cat"]), 1), *LOOK),
    line("filters", OPTIONAL_RUN, *LOOK),
    line("explain-filter", one(NUMBERS), OPTIONAL_RUN, *LOOK),
    line("predict", one(IMAGES), one(IMAGES), option("--top", NUMBERS), option("--run", RUNS)),
    line("report", OPTIONAL_RUN, option("--out", OUTPUTS), flag("--all"), flag("--no-pictures")),
    line("augmentations", one(RECIPES), option("--dataset", IMAGES, 1), option("-o", OUTPUTS)),
)  # fmt: skip
LIGHT = st.one_of(
    line("runs", option("--runs-dir", OUTPUTS), flag("--json")),
    line("recipes", flag("--json")),
    line("recipes", "show", one(RECIPES), flag("--json")),
    line("compare", one(RUNS), one(RUNS), flag("--json")),
    line("data", "info", one(IMAGES), flag("--json")),
    line("data", "prepare", option("--archive", IMAGES, 1), option("--data-dir", OUTPUTS, 1)),
    line("bench", option("--recipe", RECIPES), option("--steps", NUMBERS), option("--set", KEYS)),
    line("audit", option("--verdict", VERDICTS), option("--runs-dir", OUTPUTS), flag("--json")),
    line(
        "reproduce",
        option("sgd-lr0.01", st.just("adam-lr0.001"), 2),
        option("--seeds", st.one_of(NUMBERS, FILTERS)),
        option("--jobs", NUMBERS),
        option("--reading", st.sampled_from(["pool-after-1", "momentum-0.9", "epoch-6", "x", ""])),
        option("--set", KEYS),
        option("--dataset", IMAGES),
        flag("--json"),
    ),
    line("--version"),
    line(st.sampled_from([("run",), ("data",), ("predict",), ("filters",), ()]), flag("--help")),
)


@st.composite
def mangled(draw):
    """A real command line with arguments taken out, doubled, moved, changed or put in."""
    arguments = list(draw(st.one_of(HEAVY, *[LIGHT] * 9)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(arguments)))
        how = draw(st.sampled_from(["out", "in", "twice", "over", "swap", "split"]))
        if how == "in" or place >= len(arguments):
            arguments.insert(place, draw(JUNK))
        elif how == "out":
            del arguments[place]
        elif how == "twice":
            arguments.insert(place, arguments[place])
        elif how == "over":
            arguments[place] = draw(JUNK)
        elif how == "swap":
            arguments[place], arguments[-1] = arguments[-1], arguments[place]
        else:
            cut = draw(st.integers(0, len(arguments[place])))
            arguments[place] = arguments[place][:cut] + draw(JUNK) + arguments[place][cut:]
    return arguments


def trains_for_long(arguments):
    """Whether a command line would really train one of the study's recipes."""
    return "run" in arguments[:1] and any(
        word == "sgd-lr0.01" or word.startswith("shapes") for word in arguments
    )


def given_places(arguments, work):
    """Where a command line says that something may be written."""
    places = [work]
    for index, word in enumerate(arguments):
        for name in ("-o", "--output", "--out", "--runs-dir", "--data-dir"):
            if word == name and index + 1 < len(arguments):
                places.append(work / arguments[index + 1])
            elif word.startswith(name):
                places.append(work / word.removeprefix(name).removeprefix("="))
    return [Path(os.path.normpath(each)) for each in places]


def is_understood(status, out, err):
    """Whether standard error says in one line, besides remarks, what is wrong, if anything is."""
    said = [line for line in err.split("\n") if line and not REMARK.match(line)]
    if status == 2:
        asked_for_nothing = not said and out.lstrip().startswith("Usage: ")
        return asked_for_nothing or err.count("─ Error ─") == 1
    if status == 0:
        return not said
    # Pictures that cannot be read are named, and the others are shown: `predict` then fails, too.
    only_skipped = not said and any(line.startswith("Skipped: ") for line in err.split("\n"))
    return only_skipped or (len(said) == 1 and said[0].startswith("Error: "))


def check(place, arguments):
    work = place / "work"
    if trains_for_long(arguments):
        return
    before = listing(place)
    status, out, err = call(work, *arguments)
    shown = (arguments, status, out[-500:], err[-2000:])
    assert status in (0, 1, 2), shown
    assert "Traceback" not in out + err, shown
    for line in (out + err).split("\n"):
        assert not COMMANDS.search(line.replace("\t", "")), shown
    assert is_understood(status, out, err), shown
    if status == 0 and "--json" in arguments and out.startswith(("{", "[")):
        json.loads(out)
    after = listing(place)
    changed = {path for path, _ in after.items() ^ before.items()}
    allowed = given_places(arguments, work)
    for path in changed:
        assert any(Path(path).is_relative_to(each) for each in allowed), (path, *shown)
    if changed:
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(place / "good", work, dirs_exist_ok=True)


MANY = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}


@pytest.fixture(scope="module")
def repository():
    """Nothing in the repository is changed by all of it."""
    without = (
        "__pycache__",
        ".pytest_cache",
        ".hypothesis",
        ".ruff_cache",
        ".git",
        ".venv",
        "runs",
    )
    before = listing(REPOSITORY / "kerascnn", without) | listing(REPOSITORY / "recipes", without)
    yield
    after = listing(REPOSITORY / "kerascnn", without) | listing(REPOSITORY / "recipes", without)
    assert after == before


@pytest.mark.slow
@given(mangled())
@settings(max_examples=1320, **MANY)
def test_a_mangled_command_line_is_refused_or_understood(place, repository, arguments):
    check(place, arguments)


@given(LIGHT)
@settings(max_examples=360, **MANY)
def test_a_command_line_that_shows_something_ends_well(place, repository, arguments):
    check(place, arguments)


@pytest.mark.slow
@given(HEAVY)
@settings(max_examples=40, **MANY)
def test_a_command_line_that_computes_ends_well(place, repository, arguments):
    check(place, arguments)


@given(st.lists(JUNK, max_size=5))
@settings(max_examples=300, **MANY)
def test_junk_is_refused(place, repository, arguments):
    check(place, arguments)


def test_the_commands_do_work_here(place):
    """Not all of the above is refused."""
    for arguments in (
        ["run", "tiny.toml", "--json"],
        ["evaluate"],
        ["top-activations", "-f", "1", "-k", "2", "--json"],
        ["feature-maps", "--image", "0"],
        ["filters"],
        ["predict", "pictures/ant/0.png"],
        ["augmentations", "tiny.toml"],
        ["report", "--out", "page.html"],
        ["compare", "tiny", "tiny"],
        ["data", "info", "pictures"],
        ["filters", "--model", "own.keras", "--images", "pictures", "--tap", "conv"],
    ):
        status, _, err = call(place / "work", *arguments)
        assert status == 0, (arguments, err)
        check(place, arguments)
