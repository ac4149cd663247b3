"""Imports run one way, from the recipe to the command line, and what is light stays light."""

import ast
import functools
import graphlib
from pathlib import Path

import pytest

import kerascnn

ROOT = Path(kerascnn.__file__).parent
# A room imports from the lines above it alone; rooms of one line know nothing of each other.
WAY = """
errors names regular_files seeds signals zips
records
backend denormals
recipe
data
model run show
training evaluation
look
study
page
exchange bench
cli
__main__
"""
# Only these bring Keras or torch with them when they are imported; others ask for it when they run.
HEAVY = {
    "training", "model.activation", "model.axes", "model.build", "model.chain", "model.compilation",
    "model.draws", "model.graph", "model.native", "model.taps", "model.trusted",
    "look.activations", "look.arrays", "look.classifier", "look.forward",
    "look.preparation", "look.survey",
    "exchange", "bench.keras_fit", "bench.pytorch_script", "bench.expert_script",
    "bench.whole_run", "bench.profile", "cli.training_display",
}  # fmt: skip
# These open files themselves: with checks of their own, or what the package brought or just wrote.
OPENERS = {
    "regular_files", "data.pictures",
    "data", "page.render", "study.claims", "study.reproduce",
}  # fmt: skip
FRAMEWORKS = {"keras", "torch", "jax", "tensorflow"}
# What others than Keras have under a private name, and have no other way to.
OTHERS_PRIVATE = {
    "os._exit",
    "torch._fused_adam_",
    *(f"torch._foreach_{name}" for name in ("add_", "addcmul_", "div", "lerp_")),
    *(f"torch._foreach_{name}" for name in ("mul_", "sqrt", "sub_")),
    "builder._split_generators",
    "builder._log_download_bytes",
    "builder._log_download_done",
}


def source(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def find_modules():
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.py"))
    return sorted({name.removesuffix(".__init__") for name in names} - {"__init__"})


MODULES = find_modules()


def room(module):
    return module.split(".")[0]


def is_for_types_only(block):
    return isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"


@functools.cache
def imports(module, top_only=False):
    """Dotted names that a module imports; `from a import b` gives `a` and `a.b`."""
    tree = ast.parse(source(module).read_text("utf-8"))
    inside = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types_only(block)
        for node in ast.walk(block)
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


def own(module, top_only=False):
    """Modules of kerascnn that a module imports."""
    found = imports(module, top_only)
    names = {name.removeprefix("kerascnn.") for name in found if name.startswith("kerascnn.")}
    return names & set(MODULES) - {module}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way_only(module):
    lines = [line.split() for line in WAY.split("\n")]
    place = next(place for place, line in enumerate(lines) if room(module) in line)
    before = {name for line in lines[:place] for name in line} | {room(module)}
    assert {room(name) for name in own(module)} <= before


def test_no_module_imports_itself_by_way_of_others():
    graphlib.TopologicalSorter({module: own(module) for module in MODULES}).prepare()


def test_only_the_command_line_the_bench_and_the_exchange_train():
    found = {room(module) for module in MODULES if "training" in map(room, own(module))}
    assert found <= {"training", "bench", "exchange", "cli"}


def test_figures_and_tables_know_of_nothing_but_what_they_show():
    found = {room(name) for module in MODULES if room(module) == "show" for name in own(module)}
    assert found <= {"show", "records", "recipe"}


@pytest.mark.parametrize("module", MODULES)
def test_keras_is_imported_where_networks_are_and_else_when_used(module):
    reached, new = set(), {module}
    while new:
        reached |= new
        new = set().union(*(own(name, top_only=True) for name in new)) - reached
    is_heavy = any(_imports_framework_on_top(name) for name in reached)
    assert is_heavy == any(f"{module}.".startswith(f"{heavy}.") for heavy in HEAVY)


def _imports_framework_on_top(module):
    text = source(module).read_text("utf-8")
    tree = ast.parse(text)
    typed = {
        id(node) for block in ast.walk(tree) if is_for_types_only(block) for node in ast.walk(block)
    }
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in typed
        for alias in node.names
    }
    return bool({name.split(".")[0] for name in names} & FRAMEWORKS)


@pytest.mark.parametrize("room_name", ["records", "recipe", "run", "show"])
def test_what_only_stores_or_shows_never_imports_keras(room_name):
    of_room = [module for module in MODULES if room(module) == room_name]
    assert not {name for module in of_room for name in packages(module)} & FRAMEWORKS


def test_matplotlib_is_imported_where_figures_are_drawn():
    assert {room(name) for name in MODULES if "matplotlib" in packages(name)} == {"show"}


def test_typer_is_imported_by_the_command_line_only():
    assert {room(name) for name in MODULES if "typer" in packages(name)} == {"cli"}


@pytest.mark.parametrize("module", [module for module in MODULES if module not in OPENERS])
def test_files_of_others_are_opened_in_one_way(module):
    calls = {
        ast.unparse(node.func).rpartition(".")
        for node in ast.walk(ast.parse(source(module).read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not {name for _, _, name in calls} & {"read_text", "read_bytes", "fromfile", "loadtxt"}
    assert not {".".join(filter(None, (of, name))) for of, _, name in calls} & {"open", "io.open"}


@functools.cache
def own_private_names():
    """Names that the package gives to functions, classes, variables and attributes of `self`."""
    found = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(source(module).read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(getattr(node, "ctx", None), ast.Store):
                found.add(ast.unparse(node).removeprefix("self."))
    return found


def find_private(text):
    """Private attributes of others that some source reads or sets, by what it says."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            of, name = ast.unparse(node.value), node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            of, name = ast.unparse(node.args[0]), getattr(node.args[1], "value", "")
        else:
            continue
        is_private = str(name).startswith("_") and not str(name).endswith("__")
        is_own = of in ("self", "cls") and name in own_private_names()
        if is_private and not is_own and f"{of}.{name}" not in OTHERS_PRIVATE:
            yield f"{of}.{name}"


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) != "model"])
def test_what_is_private_to_keras_is_read_in_the_room_of_the_models_alone(module):
    text = source(module).read_text("utf-8")
    assert "keras.src" not in text
    assert not list(find_private(text))


def test_a_private_attribute_is_found_however_it_is_read():
    text = """
model._functional.layers
hasattr(graph, "_nodes_by_depth")
class Own(keras.Model):
    def own(self):
        return self._inbound_nodes, self.__class__, model.public, getattr(self, name)
"""
    assert sorted(find_private(text)) == [
        "graph._nodes_by_depth", "model._functional", "self._inbound_nodes",
    ]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module):
    text = source(module).read_text("utf-8")
    assert text.count("\n") <= 400
    lengths = {each.name: each.end_lineno - each.lineno + 1 for each in functions(text)}
    assert not {name: length for name, length in lengths.items() if length > 60}


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_say_what_they_take_and_give(module):
    public = [each for each in ast.parse(source(module).read_text("utf-8")).body
              if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")]  # fmt: skip
    for function in public:
        arguments = [*function.args.args, *function.args.kwonlyargs]
        assert function.returns is not None, function.name
        assert all(argument.annotation for argument in arguments), function.name


def functions(text):
    return [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)]
