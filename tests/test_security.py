"""Files and names that were made to do harm: none does, and each is refused in one line."""

import ast
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from made import malice
from made.malice import save_good, with_weights
from made.records import make_evaluation
from PIL import Image

import kerascnn as package
from kerascnn.data.batches import load_images
from kerascnn.data.pictures import FORMATS, SUFFIXES, find_images, image_size, load_image
from kerascnn.errors import ImageError, KerascnnError, ModelError, RecipeError, RunError
from kerascnn.recipe import load_recipe
from kerascnn.run import Run
from kerascnn.run.find import create_run, find_run, list_runs

ROOT = Path(package.__file__).parent


@pytest.fixture(autouse=True)
def no_trace():
    """Whatever a test does: no code of a model ran, here or beside here."""
    yield
    malice.check_no_trace()


# What numpy reads.


def test_pickled_arrays_in_a_run_are_refused():
    class Evil:
        def __reduce__(self):
            return Path.write_text, (Path("trace").absolute(), "unpickled")

    run = create_run(load_recipe("sgd-lr0.01"))
    evil = np.array([Evil()], dtype=object)
    run.best_path.touch()
    (run.path / "activations").mkdir()
    for name in ("predictions.npz", "activations/any.npz"):
        np.savez(run.path / name, probabilities=evil, predictions=evil, labels=evil, model=evil)
    with pytest.raises(RunError, match="is damaged"):
        run.read_predictions()
    with pytest.raises(RunError, match="is damaged"):
        run.read_activations("any")


def test_arrays_in_a_run_that_unfold_a_thousandfold_are_refused():
    run = create_run(load_recipe("sgd-lr0.01"))
    run.best_path.touch()
    (run.path / "activations").mkdir()
    for name in ("predictions.npz", "activations/any.npz"):
        malice.zeros_npz(run.path / name, "probabilities", 50 * 2**20)
    for read in (run.read_predictions, lambda: run.read_activations("any")):
        with pytest.raises(RunError, match="would unfold from"):
            read()


