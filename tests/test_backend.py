"""The Keras backend is settled at import. Each test asks a fresh Python, for it is settled once."""

import importlib.util
import json
import os
import platform
import subprocess
import sys

import pytest

# Makes packages look uninstalled, also to importlib.util.find_spec.
WITHOUT = """
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
def find_no_backend(name, path=None, target=None):
    return None if name in {absent!r} else find_spec(name, path, target)
PathFinder.find_spec = staticmethod(find_no_backend)
"""
REQUIRE = """
from kerascnn.backend import require_backend
from kerascnn.errors import BackendError
try:
    print(require_backend())
except BackendError as error:
    print("refused:", error)
"""


def python(program, **environment):
    """Standard output of a program that inherits no choice of a backend."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("KERAS_", "TF_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torch_is_the_backend_even_where_keras_json_says_tensorflow(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({"backend": "tensorflow"}))
    program = "import kerascnn, keras; print(keras.config.backend())"
    assert python(program, HOME=str(tmp_path)) == "torch"
    without = python("import os, sys, kerascnn; print(os.environ['KERAS_BACKEND'])")
    assert without == "torch"


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")
def test_environment_chooses_the_backend():
    program = "import kerascnn, keras; print(keras.config.backend())" + REQUIRE
    assert python(program, KERAS_BACKEND="jax").split() == ["jax", "jax"]


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")
def test_keras_that_was_imported_first_keeps_its_backend():
    program = (
        "import os, keras; del os.environ['KERAS_BACKEND']; import kerascnn\n"
        "print(os.environ.get('KERAS_BACKEND'))"
    )
    assert python(program + REQUIRE, KERAS_BACKEND="jax").split() == ["None", "jax"]


def test_empty_environment_variable_means_torch():
    assert python("import kerascnn" + REQUIRE, KERAS_BACKEND="") == "torch"


@pytest.mark.parametrize("name", ["tensrflow", "Torch", "numpy"])
def test_backend_that_cannot_train_is_refused_by_its_name(name):
    assert python(REQUIRE, KERAS_BACKEND=name) == (
        f"refused: KERAS_BACKEND is '{name}'; expected one of torch, jax, tensorflow. "
        "Unset it to use torch."
    )


@pytest.mark.parametrize(
    ("name", "requirement"),
    [
        ("torch", "torch"),
        ("jax", "'kerascnn[jax]'"),
        ("tensorflow", "'kerascnn[tensorflow]'"),
    ],
)
def test_backend_that_is_not_installed_names_what_to_install(name, requirement):
    said = python(WITHOUT.format(absent={name}) + REQUIRE, KERAS_BACKEND=name)
    assert said.startswith(f"refused: The Keras backend '{name}' is not installed. ")
    assert f"`pip install {requirement}`" in said


def test_importing_the_package_imports_nothing_heavy():
    heavy = {"keras", "torch", "tensorflow", "jax", "numpy", "scipy", "matplotlib", "pydantic"}
    program = f"import sys, kerascnn; print(sorted({heavy!r} & set(sys.modules)))"
    assert python(program) == "[]"


def test_light_modules_bring_neither_keras_nor_a_backend():
    modules = "cli, data, evaluation, look, page, recipe, run, seeds, show, study"
    program = (
        f"import sys\nfrom kerascnn import {modules}\n"
        "print(sorted({'keras', 'torch', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    assert python(program) == "[]"


def test_importing_the_package_is_quick():
    program = (
        "import sys, time; start = time.process_time(); import kerascnn; "
        "print(time.process_time() - start)"
    )
    assert min(float(python(program)) for _ in range(3)) < 0.2


def test_names_are_resolved_when_first_used_and_listed_before():
    program = (
        "import sys, kerascnn\n"
        "assert 'evaluate' in dir(kerascnn) and 'keras' not in sys.modules\n"
        "print(kerascnn.load_recipe('adam-lr0.001').name, 'keras' in sys.modules)\n"
        "try: kerascnn.nonsense\n"
        "except AttributeError as error: print(error)"
    )
    assert python(program).splitlines() == [
        "adam-lr0.001 False",
        "module 'kerascnn' has no attribute 'nonsense'",
    ]


def test_description_names_backend_device_threads_and_versions():
    program = (
        "import json\nfrom kerascnn.backend import describe_backend\n"
        "print(json.dumps(describe_backend()))"
    )
    found = json.loads(python(program, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES=""))
    assert (found["backend"], found["device"], found["threads"]) == ("torch", "cpu", 1)
    assert list(found["versions"]) == ["kerascnn", "keras", "torch", "numpy", "tensorflow-datasets"]
    assert all(version[0].isdigit() for version in found["versions"].values())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back")
def test_freed_memory_is_kept_for_the_next_batch():
    code = """
import numpy as np, resource, sys
from kerascnn.backend import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
before = None
for _ in range(20):
    blocks = [np.ones(10_000_000, "uint8") for _ in range(8)]
    del blocks
    before = before or resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, word], capture_output=True, text=True
            ).stdout
        )
        for word in ("keep", "give")
    ]
    assert faults[0] < 100 < 1000 < faults[1]
