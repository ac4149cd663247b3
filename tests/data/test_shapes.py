"""The embedded data set: the same bytes from the same seed, and classes told by form, not color."""

import hashlib
from itertools import combinations

import numpy as np
import pytest

from kerascnn.data import shapes

# Of shapes.draw(30, seed=0). Another value means that everybody's pictures have changed.
CHECKSUM = "158df26dee003463ec668a507fd8a66ec82bcb387a32cec443a3316ca10bf840"
NUM_CLASSES = len(shapes.CLASS_NAMES)


@pytest.fixture(scope="module")
def training():
    return shapes.draw(2000, seed=0)


@pytest.fixture(scope="module")
def held_out():
    return shapes.draw(2000, seed=1)


def coordinates():
    """Pixel coordinates of one picture, its center the origin, shapes (1, 32, 32)."""
    along = np.arange(shapes.SIZE, dtype=np.float32) - (shapes.SIZE - 1) / 2
    return np.meshgrid(along, along)


def upright(name, flip=1):
    """Whether each pixel lies inside a middle-sized subject, bool (32, 32)."""
    x, y = coordinates()
    if name in shapes.FORMS:
        return shapes.FORMS[name](flip * x, y, 11.0, 0.5) < 0
    return shapes.TEXTURES[name](flip * x, y, 7.0, 0.5) < 0


def edges(images):
    """Strength of the edges in each 2x2 square, a share of the picture's, (num_images, 225)."""
    gray = images.mean(3)
    right, down = np.diff(gray, axis=2)[:, :30, :30], np.diff(gray, axis=1)[:, :30, :30]
    squares = (np.abs(right) + np.abs(down)).reshape(-1, 15, 2, 15, 2).mean((2, 4))
    return squares.reshape(len(images), -1) / squares.sum((1, 2))[:, None]


def nearest_mean_accuracy(describe, training, held_out):
    """Test accuracy of the classifier that takes the class with the nearest mean description."""
    (images, labels), (test_images, test_labels) = training, held_out
    known = describe(images)
    means = np.stack([known[labels == label].mean(0) for label in range(NUM_CLASSES)])
    distances = np.square(describe(test_images)[:, None] - means).sum(2)
    return np.mean(distances.argmin(1) == test_labels)


def test_images_and_labels_have_the_promised_shapes_and_types():
    images, labels = shapes.draw(37, seed=3)
    assert images.shape == (37, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (37,)
    assert labels.dtype == np.int64


def test_the_pictures_use_the_whole_range_of_values(training):
    images, _ = training
    assert images.min() == 0
    assert images.max() == 255
    assert 90 < images.mean() < 165


def test_the_same_seed_gives_the_same_bytes():
    first, second = shapes.draw(120, seed=5), shapes.draw(120, seed=5)
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_every_machine_draws_the_same_bytes():
    images, labels = shapes.draw(30, seed=0)
    assert hashlib.sha256(images.tobytes()).hexdigest() == CHECKSUM
    assert labels[:10].tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


def test_a_longer_draw_begins_with_a_shorter_one():
    longer, shorter = shapes.draw(250, seed=5), shapes.draw(130, seed=5)
    assert all(np.array_equal(a[:130], b) for a, b in zip(longer, shorter, strict=True))


def test_no_picture_is_drawn_twice_within_or_across_seeds(training, held_out):
    pictures = {image.tobytes() for images in (training[0], held_out[0]) for image in images}
    assert len(pictures) == 4000


@pytest.mark.parametrize("num_images", [1, 9, 10, 101, 237])
def test_classes_are_as_equal_as_can_be(num_images):
    counts = np.bincount(shapes.draw(num_images, seed=2)[1], minlength=NUM_CLASSES)
    assert counts.sum() == num_images
    assert counts.max() - counts.min() <= 1


def test_labels_are_shuffled():
    _, labels = shapes.draw(200, seed=0)
    tens = labels.reshape(20, 10)
    assert len(np.unique(tens, axis=0)) == 20


def test_class_names_are_ten_different_lower_case_words():
    assert len(set(shapes.CLASS_NAMES)) == 10
    assert all(name.isalpha() and name.islower() for name in shapes.CLASS_NAMES)


@pytest.mark.parametrize("name", shapes.CLASS_NAMES)
def test_a_flip_does_not_change_the_class(name):
    np.testing.assert_array_equal(upright(name, flip=-1), upright(name))


@pytest.mark.parametrize(("name", "other"), list(combinations(shapes.CLASS_NAMES, 2)))
def test_no_two_classes_look_the_same(name, other):
    assert np.sum(upright(name) != upright(other)) > 20


def test_forms_have_roughly_the_same_area():
    areas = [upright(name).sum() for name in shapes.FORMS]
    assert max(areas) < 1.5 * min(areas)


def test_the_mean_color_does_not_tell_the_class(training, held_out):
    accuracy = nearest_mean_accuracy(lambda images: images.mean((1, 2)), training, held_out)
    assert accuracy < 0.15


def test_edges_tell_the_class_much_better_than_chance(training, held_out):
    assert nearest_mean_accuracy(edges, training, held_out) > 0.3


def test_a_piece_is_painted_over_what_lies_behind_with_a_soft_edge():
    images = np.zeros((1, 1, 3, 3), np.float32)
    distance = np.array([[[-2.0, 0.0, 2.0]]], np.float32)
    shapes._paint(images, np.ones((1, 1, 1, 3), np.float32), distance)
    np.testing.assert_array_equal(images[0, 0, :, 0], [1, 0.5, 0])


def test_hues_a_third_of_a_turn_apart_are_red_green_and_blue():
    hue = np.array([0, 1 / 3, 2 / 3], np.float32).reshape(3, 1, 1)
    colors = shapes._color(hue, np.ones_like(hue), np.ones_like(hue)).reshape(3, 3)
    np.testing.assert_allclose(colors, np.eye(3), atol=1e-6)


def test_blur_keeps_a_plain_picture_and_spreads_a_point():
    plain, share = np.full((1, 5, 5, 3), 0.25, np.float32), np.float32(1)
    np.testing.assert_array_equal(shapes._blurred(plain, share), plain)
    point = np.zeros((1, 3, 3, 1), np.float32)
    point[0, 1, 1] = 16
    expected = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    np.testing.assert_array_equal(shapes._blurred(point, share)[0, :, :, 0], expected)
