"""Look at a model as a user does, and recount its numbers with plain Keras in float64.

    python -m made.trial NAME

prints the outcome of one of `made.tried` as JSON, in its last line.
"""

import gc
import json
import math
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
import scipy
from keras import layers, ops
from PIL import Image

from kerascnn.errors import KerascnnError
from kerascnn.look.activations import top_activations
from kerascnn.look.subject import ModelUse, Subject
from kerascnn.model.graph import call_of, uses_of
from made import own_layers
from made.tried import APPLICATIONS, EXAMPLES, Tried

NUM_PICTURES, K = 8, 3
# The others translate the part of a model up to a layer anew for each layer.
NUM_LAYERS = 5 if keras.backend.backend() == "torch" else 2
SCORES = ("mean", "max", "l2")
# Where a model leaves the size of pictures open.
OPEN_SIDE = 224


@dataclass
class Outcome:
    """What came of a trial.

    Attributes:
        default: the layer that is looked at by default; empty where there is no convolution.
        layers: those that were looked at.
        refused_layers: layers that were refused, with the words.
        error: the largest difference from the recount, as a share of the largest number.
        refusal: the words of the error where the model was refused.
        seconds: that the look took, with loading.
    """

    parameters: int = 0
    default: str = ""
    layers: list[str] = field(default_factory=list)
    refused_layers: dict[str, str] = field(default_factory=dict)
    error: float = 0.0
    worst: str = ""
    refusal: str = ""
    seconds: float = 0.0

    def compare(self, what: str, given: np.ndarray, expected: np.ndarray) -> None:
        expected = np.asarray(expected, "float64")
        if given.shape != expected.shape:
            raise AssertionError(f"{what}: shape {given.shape}, expected {expected.shape}")
        largest = max(np.abs(expected).max(), 1e-30)
        error = float(np.abs(given.astype("float64") - expected).max() / largest)
        if not error <= self.error:
            self.error, self.worst = error, what


@dataclass(frozen=True)
class Look:
    """What kerascnn says of a model, by layers."""

    maps: dict[str, np.ndarray]
    surveys: dict[str, dict[str, np.ndarray]]
    tops: dict[str, np.ndarray]
    probabilities: np.ndarray | None
    remarks: list[str]


def try_model(tried: Tried, folder: Path) -> Outcome:
    """Build and save a model, look at it, recount.

    Raises:
        AssertionError: if kerascnn gives other things than it should, but for numbers.
    """
    outcome, file = Outcome(), folder / "model.keras"
    images = _build(tried, file, folder, outcome)
    # The code of the examples is here known to nobody, as to somebody who gets the file.
    registered = dict(keras.saving.get_custom_objects())
    keras.saving.get_custom_objects().clear()
    gc.collect()
    began = time.perf_counter()
    try:
        look = _look(tried, file, folder, images, outcome)
    except KerascnnError as error:
        outcome.refusal = str(error)
        return outcome
    finally:
        outcome.seconds = time.perf_counter() - began
        keras.saving.get_custom_objects().update(registered)
    gc.collect()
    _recount(tried, file, images, look, outcome)
    return outcome


def _build(tried: Tried, file: Path, folder: Path, outcome: Outcome) -> np.ndarray | None:
    """Save the model and pictures of its size; the pixels, uint8, if it takes pictures."""
    keras.utils.set_random_seed(0)
    model = tried.build()
    generator = np.random.default_rng(0)
    for weight in model.weights:
        # As after training: a normalization that was passed over is seen.
        if weight.path.rpartition("/")[2] in ("gamma", "beta", "moving_mean", "moving_variance"):
            is_scale = weight.path.endswith(("gamma", "variance"))
            drawn = generator.uniform(0.8, 1.2, weight.shape) - (not is_scale)
            weight.assign(drawn.astype("float32"))
    outcome.parameters = model.count_params()
    model.save(file)
    inputs = getattr(model, "inputs", None)
    shape = inputs[0].shape[1:] if inputs else (28, 28, 1)
    shape = (*shape[1:], shape[0]) if tried.filters_first else shape
    size = [side or OPEN_SIDE for side in shape[:2]] if len(shape) == 3 else [32, 32]
    channels = shape[2] if len(shape) == 3 else 3
    return _draw(generator, (*size, channels), folder)


