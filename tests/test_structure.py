"""Imports point one way only, and what is light stays light."""

import ast
import functools
from pathlib import Path

import pytest

import kerascnn

ROOT = Path(kerascnn.__file__).parent
# A module imports only from those before it. A new module takes its place here.
ORDER = """
errors archive seeds images recipe backend
data.cache data.shapes data.cifar10 data.preparation data.folder data data.batches
augment model steps.chain steps.torch steps.tensorflow steps run checkpoint callbacks train
metrics compare filters plots filter_plots tables activations taps evaluate survey subject look
readings results audit.finding audit.evidence audit.numbers audit.layers audit.curves
audit.predictions audit.claims audit
page.charts page.pictures page.measured page.examples page.explorer page.comparison page.render page
exchange reproduce progress display bench bench.pytorch_script bench.keras_fit bench.worker
cli.output cli.evaluate cli.augmentations cli.bench cli.data cli.look cli.recipes cli.report
cli.run cli.runs cli.study cli.exchange cli __main__
""".split()  # noqa: SIM905
MEASURE_OR_SHOW = ORDER[ORDER.index("metrics") : ORDER.index("progress")]
NEVER_KERAS = {"errors", "seeds", "images", "recipe", "run"} | {
    "metrics", "compare", "filters", "plots", "filter_plots", "tables", "readings", "results",
    "audit", "audit.finding", "audit.evidence", "audit.numbers", "audit.layers", "audit.curves",
    "audit.predictions", "audit.claims", "reproduce", "display",
}  # fmt: skip
# These may use Keras inside a function, not when they are imported.
LIGHT = [name for name in ORDER if name.startswith(("backend", "cli", "data", "page"))]
LIGHT += ["archive", "survey", "subject", "look"]  # what a run keeps is shown without Keras
LIGHT.remove("data.batches")
FRAMEWORKS = {"keras", "torch", "jax", "tensorflow"}


def source(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules():
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.py"))
    return {name.removesuffix(".__init__") for name in names} - {"__init__"}


@functools.cache
def imports(module, top_only=False):
    """Dotted names that a module imports; `from a import b` gives `a` and `a.b`."""
    tree = ast.parse(source(module).read_text("utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = set()
    for node in ast.walk(tree):
        if top_only and id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(module, top_only=False):
    return {name.split(".")[0] for name in imports(module, top_only)}


def rooms(module, top_only=False):
    """Other modules of kerascnn that a module imports."""
    found = imports(module, top_only)
    names = {name.removeprefix("kerascnn.") for name in found if name.startswith("kerascnn.")}
    return names & set(ORDER) - {module}


def test_every_module_has_its_place_in_the_order():
    assert not modules() - set(ORDER), "put these into ORDER"
    assert not set(ORDER) - modules(), "take these out of ORDER"
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("module", ORDER)
def test_imports_point_one_way_only(module):
    assert rooms(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", MEASURE_OR_SHOW)
def test_nothing_that_measures_or_shows_can_augment_or_train(module):
    reached, new = set(), {module}
    while new:
        reached |= new
        new = set().union(*map(rooms, new)) - reached
    assert not {name.split(".")[0] for name in reached} & {"augment", "steps", "train"}


@pytest.mark.parametrize("module", sorted(NEVER_KERAS))
def test_what_needs_no_keras_imports_none(module):
    assert not packages(module) & FRAMEWORKS


@pytest.mark.parametrize("module", LIGHT)
def test_what_must_start_quickly_imports_keras_only_when_used(module):
    assert not packages(module, top_only=True) & FRAMEWORKS
    heavy = {name for name in ORDER if packages(name, top_only=True) & FRAMEWORKS}
    assert not rooms(module, top_only=True) & heavy


def test_matplotlib_is_imported_by_plots_only():
    found = {module for module in ORDER if "matplotlib" in packages(module)}
    assert found == {"plots", "filter_plots"}


def test_typer_is_imported_by_the_command_line_only():
    assert {name.split(".")[0] for name in ORDER if "typer" in packages(name)} == {"cli"}
