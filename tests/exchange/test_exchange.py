"""Weights come in from PyTorch and go out again as the same function."""

import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from made.pytorch import Reference, as_pytorch_has_it, draw_images

from kerascnn.errors import ExchangeError, RunError
from kerascnn.evaluation import evaluate, load_best_model
from kerascnn.exchange import convert, export
from kerascnn.exchange.network import build_network, loading_script
from kerascnn.model.build import build_model
from kerascnn.recipe import load_recipe
from kerascnn.records.run import Environment
from kerascnn.run import Run
from kerascnn.run.find import create_run

RECIPE = load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})
SMALL = RECIPE.with_values({"model.filters": [4, 6, 8], "model.units": 16})


def randomize(network, seed=0):
    """Give every tensor of a module its own numbers, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif "running" in name or (tensor.ndim == 1 and tensor.is_floating_point()):
            tensor.uniform_(-0.5, 1.0, generator=generator)
    return network.eval()


def logits_of(network, images):
    with torch.no_grad():
        return network(as_pytorch_has_it(images)).numpy()


def save(content, name="weights.pt"):
    torch.save(content, name)
    return Path(name)


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(1)
    return randomize(Reference())


@pytest.fixture
def run(reference):
    """The reference, converted."""
    return convert(save(reference.state_dict()), RECIPE)


# In.


def test_converted_weights_give_the_logits_of_pytorch(run, reference):
    images = draw_images(50)[0]
    expected = logits_of(reference, images)
    given = load_best_model(run).predict(images, verbose=0)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def test_converted_run_says_where_it_came_from(run):
    environment = run.read_environment()
    digest = hashlib.sha256(Path("weights.pt").read_bytes()).hexdigest()
    source = {"file": "weights.pt", "sha256": digest, "num_rounded": 0}
    assert environment["converted_from"] == source
    assert environment["num_parameters"] == 1_148_362
    assert run.converted_from == "weights.pt"
    assert run.recipe == RECIPE
    assert not (run.path / "history.csv").exists()
    assert str(Path.cwd()) not in (run.path / "environment.json").read_text()


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_checkpoint_that_holds_a_state_dict_is_understood(reference, key):
    content = {"epoch": 3, "optimizer": {"lr": 0.1}, key: reference.state_dict()}
    run = convert(save(content), RECIPE)
    images = draw_images(5)[0]
    given = load_best_model(run).predict(images, verbose=0)
    np.testing.assert_allclose(given, logits_of(reference, images), atol=1e-5)


def test_names_and_the_order_of_kinds_do_not_matter(reference):
    state = reference.state_dict()
    groups = ["fc1", "fc2", "bn1", "bn2", "bn3", "conv1", "conv2", "conv3"]
    other = {
        f"module.net.{9 - place}.{key.rpartition('.')[2]}": state[key]
        for place, group in enumerate(groups)
        for key in state
        if key.startswith(f"{group}.")
    }
    run = convert(save(other), RECIPE)
    images = draw_images(5)[0]
    given = load_best_model(run).predict(images, verbose=0)
    np.testing.assert_allclose(given, logits_of(reference, images), atol=1e-5)


def test_half_and_double_precision_are_taken_as_float32(reference):
    for dtype in (torch.bfloat16, torch.float64):
        state = {name: tensor.to(dtype) for name, tensor in reference.state_dict().items()}
        kernel = load_best_model(convert(save(state), RECIPE)).get_layer("logits").kernel
        assert keras.backend.standardize_dtype(kernel.dtype) == "float32"
        expected = state["fc2.weight"].float().numpy().T
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernel), expected)


def without(key):
    return lambda state: {name: tensor for name, tensor in state.items() if name != key}


def with_(key, tensor):
    return lambda state: {**state, key: tensor}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("conv2.bias"), ["no 'conv2.bias'", "conv2 needs it, of shape 64"]),
        (without("bn3.running_var"), ["no 'bn3.running_var'", "128"]),
        (without("bn3.running_mean"), ["'bn3.weight' 128", "belongs to no"]),
        (
            with_("conv2.weight", torch.zeros(48, 32, 3, 3)),
            ["'conv2.weight'", "shape 48x32x3x3", "expects 64x32x3x3", "--set model."],
        ),
        (with_("fc1.weight", torch.zeros(512, 8192)), ["512x8192", "fc1", "expects 512x2048"]),
        (with_("fc2.weight", torch.zeros(7, 512)), ["'fc2.weight'", "7x512", "expects 10x512"]),
        (with_("fc3.weight", torch.zeros(10, 10)), ["3 of kind linear layer", "fc3", "has 2"]),
        (with_("attention.weight", torch.zeros(2, 2, 2)), ["'attention.weight' 2x2x2"]),
        (with_("fc1.bias", torch.full((512,), torch.nan)), ["'fc1.bias'", "not finite"]),
        (with_("epoch", 7), ["holds 'epoch', which is no tensor", "model_state_dict"]),
        (lambda state: {}, ["holds no state_dict but an empty dict"]),
        (lambda state: torch.zeros(3), ["holds no state_dict but a Tensor"]),
    ],
)
def test_other_weights_are_refused_in_words_and_leave_no_run(reference, change, words):
    path = save(change(dict(reference.state_dict())))
    with pytest.raises(ExchangeError) as caught:
        convert(path, RECIPE)
    for word in [*words, "weights.pt"]:
        assert word in str(caught.value), caught.value
    assert not Path("runs").exists()


def test_file_that_could_run_code_is_refused_and_runs_none(tmp_path):
    class Evil:
        def __reduce__(self):
            return exec, ("open('done', 'w').close()",)

    for content in (Evil(), {"conv1.weight": Evil()}, Reference()):
        torch.save(content, "evil.pt")
        with pytest.raises(ExchangeError, match=r"'evil.pt' .* could run code.*state_dict\(\)"):
            convert("evil.pt", RECIPE)
    assert not (tmp_path / "done").exists()


def test_file_that_unfolds_to_far_more_than_it_holds_is_refused(reference):
    path = save(reference.state_dict())
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    biggest = max(members, key=lambda name: len(members[name]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(10**9) if name == biggest else content)
    with pytest.raises(ExchangeError, match="would unfold from"):
        convert(path, RECIPE)


def test_printed_script_is_one_of_comments_and_code_whatever_the_run_is_called(run):
    hostile = run.path.parent / "a\nimport os"
    run.path.rename(hostile)
    script = loading_script(Run(hostile), "net.pt")
    assert "\nimport os" not in script


def test_file_that_is_missing_or_damaged_is_named():
    with pytest.raises(ExchangeError, match=r"'none.pt' cannot be read: No such file"):
        convert("none.pt", RECIPE)
    for content in (b"", b"hello", b"PK\x03\x04 cut off"):
        Path("broken.pt").write_bytes(content)
        with pytest.raises(ExchangeError, match=r"'broken.pt' is no file of weights"):
            convert("broken.pt", RECIPE)


# Out.


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model.pool_after": [2], "model.filters": [3, 4]},
        {"model.kernel_size": 4, "model.pool_after": [1]},
        {"model.filters": [5], "model.pool_after": [], "model.kernel_size": 1},
    ],
    ids=["default", "two blocks", "even kernel", "one block"],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_round_trip_changes_no_logit_whatever_the_recipe(values):
    recipe = SMALL.with_values({"model.pool_after": [1], **values})
    network = randomize(build_network(recipe))
    run = convert(save(network.state_dict()), recipe)
    images = draw_images(20)[0]
    given = load_best_model(run).predict(images, verbose=0)
    np.testing.assert_allclose(given, logits_of(network, images), rtol=0, atol=1e-5)
    export(run, "again.pt", "torch")
    again = torch.load("again.pt", weights_only=True)
    state = network.state_dict()
    assert list(again) == list(state)
    for name, tensor in again.items():
        assert torch.equal(tensor, state[name]), name


def test_oblong_images_are_flattened_in_order():
    recipe = SMALL.with_values({"model.pool_after": [1, 2]})
    run, model = create_run(recipe), build_model(recipe, (12, 20, 3), 4)
    run.write_best(model.save)
    export(run, "oblong.pt", "torch")
    network = build_network(recipe, (12, 20, 3), 4).eval()
    network.load_state_dict(torch.load("oblong.pt", weights_only=True))
    images = np.random.default_rng(0).integers(0, 256, (6, 12, 20, 3)).astype("uint8")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(logits_of(network, images), expected, rtol=0, atol=1e-5)


def test_keras_file_has_the_weights_and_no_optimizer(run):
    export(run, "net.keras", "keras")
    images = draw_images(5)[0]
    model = keras.saving.load_model("net.keras")
    expected = load_best_model(run).predict(images, verbose=0)
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
    assert not model.compiled


def test_onnx_gives_the_logits_for_any_number_of_images(run):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    export(run, "net.onnx", "onnx")
    session = runtime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    (given,), (taken,) = session.get_outputs(), session.get_inputs()
    assert (taken.name, taken.shape) == ("image", ["num_images", 32, 32, 3])
    assert (given.name, given.shape) == ("logits", ["num_images", 10])
    for count in (1, 2, 33):
        images = draw_images(count)[0]
        expected = load_best_model(run).predict(images, verbose=0)
        (logits,) = session.run(None, {"image": images.astype("float32")})
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_onnx_without_its_packages_says_what_to_install(run, monkeypatch):
    found = __import__("importlib").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if "onnx" in name else found(name)
    )
    with pytest.raises(ExchangeError, match=r"onnx and onnxscript: `pip install 'kerascnn\[onnx\]"):
        export(run, "net.onnx", "onnx")


@pytest.mark.parametrize(("kind", "name"), [("torch", "net.pt"), ("keras", "net.keras")])
def test_existing_file_is_kept_unless_it_may_be_replaced(run, kind, name):
    Path(name).write_text("mine")
    with pytest.raises(ExchangeError, match=f"'{name}' exists already.*--force"):
        export(run, name, kind)
    assert Path(name).read_text() == "mine"
    export(run, name, kind, overwrite=True)
    assert Path(name).stat().st_size > 1000


def test_failed_export_leaves_nothing_behind(run, monkeypatch):
    Path("net.pt").write_text("mine")

    def fail(state, path):
        Path(path).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    before = sorted(Path().iterdir())
    with pytest.raises(RunError, match=r"'net.pt' cannot be written: No space left"):
        export(run, "net.pt", "torch", overwrite=True)
    assert Path("net.pt").read_text() == "mine"
    assert sorted(Path().iterdir()) == before


def test_model_that_is_not_the_recipes_is_not_exported(run):
    run.write_recipe(SMALL)
    with pytest.raises(ExchangeError, match="is not the network of its recipe"):
        export(run, "net.pt", "torch")


# The command line.


@pytest.fixture
def converted(reference, invoke):
    """Path of a run that the command converted."""
    save(reference.state_dict())
    status, out, err = invoke("convert", "weights.pt", "--dataset", "shapes")
    assert status == 0
    path = out.strip()
    assert f"`kerascnn evaluate {path}`" in err
    return path


def test_every_command_works_on_a_converted_run(converted, invoke):
    assert json.loads(invoke("runs", "--json")[1])[0]["status"] == "converted"
    status, out, _ = invoke("evaluate", converted)
    assert status == 0
    assert "No curves: the weights were converted from 'weights.pt'" in out
    assert "epoch" not in out
    assert "test loss" in out
    assert {path.stem for path in Path(converted, "figures").iterdir()} == {
        "examples",
        "confusion",
        "per_class",
    }
    measured = json.loads(invoke("evaluate", converted, "--json")[1])
    assert measured["epochs"] == 0
    assert [measured[key] for key in ("best_epoch", "best_val_loss", "train_loss")] == [None] * 3
    row = json.loads(invoke("runs", "--json")[1])[0]
    assert (row["status"], row["accuracy"]) == ("finished", measured["test"]["accuracy"])
    assert invoke("runs")[0] == 0
    for arguments in (
        ("compare", converted, converted),
        ("top-activations", converted),
        ("feature-maps", converted),
        ("filters", converted),
        ("explain-filter", "3", converted),
    ):
        assert invoke(*arguments)[0] == 0, arguments


def test_printed_script_is_of_the_recipe_and_of_any_version_of_torch(run):
    script = loading_script(run, "my net.pt")
    assert '("conv2", nn.Conv2d(32, 64, 3, padding="same")),' in script
    assert '("bn3", nn.BatchNorm2d(128)),' in script
    assert 'torch.load("my net.pt", weights_only=True)' in script


def test_exported_weights_load_by_the_script_that_is_printed(converted, reference, invoke):
    status, script, err = invoke("export", converted, "--format", "torch", "--out", "net.pt")
    assert status == 0
    assert "Wrote net.pt." in err
    names = {}
    exec(script, names)  # the script is what is tested
    images = draw_images(20)[0]
    expected = logits_of(reference, images)
    np.testing.assert_allclose(logits_of(names["network"], images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "none.pt"], "'none.pt' cannot be read"),
        (["convert", "weights.pt", "--set", "model.units=9"], "expects 9x2048"),
        (["convert", "weights.pt", "--recipe", "adam"], "'adam' is not known"),
        (["convert", "weights.pt", "--dataset", "cifar11"], "'cifar11' is not known"),
        (["export", "RUN", "--format", "keras", "--out", "net.h5"], "must end in .keras"),
        (["export", "RUN", "--format", "torch", "--out", "weights.pt"], "exists already"),
        (["export", "RUN", "--format", "torch", "--out", "no/such/net.pt"], "cannot be written"),
        (["export", "none", "--format", "torch", "--out", "net.pt"], "'none' in its name"),
    ],
)
def test_bad_input_is_one_line_and_exit_1(converted, invoke, arguments, words):
    status, out, err = invoke(*(converted if each == "RUN" else each for each in arguments))
    assert (status, out) == (1, "")
    assert len(err.strip().splitlines()) == 1
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert"],
        ["export"],
        ["export", "--format", "pt", "--out", "a"],
        ["export", "--out", "a"],
        ["export", "latest", "--model", "a.keras", "--format", "keras", "--out", "b.keras"],
    ],
)
def test_wrong_usage_exits_2(invoke, arguments):
    assert invoke(*arguments)[0] == 2


def test_evaluation_on_images_of_another_size_or_number_of_classes_says_so():
    recipe = SMALL.with_values({"model.pool_after": [1]})
    run = create_run(recipe)
    run.write_environment(Environment(backend="torch"))
    run.write_best(build_model(recipe, (16, 16, 3), 4).save)
    with pytest.raises(RunError, match=r"16x16x3 and tells apart 4 classes; .* 32x32x3 and 10"):
        evaluate(run)