def test_a_pickled_array_in_the_cache_is_read_anew(monkeypatch, tmp_path):
    from kerascnn.data import cache

    class Evil:
        def __reduce__(self):
            return Path.write_text, (Path("trace").absolute(), "unpickled")

    monkeypatch.setenv("KERASCNN_CACHE_DIR", str(tmp_path / "cache"))
    cache.load("x", "1", lambda: {"a": np.arange(3)})
    (entry,) = (tmp_path / "cache").iterdir()
    (entry / "a.npy").unlink()
    np.save(entry / "a.npy", np.array([Evil()], dtype=object))
    assert cache.load("x", "1", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


# The source itself.

FORBIDDEN_MODULES = {"pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"}


def dotted(node):
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_module_unpickles_or_runs_text(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & FORBIDDEN_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN_MODULES
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert name not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
        assert settings.get("shell", "False") == "False", f"{path}:{node.lineno}"
        if name in ("np.load", "numpy.load"):
            assert settings.get("allow_pickle") == "False", f"{path}:{node.lineno}"
        if name.endswith("Image.open"):
            # Pillow starts other programs for some formats.
            assert "formats" in settings, f"{path}:{node.lineno}"
        if name == "torch.load":
            assert settings.get("weights_only") == "True", f"{path}:{node.lineno}"
        if name.endswith(("saving.load_model", "models.load_model")):
            assert path == ROOT / "model" / "load.py", f"{path}:{node.lineno}"
            assert settings.pop("custom_objects") == "custom_objects"
            assert settings == {"compile": "False", "safe_mode": "True"}
        assert not name.endswith(("load_weights", "enable_unsafe_deserialization"))
        assert not name.endswith(("extract", "extractall", "unpack_archive")), path


# Names.

NAMES = [
    "../out", "../../out", "/out", "a/../../out", "..", ".", "~", "-o", "--help", "CON", "a\0b",
    "a\nb", "a\x1b[31mb", "[red]x[/]", "[/]", "<script>", "x" * 256, "x" * 5000, "日本",
    "\u202etxt",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_recipe_has_a_name_that_is_a_path(name):
    recipe = load_recipe("sgd-lr0.01")
    if name == "CON":
        return
    with pytest.raises(RecipeError, match="name = "):
        recipe.with_values({"name": name})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_run_finds_a_run_or_none(name):
    create_run(load_recipe("sgd-lr0.01"))
    try:
        assert find_run(name).name.startswith("sgd-lr0.01-seed0-")
    except RunError as error:
        message = str(error)
        assert "No run in 'runs' has" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_stays_in_its_run(name):
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"), "in/runs")
    path = run.write_figure(name, Figure(figsize=(1, 1)))
    assert path.parent == run.figures_path
    assert path.is_file()
    assert path.name.isprintable()
    assert len(path.name.encode()) < 250
    assert {each.name for each in Path().iterdir()} == {"in"}


def test_figures_that_differ_by_what_is_not_kept_do_not_overwrite_each_other():
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"))
    names = ["a" * 300, "a" * 301, "a/b", "a\nb", "a\0b"]
    assert len({run.write_figure(name, Figure(figsize=(1, 1))) for name in names}) == len(names)


def test_a_run_whose_figures_lie_elsewhere_is_not_drawn_into():
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"))
    Path("elsewhere").mkdir()
    run.figures_path.symlink_to(Path("elsewhere").absolute())
    with pytest.raises(RunError, match=r"figures' leads out of the run"):
        run.write_figure("history", Figure(figsize=(1, 1)))
    assert not list(Path("elsewhere").iterdir())


def test_a_file_of_a_run_that_is_a_link_is_replaced_not_followed():
    run = create_run(load_recipe("sgd-lr0.01"))
    Path("precious").write_text("mine")
    run.metrics_path.symlink_to(Path("precious").absolute())
    run.write_metrics(make_evaluation())
    assert Path("precious").read_text() == "mine"


def test_links_that_lead_nowhere_or_in_circles_are_no_runs(invoke):
    run = create_run(load_recipe("sgd-lr0.01"))
    Path("runs/ring").symlink_to("ring")
    Path("runs/nowhere").symlink_to("/no/such/place")
    Path("runs/broken").mkdir()
    Path("runs/broken/recipe.toml").symlink_to("/no/such/file")
    assert [each.name for each in list_runs()] == [run.name]
    assert invoke("runs")[0] == 0


def test_a_recipe_file_without_end_is_refused():
    Path("endless.toml").symlink_to("/dev/zero")
    with pytest.raises(RecipeError, match="it is a device, not a file"):
        load_recipe("endless.toml")


# Pictures.


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (10**6, 1000)])
def test_a_picture_that_would_fill_memory_is_refused(size):
    Path("bomb.png").write_bytes(malice.png_of(*size))
    with pytest.raises(ImageError, match=r"^'bomb.png' ") as caught:
        load_image("bomb.png", (8, 8, 3))
    assert "\n" not in str(caught.value)


def test_every_kind_of_picture_may_end_too_early_or_be_wrong():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (12, 9, 3)).astype("uint8")
    kinds = {
        "a.png": Image.fromarray(pixels),
        "a.jpg": Image.fromarray(pixels),
        "cmyk.jpg": Image.fromarray(pixels).convert("CMYK"),
        "a.gif": Image.fromarray(pixels).convert("P"),
        "a.tif": Image.fromarray(pixels[..., 0].astype("uint16") * 257),
        "a.bmp": Image.fromarray(pixels),
        "a.ppm": Image.fromarray(pixels),
        "a.webp": Image.fromarray(pixels),
    }
    for name, picture in kinds.items():
        file = io.BytesIO()
        picture.save(file, {"jpg": "jpeg", "tif": "tiff"}.get(name[-3:], name.split(".")[1]))
        whole = file.getvalue()
        for _ in range(60):
            content = bytearray(whole[: generator.integers(0, len(whole) + 1)])
            for place in generator.integers(0, max(1, len(content)), 3):
                if content:
                    content[place] = generator.integers(0, 256)
            Path(name).write_bytes(content)
            try:
                assert load_image(name, (8, 8, 3)).shape == (8, 8, 3)
            except ImageError as error:
                message = str(error)
                assert message.startswith(f"'{name}' ")
                assert "\n" not in message


