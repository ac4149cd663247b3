"""What a model from elsewhere may be made of: what Keras computes with, and nothing else.

Keras's safe mode alone refuses Lambda layers and the like by name. Here a class or function passes
only if it is one of these very objects:

- what Keras exports for building networks, under `keras.layers`, `keras.losses` and the other
  NAMESPACES, but for REFUSED: what runs code or reads files, and what does not compute on pictures;
- the three kinds of model: `keras.Model`, `keras.Sequential`, and the functional model;
- operations that Keras does not export but saves: a call of `keras.ops.sqrt` is saved as the class
  `Sqrt`, `x[:, 1:]` as `GetItem`, and a ConvNeXt holds a `LayerScale`. An operation passes where
  Keras defines it in the same file as a function that it exports there, or as one of
  `keras.applications`.

The functions of `keras.applications` themselves do not pass: they download weights.

Beside these passes what the person who loads the model gives (`custom_objects`), and then Lambda
layers too, since a function that the person gives has a name. Python code in the file never passes.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, ModuleType

import keras
from keras import layers, ops

from kerascnn.zips import quote

NAMESPACES = (
    keras.activations,
    keras.constraints,
    keras.dtype_policies,
    keras.initializers,
    keras.layers,
    keras.losses,
    keras.metrics,
    keras.ops,
    keras.optimizers,
    keras.quantizers,
    keras.random,
    keras.regularizers,
)
# These find an object by its name, whatever it is.
FINDERS = ("deserialize", "get", "serialize")
REFUSED = {
    # They run code of the file, or of another file.
    layers.FlaxLayer,
    layers.JaxLayer,
    layers.Lambda,
    layers.TFSMLayer,
    layers.TorchModuleWrapper,
    # They read a vocabulary from any file, or are for words and sound.
    layers.CategoryEncoding,
    layers.Discretization,
    layers.HashedCrossing,
    layers.Hashing,
    layers.IntegerLookup,
    layers.MelSpectrogram,
    layers.STFTSpectrogram,
    layers.StringLookup,
    layers.TextVectorization,
    # Of these, others are made; no network is made of them.
    layers.InputSpec,
    layers.Layer,
    layers.Wrapper,
}
# Operations that call functions, as often as they like; functions without a name, as people give
# them, cannot be saved.
REFUSED_OPERATIONS = ("AssociativeScan", "Cond", "ForiLoop", "JVP", "Map", "Scan", "Switch")
REFUSED_OPERATIONS += ("VectorizedMap", "WhileLoop")
REFUSED_FUNCTIONS = {
    ops.associative_scan,
    ops.cond,
    ops.custom_gradient,
    ops.fori_loop,
    ops.linalg.jvp,
    ops.map,
    ops.scan,
    ops.switch,
    ops.vectorized_map,
    ops.while_loop,
}
# What Keras writes for values that are no objects.
PLAIN_CLASSES = frozenset(
    f"__{name}__" for name in ("keras_tensor", "tensor", "numpy", "bytes", "ellipsis", "slice")
)


def check_classes(config: dict, custom_objects: Mapping[str, object] | None = None) -> None:
    """Refuse a configuration of a model that names anything that is not trusted, at any depth.

    Args:
        config: what `config.json` holds.
        custom_objects: what the person who loads the model gives, by the names in the file.

    Raises:
        ValueError: naming it.
    """
    values: list[object] = [config]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                _check_class(value, custom_objects or {})
            values += value.values()
        elif isinstance(value, list):
            values += value


def find_object(module: str, name: str) -> type | FunctionType | None:
    """The class or function that Keras takes for a name in a file; nothing is imported for it."""
    if module.split(".")[0] != "keras" or module not in sys.modules:
        return None
    found = vars(sys.modules[module]).get(name)
    return found if isinstance(found, type | FunctionType) else None


def _check_class(value: dict, custom: Mapping[str, object]) -> None:
    kind, module = value["class_name"], value.get("module")
    if kind in PLAIN_CLASSES:
        return
    if kind == "__lambda__":
        raise ValueError(
            "it holds Python code, a function without a name, which is not run; build it with a "
            "function that `def` names, and give that one by --custom FILE.py"
        )
    is_function = kind == "function"
    name = value.get("config") if is_function else kind
    if not isinstance(name, str):
        raise ValueError("its config.json is damaged: a class has no name")
    if _is_given(value, name if is_function else value.get("registered_name", kind), custom):
        return
    if is_function and module == "builtins":  # one of Keras's own, which has it by name
        return
    found = find_object(module, name) if isinstance(module, str) else None
    if found in TRUSTED or (found is layers.Lambda and custom):
        return
    if found is None or found.__module__.split(".")[0] != "keras":
        raise ValueError(
            f"it holds {quote(name)}, which is not Keras's own; where it is yours, give its code "
            "by --custom FILE.py (in Python, by custom_objects=)"
        )
    if found is layers.Lambda:
        raise ValueError(
            "it holds a Lambda layer, which can run any code; build it of other layers, or give "
            "its function by --custom FILE.py (in Python, by custom_objects=)"
        )
    raise ValueError(
        f"it holds {quote(name)}, which can do more than compute; build it of other layers"
    )


def _is_given(value: dict, registered: object, custom: Mapping[str, object]) -> bool:
    """Whether Keras takes for a name what the person gives or this process registered.

    Keras looks for that first, but not where the file names no module, as old ones do.
    """
    if not isinstance(registered, str) or "module" not in value or value["class_name"][:2] == "__":
        return False
    return registered in custom or keras.saving.get_registered_object(registered) is not None


def _exported_by(namespace: ModuleType) -> Iterator[type | FunctionType]:
    for name, value in vars(namespace).items():
        if isinstance(value, ModuleType):
            yield from _exported_by(value)
        elif isinstance(value, type | FunctionType) and name not in FINDERS:
            yield value


def _operations_beside(exported: Iterable[type | FunctionType]) -> Iterator[type]:
    """Layers and other operations of the files in which functions of Keras are defined."""
    for file in {value.__module__ for value in exported if isinstance(value, FunctionType)}:
        for value in vars(sys.modules[file]).values():
            is_operation = isinstance(value, type) and issubclass(value, keras.Operation)
            if is_operation and value.__module__ == file:
                yield value


def _models() -> set[type]:
    # Keras does not export the functional model, which is what `keras.Model` makes of two tensors.
    tensor = keras.Input((1,), name="any")
    return {keras.Model, keras.Sequential, type(keras.Model(tensor, tensor, name="any"))}


def _find_trusted() -> frozenset[type | FunctionType]:
    exported = {value for namespace in NAMESPACES for value in _exported_by(namespace)}
    beside = _operations_beside({*exported, *_exported_by(keras.applications)})
    found = exported.union(beside, _models()) - REFUSED - REFUSED_FUNCTIONS
    return frozenset(each for each in found if each.__name__ not in REFUSED_OPERATIONS)


TRUSTED = _find_trusted()
