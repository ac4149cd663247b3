"""The public names are what they say, whatever was imported before them."""

import subprocess
import sys

import pytest

import kerascnn

# Names of one module come and go together, so pairs of modules stand for all pairs of names.
IMPORT_PAIRS = """
import importlib, itertools, sys, types
import kerascnn

homes = {}
for name, home in kerascnn._HOMES.items():
    homes.setdefault(home, []).append(name)
for pair in itertools.product(homes, repeat=2):
    for module in [name for name in sys.modules if name.split(".")[0] == "kerascnn"]:
        del sys.modules[module]
    package = importlib.import_module("kerascnn")
    for name in [name for home in pair for name in homes[home]]:
        found = getattr(package, name)
        assert not isinstance(found, types.ModuleType), (pair, name)
        assert found.__name__ == name, (pair, name)
        assert getattr(package, name) is found, (pair, name)
print(len(homes) ** 2)
"""
FUNCTIONS = ("train", "resume", "evaluate", "compare", "predict", "audit", "convert", "export")


@pytest.mark.slow
def test_every_name_is_a_function_or_a_class_in_every_order_of_imports():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_PAIRS], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_one_does_is_a_function(name):
    assert callable(getattr(kerascnn, name))
    assert getattr(kerascnn, name).__name__ == name


@pytest.mark.parametrize("first", ["train", "evaluate", "resume"])
def test_names_of_one_line_are_functions_in_a_fresh_process(first):
    names = (first, *(name for name in FUNCTIONS if name != first))
    code = (
        f"from kerascnn import {', '.join(names)}\nprint(all(map(callable, ({', '.join(names)}))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
