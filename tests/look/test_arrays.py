"""Images in whatever people hold them, against the same images in one array of numpy."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

from kerascnn.errors import ModelError
from kerascnn.look.activations import feature_maps, filter_scores, top_activations
from kerascnn.look.arrays import batches_of

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), "uint8")
LABELS = np.arange(10)


@pytest.fixture(scope="module")
def model():
    image = keras.Input((8, 8, 3), name="pixels")
    return keras.Model(image, layers.Conv2D(2, 3, name="conv")(layers.Rescaling(1 / 255)(image)))


@pytest.fixture(scope="module")
def expected(model):
    return feature_maps(model, IMAGES, "conv")


def halves():
    return IMAGES[:4], IMAGES[4:]


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return halves()[index], LABELS[:4] if index == 0 else LABELS[4:]


def torch_loader():
    import torch

    data = torch.utils.data.TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))
    return torch.utils.data.DataLoader(data, batch_size=4)


def torch_tensor():
    import torch

    return torch.tensor(IMAGES, dtype=torch.float32, requires_grad=True)


KINDS = {
    "array": lambda: IMAGES,
    "floats": lambda: IMAGES.astype("float64"),
    "read-only": lambda: np.broadcast_to(IMAGES, IMAGES.shape),
    "tensor of Keras": lambda: keras.ops.convert_to_tensor(IMAGES),
    "tensor of torch": torch_tensor,
    "loader of torch": torch_loader,
    "images and labels": lambda: (IMAGES, LABELS),
    "list of images": lambda: list(IMAGES),
    "tuple of images": lambda: tuple(IMAGES),
    "list of lists": lambda: IMAGES.tolist(),
    "list of batches": lambda: list(halves()),
    "list of batches with labels": lambda: [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])],
    "generator": lambda: (half for half in halves()),
    "generator with weights": lambda: ((half, LABELS[: len(half)], None) for half in halves()),
    "lists in pairs": lambda: ([half, LABELS[: len(half)]] for half in halves()),
    "dictionaries": lambda: ({"image": half, "label": 0} for half in halves()),
    "by the input's name": lambda: ({"pixels": half, "x": 0} for half in halves()),
    "PyDataset": Sequence,
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_may_come_in_anything(model, expected, kind):
    np.testing.assert_allclose(feature_maps(model, KINDS[kind](), "conv"), expected, atol=1e-5)


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="needs tensorflow")
def test_images_may_come_in_a_dataset_of_tensorflow(model, expected):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    np.testing.assert_allclose(feature_maps(model, data.batch(4), "conv"), expected, atol=1e-5)
    named = tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": LABELS}).batch(4)
    np.testing.assert_allclose(feature_maps(model, named, "conv"), expected, atol=1e-5)
    with pytest.raises(ModelError, match=r"as a single image has.*dataset\.batch"):
        feature_maps(model, data, "conv")


def test_images_count_on_over_batches(model, expected):
    top = top_activations(model, ((half, LABELS[: len(half)]) for half in halves()), "conv", k=3)
    means = expected.mean(axis=(1, 2))
    np.testing.assert_array_equal(top.indices, np.argsort(-means, axis=0)[:3].T)


def test_a_large_array_is_shown_a_part_at_a_time(model):
    sizes = [
        len(scores) for (scores,) in filter_scores(model, np.tile(IMAGES, (60, 1, 1, 1)), "conv")
    ]
    assert sum(sizes) == 600
    assert max(sizes) <= 250


def test_several_inputs_come_by_name():
    inputs = [keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")]
    both = keras.Model(inputs, layers.Subtract(name="difference")(inputs))
    maps = feature_maps(both, {"right": IMAGES, "left": IMAGES + 1.0}, "difference")
    np.testing.assert_allclose(maps, np.ones_like(maps))
    with pytest.raises(ModelError, match="as a dictionary with the keys left, right"):
        feature_maps(both, IMAGES, "difference")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES[0], r"\(8, 8, 3\), as a single image has; the model takes \(None, 8, 8, 3\)"),
        ([], "There are no images"),
        (iter([]), "There are no images"),
        (IMAGES[:0], "There are no images"),
        (IMAGES[..., :1], r"takes images of shape \(None, 8, 8, 3\); these are \(10, 8, 8, 1\)"),
        (IMAGES.reshape(10, -1), r"these are \(10, 192\)"),
        ([IMAGES[0], IMAGES[0, :4]], "must be of one shape"),
        ([[1, 2], [3]], "lists of different lengths"),
        ("pictures", "cannot be taken from a str"),
        (7, "cannot be taken from a int"),
        (["a.png", "b.png"], "from a list of str"),
        (IMAGES.astype(str), "Images must be real numbers"),
        (IMAGES * 1j, "Images must be real numbers"),
        (np.array([None, None]), "Images must be real numbers"),
        ([{"picture": IMAGES}], "has the keys picture; expected 'image'"),
        ({"picture": IMAGES}, "has the keys picture; expected 'image'"),
    ],
)
def test_what_holds_no_images_is_a_model_error_of_ours(model, images, words):
    with pytest.raises(ModelError, match=words):
        feature_maps(model, images, "conv")


def test_what_a_generator_raises_is_its_own(model):
    def broken():
        yield IMAGES[:4]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(batches_of(broken(), model))
