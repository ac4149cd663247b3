"""A model applied in the memory that there is, whatever the batch."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from kerascnn.errors import ModelError
from kerascnn.look import forward as forwards
from kerascnn.look.activations import build_scorer
from kerascnn.look.forward import Forward, choose_batch_size
from kerascnn.look.scores import SCORES

# Limits the memory of its process to so many MiB more than it has once it can work.
LIMITED = """
import resource, sys
import keras, numpy as np, matplotlib.backends.backend_agg, PIL.ImageOps
import kerascnn.cli, kerascnn.look.forward, kerascnn.look.subject, kerascnn.look.survey
import kerascnn.show.filter_figures, kerascnn.show.filter_tables, rich.progress

first = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
first.predict_on_batch(np.zeros((2, 8, 8, 3), "float32"))
halve = kerascnn.look.forward.Forward._halve

def tell(self, num_images):
    print("halved", num_images, file=sys.stderr)
    halve(self, num_images)

kerascnn.look.forward.Forward._halve = tell
limit = int(open("/proc/self/statm").read().split()[0]) * 4096 + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.argv[1:2] = []
kerascnn.cli.main()
"""


def separable(side):
    image = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(64, 3, strides=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.SeparableConv2D(64, 3, activation="relu", name="second")(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x)))


def test_numbers_do_not_depend_on_the_batch_size():
    images = np.random.default_rng(0).integers(0, 256, (23, 32, 32, 3), "uint8")
    scorer = build_scorer(separable(32), "second", SCORES)
    whole = Forward(scorer, 250)([images.astype("float32")])
    for size in (1, 2, 7, 22, 23):
        some = Forward(scorer, size)([images.astype("float32")])
        for one, other in zip(whole, some, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


class Short:
    """Calls a model, in so little memory that a few images fit alone."""

    def __init__(self, fitting, error):
        self.fitting, self.error, self.sizes = fitting, error, []

    def __call__(self, model, inputs, name):
        self.sizes.append(len(inputs[0]))
        if len(inputs[0]) > self.fitting:
            raise self.error
        return [inputs[0] * 2]


ERRORS = (
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("Exception encountered when calling Conv2D. could not create a primitive"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 9663676416 bytes."),
    ValueError("OOM when allocating tensor with shape[250,64,224,224]"),
)


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch, error):
    short = Short(3, error)
    monkeypatch.setattr(forwards, "call", short)
    forward = Forward(separable(32), 20)
    images = np.arange(23, dtype="float32")[:, None]
    np.testing.assert_array_equal(forward([images])[0], images * 2)
    assert short.sizes[:4] == [20, 10, 5, 2]
    assert set(short.sizes[3:]) == {2, 1}


def test_out_of_memory_for_one_image_is_one_line(monkeypatch):
    monkeypatch.setattr(forwards, "call", Short(0, MemoryError()))
    with pytest.raises(ModelError, match="needs more memory for a single image than there is"):
        Forward(separable(32), 20)([np.zeros((5, 1), "float32")])


def test_what_is_no_lack_of_memory_is_not_tried_again(monkeypatch):
    short = Short(0, ValueError("wrong shape"))
    monkeypatch.setattr(forwards, "call", short)
    with pytest.raises(ValueError, match="wrong shape"):
        Forward(separable(32), 20)([np.zeros((5, 1), "float32")])
    assert short.sizes == [5]


@pytest.mark.parametrize("side", [224, None])
@pytest.mark.parametrize("nested", [False, True])
def test_the_batch_follows_the_size_of_the_model_also_where_it_is_open(monkeypatch, side, nested):
    monkeypatch.setattr(forwards, "_free_bytes", lambda: 2**34)
    model, closed = separable(side), separable(224)
    if nested:
        inner, image = model, keras.Input((224, 224, 3))
        model = keras.Model(image, inner(image))
    monkeypatch.setattr(forwards, "MOST_IMAGES", 1000)
    expected = 2**30 // (4 * sum(np.prod(layer.output.shape[1:]) for layer in closed.layers))
    assert 2 < expected < 1000
    assert expected * 0.9 < choose_batch_size(model) <= expected


def test_a_quarter_of_the_free_memory_is_used_at_most(monkeypatch):
    model = separable(224)
    monkeypatch.setattr(forwards, "MOST_IMAGES", 1000)
    monkeypatch.setattr(forwards, "_free_bytes", lambda: 2**30)
    few = choose_batch_size(model)
    monkeypatch.setattr(forwards, "_free_bytes", lambda: 2**34)
    assert choose_batch_size(model) // few == 4
    monkeypatch.setattr(forwards, "_free_bytes", lambda: 0)
    assert choose_batch_size(model) == 1


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others end the process themselves")
def test_in_limited_memory_a_look_halves_its_batch_or_ends_in_one_line(tmp_path):
    keras.utils.set_random_seed(0)
    separable(180).save(tmp_path / "model.keras")
    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3))):
        picture = Image.fromarray(pixels.astype("uint8")).resize((200, 180))
        picture.save(tmp_path / "pictures" / f"{number:02}.png")
    command = ["top-activations", "--model", "model.keras", "--layer", "second", "--images",
               "pictures", "--batch-size", "60", "-f", "1", "--json"]  # fmt: skip

    def ask(mebibytes):
        return subprocess.run(
            [sys.executable, "-c", LIMITED, str(mebibytes), *command],
            capture_output=True, text=True, cwd=tmp_path, timeout=200,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip

    expected, halved = ask(20_000), 0
    assert expected.returncode == 0, expected.stderr
    assert "halved" not in expected.stderr
    for mebibytes in (900, 600, 300, 8):
        done = ask(mebibytes)
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode:
            assert done.stderr.splitlines()[-1].startswith("Error: "), done.stderr
            continue
        halved += "halved" in done.stderr
        (one,), (other,) = json.loads(expected.stdout), json.loads(done.stdout)
        assert [each["index"] for each in one["top"]] == [each["index"] for each in other["top"]]
        scores = [[each["activation"] for each in found["top"]] for found in (one, other)]
        np.testing.assert_allclose(*scores, rtol=2e-5)
    assert halved
