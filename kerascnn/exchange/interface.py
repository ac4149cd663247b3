"""What an exported network takes and gives, in words that a user of it has to know."""

import re
from dataclasses import dataclass

import keras
import numpy as np

from kerascnn.errors import ExchangeError
from kerascnn.model.calls import in_one_line
from kerascnn.model.inputs import DEFAULT_SIDE, has_channels_first
from kerascnn.records import Record

PIXELS = "pixel values from 0 to 255"
TRAINED_ON = "values as the model was trained on, which its file does not say"
# What random inputs are multiplied by, to see what the outputs are: nobody knows the right values.
SCALES = (1.0, 255.0, 1e4)


class Tensor(Record):
    """One input or output of an exported network.

    Attributes:
        name: as the file has it.
        dtype: such as `float32`; it must be given as it is, runtimes convert nothing.
        shape: what is not fixed is a name, such as `num_images`.
        meaning: which numbers they are.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} {shape_in_words(self.shape)}, {self.meaning}"


class Interface(Record):
    """All inputs and outputs of an exported network, in their order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def lines(self) -> list[str]:
        """A line each, and one on types."""
        lines = [f"Takes {each}." for each in self.inputs]
        lines += [f"Gives {each}." for each in self.outputs]
        if any(each.dtype.startswith("float") for each in self.inputs):
            lines.append("Types are not converted: pixels of uint8 must be cast first.")
        return lines


@dataclass(frozen=True)
class Network:
    """A Keras model with what its users have to know.

    Attributes:
        model: functional or Sequential.
        interface: its inputs and outputs, in the order in which Keras flattens them.
    """

    model: keras.Model
    interface: Interface

    def call(self, *inputs: object) -> tuple[object, ...]:
        """Outputs of inputs, both in a row whatever structure the model has, as at inference.

        Keras's own layers that augment do so where nobody says that this is no training.
        """
        model = self.model
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        given = keras.tree.pack_sequence_as(structure, list(inputs))
        return tuple(keras.tree.flatten(model(given, training=False)))


def describe(model: keras.Model, is_run: bool) -> Network:
    """A model, with the names, types, shapes and values of its inputs and outputs.

    Args:
        model: functional or Sequential.
        is_run: whether it is one of a run, of whose values all is known.

    Raises:
        ExchangeError: if the model fails when it is called.
    """
    inputs, outputs = model.inputs, model.outputs
    names = unique([each.name for each in inputs])
    taken = tuple(
        Tensor(
            name=name,
            dtype=str(each.dtype),
            shape=_named(each.shape, is_input=True),
            meaning=_meaning_of(each, is_run),
        )
        for name, each in zip(names, inputs, strict=True)
    )
    described = Network(model, Interface(inputs=taken, outputs=()))
    kinds = ["logits"] if is_run else _look_at_outputs(described)
    names = unique(list(getattr(model, "output_names", None) or [model.layers[-1].name]))
    if len(names) != len(outputs):
        names = [f"output_{place}" for place in range(len(outputs))]
    given = tuple(
        Tensor(
            name=name, dtype=str(each.dtype), shape=_named(each.shape, is_input=False), meaning=kind
        )
        for name, each, kind in zip(names, outputs, kinds, strict=True)
    )
    return Network(model, Interface(inputs=taken, outputs=given))


def half_precision(model: keras.Model, types: tuple[str, ...] = ("float16", "bfloat16")) -> str:
    """The first of such types in which a layer computes, nested or not; empty if none does."""
    for layer in model.layers:
        inner = getattr(layer, "layers", None)
        found = half_precision(layer, types) if inner else layer.compute_dtype
        if found in types:
            return found
    return ""


def unique(names: list[str]) -> list[str]:
    """Names that every format can have: letters, digits and `_`, no two alike."""
    plain = [re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "tensor" for name in names]
    plain = [f"t_{name}" if name[0].isdigit() else name for name in plain]
    return [
        name if plain.index(name) == place and plain.count(name) == 1 else f"{name}_{place}"
        for place, name in enumerate(plain)
    ]


def shape_in_words(shape: tuple[int | str, ...]) -> str:
    """A shape as Python writes one, with names that are not quoted."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _named(shape: tuple[int | None, ...], is_input: bool) -> tuple[int | str, ...]:
    names = {0: "num_images"}
    if is_input and len(shape) == 4:
        pictures = (
            ("channels", "height", "width") if has_channels_first(shape) else ("height", "width")
        )
        names |= dict(enumerate(pictures, start=1))
    return tuple(
        names.get(place, f"size_{place}") if size is None else size
        for place, size in enumerate(shape)
    )


def _meaning_of(tensor: keras.KerasTensor, is_run: bool) -> str:
    shape, values = tensor.shape, PIXELS if is_run or tensor.dtype == "uint8" else TRAINED_ON
    if len(shape) != 4:
        return values
    order = "channels before height and width" if has_channels_first(shape) else "channels last"
    return f"{order}, {values}"


def _look_at_outputs(network: Network) -> list[str]:
    """What each output seems to be, by what random inputs give."""
    found: list[list[np.ndarray]] = []
    chance = np.random.default_rng(0)
    for scale in SCALES:
        inputs = [_draw(each, chance, scale) for each in network.model.inputs]
        try:
            outputs = network.call(*map(keras.ops.convert_to_tensor, inputs))
        except Exception as error:  # Keras and backends raise many kinds
            raise ExchangeError(
                f"The model fails when it is called: {in_one_line(error)}"
            ) from None
        arrays = [keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in outputs]
        found.append(arrays)
    return [_kind_of(np.concatenate([each.reshape(len(each), -1) for each in arrays]))
            for arrays in zip(*found, strict=True)]  # fmt: skip


def _draw(tensor: keras.KerasTensor, chance: np.random.Generator, scale: float) -> np.ndarray:
    shape = [size or (4 if place == 0 else DEFAULT_SIDE) for place, size in enumerate(tensor.shape)]
    if tensor.dtype == "uint8":
        return chance.integers(0, 256, shape).astype("uint8")
    if not str(tensor.dtype).startswith(("float", "bfloat")):  # such as places in an embedding
        return chance.integers(0, 2, shape).astype(str(tensor.dtype))
    return (chance.uniform(-0.5, 1, shape) * scale).astype("float32")


def _kind_of(outputs: np.ndarray) -> str:
    if not ((outputs >= 0) & (outputs <= 1)).all():
        return "any numbers, such as logits"
    if outputs.shape[1] > 1 and np.allclose(outputs.sum(axis=1), 1, atol=2e-3):
        return "probabilities: they sum to 1 for random inputs"
    return "from 0 to 1 for random inputs, as a sigmoid gives"
