"""Layers, activations and models of one's own, from a Python file that the person names.

The code is the person's: a model's file never says which code is run.
"""

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from kerascnn.errors import ModelError


def load_custom(files: Iterable[Path]) -> dict[str, object]:
    """What Python files define for Keras to build models of, as `custom_objects` takes it.

    Each file is run, with its folder to import from. Taken are the classes and functions that it
    registers with `keras.saving.register_keras_serializable`, and all others by their own names,
    if they are defined in it or in a file beside it. None of them stays registered.

    Args:
        files: Python files; a later one's objects replace an earlier one's of the same name.

    Raises:
        ModelError: if a file is not there, no Python file, or its code fails; naming the line.
    """
    found: dict[str, object] = {}
    for path in files:
        found |= _load_file(path)
    return found


def _load_file(path: Path) -> dict[str, object]:
    import keras

    if not path.is_file():
        raise ModelError(f"There is no file '{path}'; --custom takes a Python file.")
    if path.suffix != ".py":
        raise ModelError(f"'{path}' is no Python file; --custom takes one that ends in .py.")
    folder, registry = path.resolve().parent, keras.saving.get_custom_objects()
    before = dict(registry)
    try:
        module = _run(path)
        found = {name: value for name, value in vars(module).items() if _is_of(folder, value)}
        found |= {keras.saving.get_registered_name(value): value for value in found.values()}
        return found | {name: value for name, value in registry.items() if _is_of(folder, value)}
    finally:
        for name in [name for name, value in registry.items() if _is_of(folder, value)]:
            del registry[name]
        registry |= before


def _run(path: Path) -> ModuleType:
    """The module of a file, run under a name that no other module has."""
    file = path.resolve()
    spec = importlib.util.spec_from_file_location(f"custom_{path.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with _importing_from(file.parent), contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the code of a person raises
        del sys.modules[spec.name]
        raise ModelError(f"'{path}' cannot be used: {_describe(error, file)}.") from None
    return module


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as where Python itself runs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _is_of(folder: Path, value: object) -> bool:
    """Whether something is a function, or a class that Keras can build, of a file in the folder."""
    is_class = isinstance(value, type) and hasattr(value, "from_config")
    if not is_class and not isinstance(value, FunctionType):
        return False
    file = getattr(sys.modules.get(value.__module__), "__file__", None)
    return bool(file) and Path(file).parent == folder


def _describe(error: BaseException, file: Path) -> str:
    """What an error says, after the line of the file in which it arose."""
    text = " ".join(str(getattr(error, "msg", error)).split()).rstrip(".")
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"line {error.lineno}: {text}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    return f"line {lines[-1]}: {text}" if lines else text