def _draw(generator: np.random.Generator, shape: tuple, folder: Path) -> np.ndarray:
    """Pictures of waves and noise, written as PNG."""
    height, width, channels = shape
    rows, columns = np.mgrid[:height, :width][..., None]
    images = []
    for number in range(NUM_PICTURES):
        waves = generator.uniform(0.02, 0.5, (2, channels))
        image = 0.5 + 0.4 * np.sin(rows * waves[0] + columns * waves[1])
        image = image * generator.uniform(0.3, 1) + generator.uniform(-0.1, 0.1, shape)
        images.append((image.clip(0, 1) * 255).astype("uint8"))
        pixels = images[-1][..., 0] if channels == 1 else images[-1]
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return np.stack(images)


# What kerascnn says.


def _look(tried: Tried, file: Path, folder: Path, images: np.ndarray, outcome: Outcome) -> Look:
    code = (Path(own_layers.__file__),) if tried.custom else ()
    files = tuple(folder / f"{number}.png" for number in range(NUM_PICTURES))
    subject = Subject(None, file, files, use=ModelUse(custom=code, constants=tried.constants))
    assert len(subject.shown.images) == NUM_PICTURES  # which finds the input for them
    outcome.default = default = _default_layer(subject)
    maps, surveys = {}, {}
    named = [default] if default else []
    for name in dict.fromkeys([*named, *_further(subject.model)]):
        try:
            maps[name] = subject.maps(range(NUM_PICTURES), name)
            surveys[name] = subject.survey(name).scores
            outcome.layers.append(name)
        except KerascnnError as error:
            outcome.refused_layers[name] = str(error)
    default = default or outcome.layers[0]
    inputs = _inputs(subject.model, images, tried)
    given = inputs if isinstance(inputs, np.ndarray) else [inputs]
    tops = {
        score: top_activations(subject.model, given, default, K, score).scores for score in SCORES
    }
    probabilities = subject.probabilities(range(NUM_PICTURES))
    return Look(maps, surveys, tops, probabilities, subject.remarks)


def _default_layer(subject: Subject) -> str:
    """The layer that is looked at by default; empty where the model has no convolution."""
    try:
        return subject.layer()
    except KerascnnError as error:
        if "has no convolution" not in str(error):
            raise
        return ""


def _further(model: keras.Model) -> list[str]:
    """Some layers, from the first to the last, whose last axis but of maps holds the filters."""
    names = []
    for use in uses_of(model):
        operation = call_of(use.place.tensor).operation
        is_plain = isinstance(operation, layers.Layer) and not isinstance(
            operation, layers.InputLayer | layers.Permute | layers.Flatten
        )
        if is_plain and len(use.place.tensor.shape) in (2, 3, 4):
            names.append(use.name)
    places = np.linspace(0, len(names) - 1, NUM_LAYERS).round().astype(int)
    return [names[place] for place in dict.fromkeys(places.tolist())]


# The recount.


def _recount(tried: Tried, file: Path, images: np.ndarray, look: Look, outcome: Outcome) -> None:
    model = keras.saving.load_model(file, compile=False)
    inputs = _inputs(model, images, tried)
    values = record(model, inputs, {_plain(name) for name in look.maps})
    for name, maps in look.maps.items():
        uses = [_as_maps(each, tried.filters_first) for each in values[_plain(name)]]
        expected = _nearest(maps, uses)
        outcome.compare(f"{name}: maps", maps, expected.reshape(maps.shape))
        for score, by_images in _scores(expected).items():
            outcome.compare(f"{name}: {score}", look.surveys[name][score], by_images)
            if name == outcome.layers[0]:
                if not np.ptp(by_images, axis=0).any():
                    raise AssertionError(f"{name} gives the same {score} for all pictures")
                best = -np.sort(-by_images, axis=0)[:K].T
                outcome.compare(f"{name}: top by {score}", look.tops[score], best)
    expected = _probabilities(model.predict(inputs, verbose=0), tried.answers)
    if (expected is None) != (look.probabilities is None):
        raise AssertionError(f"outputs should be {tried.answers}, given {look.probabilities}")
    if tried.answers == "logits" and not any("taken for logits" in each for each in look.remarks):
        raise AssertionError("it is not said that outputs are taken for logits")
    if expected is not None:
        outcome.compare("probabilities", look.probabilities, expected)


