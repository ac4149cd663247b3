"""Training batches: every image once an epoch, in an order that depends on seed and epoch alone."""

import keras
import numpy as np
import pytest

from kerascnn.training import batches as module
from kerascnn.training.augment import (
    AugmentationPipeline,
    RandomCropWithPadding,
    RandomHorizontalFlip,
)
from kerascnn.training.batches import TrainingBatches, feed

# Each image is of one value, its own number; so is its label.
NUM_IMAGES = 23
LABELS = np.arange(NUM_IMAGES, dtype="int32")
# The first eight of seed 0, epoch 0: to change them is to change every run.
PINNED_ORDER = [1, 3, 19, 22, 5, 20, 18, 7]
IMAGES = (LABELS[:, None, None, None] * np.ones((1, 4, 4, 3))).astype("uint8")


def build(batch_size=5, seed=1, augmentation=None, indices=None):
    return TrainingBatches(IMAGES, LABELS, batch_size, seed, augmentation, indices)


def augmentation():
    return AugmentationPipeline([RandomHorizontalFlip(), RandomCropWithPadding(2)], seed=4)


def epoch_of(batches, epoch):
    batches.epoch = epoch
    parts = [batches[index] for index in range(batches.num_batches)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


@pytest.fixture(autouse=True, params=[10, 1000], ids=["small blocks", "one block"])
def block_size(request, monkeypatch):
    """Everything holds for blocks of a few images, many an epoch, and for one block an epoch."""
    monkeypatch.setattr(module, "IMAGES_PER_BLOCK", request.param)


def test_every_image_comes_once_an_epoch_with_its_label():
    batches = build()
    for epoch in range(3):
        images, labels = epoch_of(batches, epoch)
        assert sorted(labels) == list(range(NUM_IMAGES))
        np.testing.assert_array_equal(images, IMAGES[labels])


def test_last_batch_is_smaller():
    batches = build(batch_size=5)
    sizes = [len(batches[index][0]) for index in range(batches.num_batches)]
    assert sizes == [5, 5, 5, 5, 3]
    assert build(batch_size=23).num_batches == 1
    assert build(batch_size=24).num_batches == 1
    assert build(batch_size=22).num_batches == 2


def test_order_depends_on_seed_and_epoch_alone():
    orders = {(s, e): tuple(build(seed=s).order(e)) for s in range(3) for e in range(3)}
    assert len(set(orders.values())) == 9
    assert orders[(1, 2)] == tuple(
        build(batch_size=2, seed=1, augmentation=augmentation()).order(2)
    )
    for order in orders.values():
        assert sorted(order) == list(range(NUM_IMAGES))
        assert list(order) != sorted(order)


def test_order_is_pinned():
    assert build(seed=0).order(0)[:8].tolist() == PINNED_ORDER


@pytest.mark.parametrize("batch_size", [1, 3, 7, 23, 50])
def test_images_do_not_depend_on_the_batch_size(batch_size):
    one, other = (
        build(5, augmentation=augmentation()),
        build(batch_size, augmentation=augmentation()),
    )
    for epoch in range(2):
        for a, b in zip(epoch_of(one, epoch), epoch_of(other, epoch), strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_do_not_depend_on_the_order_in_which_they_are_asked_for():
    batches = build(augmentation=augmentation())
    expected = {}
    for epoch in range(3):
        batches.epoch = epoch
        expected |= {(epoch, index): batches[index] for index in range(5)}
    other = build(augmentation=augmentation())
    for epoch, index in ((2, 4), (0, 0), (1, 3), (1, 3), (0, 4), (1, 0), (2, 0), (0, 1)):
        other.epoch = epoch
        for a, b in zip(other[index], expected[(epoch, index)], strict=True):
            np.testing.assert_array_equal(a, b)


def test_augmentation_of_an_image_is_that_of_its_place_in_the_epoch():
    batches = build(augmentation=augmentation())
    images, labels = epoch_of(batches, 7)
    layer = augmentation()
    layer.seek(7, 0)
    expected = keras.ops.convert_to_numpy(layer(IMAGES[batches.order(7)], training=True))
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, batches.order(7))
    assert (images == 0).any()  # the black of the padding


def test_images_outside_the_indices_never_come():
    indices = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    batches = build(batch_size=3, indices=indices)
    for epoch in range(4):
        images, labels = epoch_of(batches, epoch)
        assert sorted(labels) == indices.tolist()
        np.testing.assert_array_equal(images, IMAGES[labels])


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="others take the batches")
@pytest.mark.parametrize("augmentation", [augmentation(), None], ids=["augmented", "plain"])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 50])
def test_tensorflow_is_fed_the_batches_of_the_epoch_that_was_begun(batch_size, augmentation):
    batches = build(batch_size, augmentation=augmentation)
    fed = feed(batches)
    assert len(fed) == len(batches)
    for epoch in (0, 3):
        batches.begin(epoch)
        pairs = zip(fed.as_numpy_iterator(), map(batches.__getitem__, range(len(fed))), strict=True)
        for one, other in pairs:
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype


def test_images_are_not_changed_in_place():
    before = IMAGES.copy()
    epoch_of(build(augmentation=augmentation()), 0)
    np.testing.assert_array_equal(IMAGES, before)


def test_labels_stay_int32_and_images_bytes_until_they_are_augmented():
    images, labels = build()[0]
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    images, labels = build(augmentation=augmentation())[0]
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)


def test_an_error_in_the_augmentation_is_raised_where_the_batch_is_asked_for():
    from kerascnn.training.augment import ColorJitter

    gray = IMAGES[:, :, :, :1]
    with pytest.raises(ValueError, match="3 channels"):
        TrainingBatches(gray, LABELS, 5, 0, ColorJitter())[0]


class Seen(keras.layers.Layer):
    """Counts how often it sees each image in training."""

    def __init__(self):
        super().__init__()
        self.seen = self.add_weight(
            shape=(NUM_IMAGES,), dtype="float32", initializer="zeros", trainable=False
        )

    def call(self, images, training=False):
        if training:
            numbers = keras.ops.cast(images[:, 0, 0, 0], "int32")
            table = keras.ops.one_hot(numbers, NUM_IMAGES, dtype="float32")
            self.seen.assign_add(keras.ops.sum(table, axis=0))
        return images


def test_fit_sees_each_image_once_an_epoch_in_the_order_of_that_epoch():
    requests = []

    class Recorded(TrainingBatches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            requests.append((self.epoch, tuple(labels)))
            return images, labels

    batches = Recorded(IMAGES, LABELS, 5, 1)

    class Epoch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.counts = []

        def on_epoch_begin(self, epoch, logs=None):
            batches.epoch = epoch

        def on_epoch_end(self, epoch, logs=None):
            self.counts.append(keras.ops.convert_to_numpy(seen.seen).copy())

    seen, counts = Seen(), Epoch()
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), seen, keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    model.fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[counts])
    assert [set(count) for count in counts.counts] == [{1.0}, {2.0}, {3.0}]
    # What was asked for last in each epoch is the whole of it, in its order; a backend may look at
    # a few batches beforehand, to learn their shapes.
    for epoch in range(3):
        asked = [labels for at, labels in requests if at == epoch][-5:]
        assert sum(asked, ()) == tuple(batches.order(epoch))