def test_folders_that_end_in_themselves_or_vanish_are_passed_over(monkeypatch):
    Path("a/b").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save("a/b/1.png")
    Path("a/ring").symlink_to("..", target_is_directory=True)
    Path("a/nowhere").symlink_to("gone")
    real = os.scandir

    def vanish(path):
        if str(path).endswith("c"):
            raise FileNotFoundError(2, "gone")
        return real(path)

    Path("a/c").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", vanish)
        assert find_images(Path("a")) == ["a/b/1.png"]


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 10 10
%%EndComments
showpage
"""


@pytest.mark.parametrize("name", ["photo.jpg", "photo.eps"])
def test_a_picture_starts_no_other_program(name, tmp_path, monkeypatch):
    program = tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    # Pillow remembers whether there is such a program.
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    Path(name).write_bytes(POSTSCRIPT)
    for read in (load_image, image_size, lambda path: load_images([path], (8, 8, 3))):
        with suppress(ImageError):
            read(name)
    assert not Path("started").exists()
    with pytest.raises(ImageError, match="is not a picture that can be read; expected one of BMP"):
        load_image(name)


def test_only_formats_whose_endings_are_accepted_are_opened_whatever_the_ending():
    picture = Image.new("RGB", (16, 16), "red")
    for kind in ("ico", "tga", "pcx", "eps", "pdf", "dds", "avif", "sgi", "jpeg2000"):
        with suppress(OSError):
            picture.save("a.png", kind)
            with pytest.raises(ImageError, match="is not a picture that can be read; expected"):
                load_image("a.png")
    accepted = {Image.registered_extensions()[suffix] for suffix in SUFFIXES}
    assert accepted == set(FORMATS)
    for kind in accepted:
        picture.save("b.jpg", kind)
        assert load_image("b.jpg").shape == (16, 16, 3)


def test_readers_of_other_formats_are_not_even_imported():
    Image.new("RGB", (4, 4)).save("a.webp")
    code = (
        "import sys; from kerascnn.data.pictures import load_image; load_image('a.webp');"
        "print(*(name for name in sys.modules if name.endswith('ImagePlugin')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == len(FORMATS)


def test_a_fifo_is_no_picture_and_is_not_waited_for():
    os.mkfifo("pipe.png")
    with pytest.raises(ImageError, match=r"^'pipe.png' is not a file"):
        load_image("pipe.png")


# What is shown.

MALICIOUS = (
    "\x1b[31mred\x1b[0m",
    "[red]b[blue]",
    "[bold",
    "<b>&",
    "$\\frac{",
    "a\nb",
    "\u202etxt",
    "\x9b1m",
)


@pytest.fixture
def folder():
    """A data set whose classes have names that a terminal or rich would obey."""
    generator = np.random.default_rng(0)
    for name in MALICIOUS:
        Path("pictures", name).mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(0, 255, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(Path("pictures", name, f"{number}.png"))
    for number, name in enumerate((os.fsdecode(b"\xff.png"), "\x1b]0;owned\x07[].png")):
        Image.fromarray(pixels).save(Path("pictures", MALICIOUS[number], name))
    Path("pictures", MALICIOUS[0], "\x1b[2Jbad.png").write_text("no")
    return Path("pictures")


COMMANDS_OF_A_RUN = [
    ["runs"],
    ["evaluate"],
    ["compare", "seed0", "seed0"],
    ["data", "info", "pictures"],
    ["top-activations"],
    ["feature-maps"],
    ["filters"],
    ["explain-filter", "1"],
    ["predict", "pictures"],
    ["report"],
    ["augmentations", "--dataset", "pictures"],
]


def test_names_of_folders_and_files_are_shown_and_not_obeyed(folder, invoke):
    settings = ["--epochs", "1", "--set", "data.validation_fraction=0.4", "--set", "model.units=4"]
    status, out, err = invoke("run", "sgd-lr0.01", "--dataset", folder, *settings)
    assert status == 0, err
    shown = [out, err]
    for command in COMMANDS_OF_A_RUN:
        status, out, err = invoke(*command)
        assert status in (0, 1), err
        assert "Traceback" not in err
        shown += [out, err]
    text = "".join(shown)
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert not [each for each in text if "\ud800" <= each <= "\udfff"]
    assert "�[31mred�[0m" in text
    assert "[red]b[blue]" in text
    (page,) = (path.read_text("utf-8") for path in Path("runs").glob("*/page.html"))
    assert not set(page) & {"\x1b", "\x07", "\x9b", "\u202e"}
    for command in COMMANDS_OF_A_RUN[:-1]:
        status, out, _ = invoke(*command, "--json")
        assert status or json.loads(out)


def test_a_terminal_is_told_colors_but_no_commands_of_others():
    from rich.table import Table
    from rich.text import Text

    from kerascnn.cli.output import SafeConsole

    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="standard", width=60)
    table = Table(title="\x1b[2J")
    table.add_column("\x1b]0;owned\x07")
    table.add_row(Text("\x1b[31m\u202eabc", style="bold"))
    console.print(table)
    console.print("\x9b31m", "a\tb")
    text = file.getvalue()
    assert "\x1b[1m" in text  # rich's own
    for command in ("\x1b[2J", "\x1b]0", "\x07", "\x1b[31m", "\u202e", "\x9b"):
        assert command not in text


def test_an_argument_in_an_error_of_usage_is_not_obeyed(invoke):
    for arguments in (
        ["--\x1b[31mx"],
        ["\x1b[2J"],
        ["predict", "x", "--\u202ey"],
        ["runs", "\x07"],
    ):
        status, out, err = invoke(*arguments)
        assert status == 2
        assert not set(out + err) & {"\x1b", "\x07", "\u202e"}


def test_output_that_the_encoding_of_the_terminal_lacks_is_shown_all_the_same():
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "kerascnn", "recipes"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"sgd-lr0.01" in done.stdout


# Runs that somebody else gave.


@pytest.fixture(scope="module")
def given_run(tmp_path_factory):
    """A whole run of three classes, to damage."""
    from kerascnn.data import load_dataset
    from kerascnn.evaluation import evaluate
    from kerascnn.training import train

    root = tmp_path_factory.mktemp("given")
    generator = np.random.default_rng(0)
    for name in "abc":
        (root / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 255, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(root / "pictures" / name / f"{number}.png")
    recipe = load_recipe("sgd-lr0.01").with_values(
        {"data.dataset": str(root / "pictures"), "train.epochs": 1, "model.units": 4}
    )
    run = train(recipe, root / "runs", dataset=load_dataset(str(root / "pictures")))
    evaluate(run)
    return run


ODD_VALUES = [None, True, -1, 10**30, 0.5, float("nan"), "x\x1b[31m[/]", [], {}, [None], {"a": 1}]


def damaged(content, generator):
    """The content of a JSON file with one value, anywhere, replaced or taken out."""
    places = []

    def walk(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in list(items):
            places.append((value, key))
            if isinstance(each, dict | list):
                walk(each)

    walk(content)
    table, key = places[generator.integers(len(places))]
    if generator.random() < 0.2:
        del table[key]
    else:
        table[key] = ODD_VALUES[generator.integers(len(ODD_VALUES))]
    return content


@pytest.mark.parametrize("name", ["metrics.json", "environment.json"])
@pytest.mark.parametrize("part", range(2))
def test_a_damaged_run_is_shown_or_refused_in_one_line(given_run, invoke, name, part):
    generator = np.random.default_rng(part)
    path = given_run.path / name
    good = path.read_text()
    try:
        for _ in range(12):
            path.write_text(json.dumps(damaged(json.loads(good), generator)))
            for command in (["runs"], ["compare", "seed0", "seed0"]):
                for flag in ([], ["--json"]):
                    arguments = [*command, "--runs-dir", given_run.path.parent, *flag]
                    status, out, err = invoke(*arguments)
                    assert status in (0, 1)
                    assert len(err.splitlines()) == status, err
                    if flag and not status:
                        json.loads(out)
                    assert not set(out + err) & {"\x1b"}
    finally:
        path.write_text(good)


def test_an_environment_without_a_backend_is_named(given_run, invoke):
    path = given_run.path / "environment.json"
    good = path.read_text()
    path.write_text("{}")
    status, _, err = invoke("evaluate", given_run.path)
    path.write_text(good)
    assert status in (0, 1)
    assert len(err.splitlines()) == status


@pytest.mark.parametrize(
    "command", [["top-activations"], ["filters"], ["predict"], ["feature-maps"]]
)
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_model_that_gives_no_numbers_is_refused_in_one_line(command, flag, invoke):
    save_good()

    def spoil(weights):
        kernel = weights["layers/conv2d/vars/0"]
        kernel[...] = np.nan

    with_weights("good.keras", spoil)
    Path("pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 9, 9)).save(f"pictures/{number}.png")
    place = ["pictures"] if command == ["predict"] else ["--images", "pictures"]
    status, out, err = invoke(*command, *place, "--model", "good.keras", *flag)
    assert status == 1
    assert out == ""
    assert "not finite" in err
    assert len(err.splitlines()) == 1


def test_every_error_that_is_raised_on_purpose_has_one_base():
    assert issubclass(ModelError, KerascnnError)
    assert Run("x").path == Path("x")
