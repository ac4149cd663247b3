"""Ranking many images in little memory, and the same ranking on every backend."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import measure_look
import numpy as np
import pytest
from keras import layers
from PIL import Image

from kerascnn.data import load_dataset
from kerascnn.look.activations import feature_maps
from kerascnn.model.build import build_model
from kerascnn.recipe import load_recipe

pytestmark = pytest.mark.slow

RANK_MANY = """
import resource, sys
import numpy as np
from kerascnn.look.activations import top_activations
from kerascnn.model.build import build_model
from kerascnn.recipe import load_recipe

def batches(count, size=250):
    generator = np.random.default_rng(0)
    for start in range(0, count, size):
        yield generator.integers(0, 256, (size, 32, 32, 3), "uint8")

top = top_activations(build_model(load_recipe("adam-lr0.001")), batches(int(sys.argv[1])), "relu1")
assert top.indices.shape == (32, 5) and top.indices.max() < int(sys.argv[1])
print(top.indices.max(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

RANK_ONE_MODEL = """
import json, sys
import keras, numpy as np
from kerascnn.look.activations import top_activations

model = keras.saving.load_model(sys.argv[1])
tops = [top_activations(model, np.load(sys.argv[2]), layer) for layer in ("relu1", "relu3")]
found = [[top.indices.tolist(), top.scores.tolist()] for top in tops]
print(json.dumps([keras.config.backend(), *found]))
"""


def last_line(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout.splitlines()[-1]


def test_a_hundred_thousand_images_take_no_more_memory_than_a_thousand():
    few_index, few = last_line(RANK_MANY, 1000).split()
    many_index, many = last_line(RANK_MANY, 100_000).split()
    assert int(few_index) < 1000 < int(many_index)
    # All images together are 293 MiB, all maps 12 GiB.
    assert float(many) - float(few) < 150


def test_a_look_at_ten_thousand_pictures_takes_no_more_memory_than_at_two_thousand(tmp_path):
    measure_look.write_model(tmp_path / "model.keras")
    peaks = []
    for count in (2000, 10_000):
        measure_look.write_pictures(tmp_path / str(count), count)
        look = measure_look.command(tmp_path / "model.keras", tmp_path / str(count))
        peaks.append(measure_look.run(look, os.environ | {"KERASCNN_CACHE_DIR": str(tmp_path)})[1])
    # The pictures are 117 MiB, the maps of the smaller layer 2 GiB.
    assert peaks[1] <= 1.2 * peaks[0]


@pytest.fixture(scope="module")
def model_and_images(tmp_path_factory):
    """A model with batch statistics of its own, saved, and 300 images."""
    directory = tmp_path_factory.mktemp("model")
    generator = np.random.default_rng(0)
    model = build_model(load_recipe("adam-lr0.001"))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(generator.uniform(-1, 1, shape))
            layer.moving_mean.assign(generator.uniform(-0.2, 0.2, shape))
            layer.moving_variance.assign(generator.uniform(0.1, 1, shape))
    model.save(directory / "model.keras")
    np.save(directory / "images.npy", load_dataset("shapes").test_images[:300])
    return directory / "model.keras", directory / "images.npy"


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_the_same_file_gives_the_same_ranking(model_and_images, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path, images = model_and_images
    name, *found = json.loads(last_line(RANK_ONE_MODEL, path, images, KERAS_BACKEND=backend))
    assert name == backend
    model = keras.saving.load_model(path)
    for layer, (indices, scores) in zip(("relu1", "relu3"), found, strict=True):
        maps = feature_maps(model, np.load(images), layer)
        means = maps.mean(axis=(1, 2), dtype="float64").T
        order = np.argsort(-means, axis=1, kind="stable")[:, :5]
        np.testing.assert_allclose(scores, np.take_along_axis(means, order, axis=1), atol=1e-4)
        np.testing.assert_array_equal(indices, order)
        assert np.max(scores) > 0.1


SHOW_MANY = """
import os, resource, sys
from kerascnn.look.images import load_shown

shown = load_shown((sys.argv[1],), (128, 128, 3))
seen = sum(len(batch.images) for batch in shown.images.batches(100))
print(seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_five_thousand_pictures_take_no_more_memory_than_five_hundred(tmp_path):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "one.png")
    peaks = []
    for count in (500, 5000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.link(tmp_path / "one.png", folder / f"{number}.png")
        seen, peak = last_line(SHOW_MANY, folder).split()
        assert int(seen) == count
        peaks.append(float(peak))
    # All together are 234 MiB.
    assert peaks[1] - peaks[0] < 30