def record(model: keras.Model, inputs: object, wanted: set[str]) -> dict[str, list[np.ndarray]]:
    """What layers give in each of their uses when a model is called layer by layer, by paths."""
    found, path, plain = defaultdict(list), [], layers.Layer.__call__

    def call(layer, *args, **kwargs):
        if layer is model:
            return plain(layer, *args, **kwargs)
        path.append(layer.name)
        try:
            given = plain(layer, *args, **kwargs)
            name = "/".join(path)
        finally:
            path.pop()
        if name in wanted:
            first = keras.tree.flatten(given)[0]
            found[name].append(ops.convert_to_numpy(ops.cast(first, "float32")))
        return given

    with _replaced(call):
        model(keras.tree.map_structure(ops.convert_to_tensor, inputs), training=False)
    return found


@contextmanager
def _replaced(call):
    plain, layers.Layer.__call__ = layers.Layer.__call__, call
    try:
        yield
    finally:
        layers.Layer.__call__ = plain


def _plain(name: str) -> str:
    """The name of a layer without the numbers of its uses."""
    return re.sub(r":\d+(?=/|$)", "", name)


def _nearest(maps: np.ndarray, uses: list[np.ndarray]) -> np.ndarray:
    """Of a layer's uses that whose numbers are meant; they are counted in another order here."""
    fitting = [each for each in uses if each.size == maps.size]
    if not fitting:
        raise AssertionError(f"maps are {maps.shape}; expected {[each.shape for each in uses]}")
    return min(fitting, key=lambda each: np.abs(each.reshape(maps.shape) - maps).max())


def _inputs(model: keras.Model, images: np.ndarray, tried: Tried):
    """What the model takes: an array, or a dictionary of several."""
    images = images.astype("float32")
    images = np.moveaxis(images, -1, 1) if tried.filters_first else images
    if len(model.inputs) == 1:
        return images
    return {
        each.name: np.full_like(images, tried.constants[each.name])
        if each.name in tried.constants
        else images
        for each in model.inputs
    }


def _as_maps(values: np.ndarray, filters_first: bool) -> np.ndarray:
    """Values in float64 as (num_images, height, width, filters); of tokens one row."""
    values = values.astype("float64")
    if values.ndim == 4:
        return np.moveaxis(values, 1, -1) if filters_first else values
    if values.ndim == 2:
        return values[:, None, None]
    tokens = values.shape[1]
    has_class_token = (
        math.isqrt(tokens) ** 2 != tokens and math.isqrt(tokens - 1) ** 2 == tokens - 1
    )
    return values[:, None, has_class_token and tokens > 2 :]


def _scores(maps: np.ndarray) -> dict[str, np.ndarray]:
    squares = (maps**2).sum((1, 2))
    return {"mean": maps.mean((1, 2)), "max": maps.max((1, 2)), "l2": np.sqrt(squares)}


def _probabilities(answers: object, kind: str) -> np.ndarray | None:
    if kind == "none":
        return None
    values = np.asarray(answers, "float64")
    if kind == "logits" and values.shape[1] > 1:
        return scipy.special.softmax(values, axis=1)
    if kind in ("logits", "sigmoid"):
        share = scipy.special.expit(values) if kind == "logits" else values
        return np.concatenate([1 - share, share], axis=1)
    return values


def main() -> None:
    tried = (EXAMPLES | APPLICATIONS)[sys.argv[1]]
    with tempfile.TemporaryDirectory() as name:
        os.environ["KERASCNN_CACHE_DIR"] = f"{name}/cache"
        outcome = try_model(tried, Path(name))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
