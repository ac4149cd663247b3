"""Feature maps and rankings against slow, obvious versions."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from kerascnn.errors import ModelError
from kerascnn.look.activations import TopActivations, feature_maps, filter_scores, top_activations
from kerascnn.model.build import build_model
from kerascnn.model.graph import describe_layers, truncate
from kerascnn.model.taps import effective_kernels, find_tap
from kerascnn.recipe import load_recipe


def slow_convolution(images, kernel, bias):
    """Same-padded, stride 1, pixel by pixel: images (n, h, w, c), kernel (kh, kw, c, f)."""
    size = kernel.shape[0]
    margin = size // 2
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    maps = np.zeros((*images.shape[:3], kernel.shape[3]))
    for row in range(images.shape[1]):
        for column in range(images.shape[2]):
            window = padded[:, row : row + size, column : column + size]
            maps[:, row, column] = np.tensordot(window, kernel, 3) + bias
    return maps


def numpy_of(variable):
    return keras.ops.convert_to_numpy(variable)


def trained_looking(model, seed=0):
    """Give batch normalization statistics and scales that are not those of a fresh model."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(generator.uniform(-1, 1, shape))
            layer.beta.assign(generator.uniform(-0.5, 0.5, shape))
            layer.moving_mean.assign(generator.uniform(-0.5, 0.5, shape))
            layer.moving_variance.assign(generator.uniform(0.1, 1, shape))
    return model


@pytest.fixture(scope="module")
def cnn():
    return trained_looking(build_model(load_recipe("adam-lr0.001")))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (7, 32, 32, 3), "uint8")


def test_feature_maps_of_conv1_are_the_slow_convolution(cnn, images):
    conv = cnn.get_layer("conv1")
    expected = slow_convolution(images / 127.5 - 1, numpy_of(conv.kernel), numpy_of(conv.bias))
    maps = feature_maps(cnn, images, "conv1")
    assert maps.dtype == np.float32
    assert maps.shape == (7, 32, 32, 32)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_feature_maps_of_relu1_are_normalized_and_rectified(cnn, images):
    norm = cnn.get_layer("bn1")
    maps = feature_maps(cnn, images, "conv1").astype("float64")
    scale = numpy_of(norm.gamma) / np.sqrt(numpy_of(norm.moving_variance) + norm.epsilon)
    expected = np.maximum(0, (maps - numpy_of(norm.moving_mean)) * scale + numpy_of(norm.beta))
    np.testing.assert_allclose(feature_maps(cnn, images, "relu1"), expected, atol=1e-4)


def test_feature_maps_of_units_are_one_pixel(cnn, images):
    maps = feature_maps(cnn, images, "fc1")
    assert maps.shape == (7, 1, 1, 512)


def test_the_last_use_of_a_shared_layer_is_meant_unless_a_number_says_which(cnn):
    assert truncate(cnn, "pool").output_shape == (None, 4, 4, 128)
    assert truncate(cnn, "pool:1").output_shape == (None, 16, 16, 32)
    assert truncate(cnn, "pool:3").output_shape == (None, 4, 4, 128)


@pytest.mark.parametrize("name", ["conv9", "pool:4", "pool:0", "pool:x", "conv1:2", ""])
def test_an_unknown_layer_lists_the_layers_and_their_shapes(cnn, name):
    with pytest.raises(ModelError) as raised:
        truncate(cnn, name)
    message = str(raised.value)
    assert f"'{name}'" in message
    assert "relu1 (None, 32, 32, 32)" in message
    assert "pool:2 (None, 8, 8, 64)" in message


def test_truncating_leaves_the_model_as_it_was(cnn, images):
    before = cnn.predict_on_batch(images)
    rows = describe_layers(cnn)
    truncate(cnn, "relu1")
    truncate(cnn, "pool:2")
    assert describe_layers(cnn) == rows
    np.testing.assert_array_equal(cnn.predict_on_batch(images), before)


def test_a_saved_and_loaded_model_gives_the_same_maps(cnn, images, tmp_path):
    cnn.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        feature_maps(loaded, images, "relu1"), feature_maps(cnn, images, "relu1")
    )


def test_top_activations_are_those_of_a_full_sort(cnn, images):
    maps = feature_maps(cnn, images, "relu1").astype("float64")
    expected = {
        "mean": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "l2": np.sqrt((maps**2).sum(axis=(1, 2))),
    }
    for score, values in expected.items():
        top = top_activations(cnn, images, "relu1", 3, score)
        order = np.argsort(-values, axis=0, kind="stable")[:3].T
        np.testing.assert_array_equal(top.indices, order)
        np.testing.assert_allclose(
            top.scores, np.take_along_axis(values.T, order, axis=1), rtol=1e-5
        )


def test_batches_do_not_change_the_ranking(cnn, images):
    whole = top_activations(cnn, images, "relu1", 4)
    parts = top_activations(cnn, iter([images[:2], images[2:3], images[3:]]), "relu1", 4)
    np.testing.assert_array_equal(whole.indices, parts.indices)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-5)


def test_k_below_one_no_images_and_an_unknown_score_are_refused(cnn, images):
    with pytest.raises(ValueError, match="k must be at least 1"):
        top_activations(cnn, images, "relu1", 0)
    with pytest.raises(ModelError, match="no images"):
        top_activations(cnn, iter([]), "relu1")
    with pytest.raises(ValueError, match="mean, max, l2"):
        list(filter_scores(cnn, images, "relu1", ("median",)))


# The ranking alone.


def full_sort(scores, k):
    """Indices of the k highest scores of each filter, ties by lower index."""
    order = [
        sorted(range(len(scores)), key=lambda i: (-scores[i, f], i)) for f in range(scores.shape[1])
    ]
    return np.array([each[:k] for each in order])


scores_and_shards = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(-2, 3), min_size=3, max_size=3), min_size=n, max_size=n),
        st.lists(st.integers(0, n), max_size=4),
        st.integers(1, n),
        st.randoms(use_true_random=False),
    )
)


@given(scores_and_shards)
@settings(deadline=None, max_examples=200)
def test_shards_merged_in_any_order_give_the_full_sort(case):
    rows, cuts, k, random = case
    scores = np.array(rows, "float32")
    bounds = [0, *sorted(cuts), len(scores)]
    shards = [
        TopActivations.empty(3, k).update(scores[start:stop], np.arange(start, stop))
        for start, stop in itertools.pairwise(bounds)
    ]
    random.shuffle(shards)
    while len(shards) > 1:
        one = shards.pop(random.randrange(len(shards)))
        other = shards.pop(random.randrange(len(shards)))
        shards.append(one.merge(other))
    np.testing.assert_array_equal(shards[0].indices, full_sort(scores, k))


def test_fewer_images_than_k_leave_places_open():
    top = TopActivations.empty(1, 3).update(np.array([[2.0], [5.0]]), [0, 1])
    assert top.indices.tolist() == [[1, 0, -1]]
    assert top.scores.tolist() == [[5.0, 2.0, -np.inf]]


def test_an_image_that_scores_nan_comes_last_but_is_an_image():
    top = TopActivations.empty(1, 3).update(np.array([[np.nan], [1.0]]), [0, 1])
    assert top.indices.tolist() == [[1, 0, -1]]


# Other people's models.


def sequential():
    return keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.GlobalAveragePooling2D(name="pooled"),
            layers.Dense(2, name="head"),
        ]
    )


def two_branches():
    image = keras.Input((12, 10, 3))
    left = layers.Conv2D(4, 3, padding="same", name="left")(image)
    right = layers.Conv2D(6, 1, name="right")(image)
    joined = layers.Concatenate(name="joined")([left, right])
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(joined)))


def test_sequential_and_branching_models_are_cut():
    images = np.random.default_rng(0).random((3, 12, 10, 3), "float32")
    model = sequential()
    maps = feature_maps(model, images, "first")
    assert maps.shape == (3, 10, 8, 4)
    assert maps.min() == 0
    assert feature_maps(model, images, "pooled").shape == (3, 1, 1, 4)
    model = two_branches()
    conv = model.get_layer("left")
    expected = slow_convolution(images, numpy_of(conv.kernel), numpy_of(conv.bias))
    np.testing.assert_allclose(feature_maps(model, images, "left"), expected, atol=1e-5)
    assert feature_maps(model, images, "joined").shape == (3, 12, 10, 10)


def test_channels_first_maps_come_out_channels_last():
    image = keras.Input((3, 12, 10))
    x = layers.Conv2D(4, 3, padding="same", data_format="channels_first", name="conv")(image)
    x = layers.BatchNormalization(axis=1, name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    model = keras.Model(image, x)
    images = np.random.default_rng(0).random((2, 12, 10, 3), "float32")
    conv = model.get_layer("conv")
    expected = slow_convolution(images, numpy_of(conv.kernel), numpy_of(conv.bias))
    maps = feature_maps(model, np.moveaxis(images, -1, 1), "conv")
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert feature_maps(model, np.moveaxis(images, -1, 1), "relu").shape == (2, 12, 10, 4)
    assert effective_kernels(model, "relu").shape == (3, 3, 3, 4)


def test_a_keras_application_is_cut_at_its_own_layer_names():
    model = keras.applications.MobileNetV2((32, 32, 3), weights=None, alpha=0.35)
    images = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
    assert find_tap(model, "relu") == "Conv1_relu"
    assert feature_maps(model, images, "Conv1_relu").shape == (2, 16, 16, 16)
    assert top_activations(model, images, "Conv1_relu", 1).indices.shape == (16, 1)


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="functional"):
        truncate(Own(), "conv")


def test_a_layer_without_maps_is_refused():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, layers.Reshape((4, 2, 2, 3), name="cubes")(image))
    with pytest.raises(ModelError, match="no feature maps"):
        feature_maps(model, np.zeros((1, 4, 4, 3), "float32"), "cubes")


def test_taps_of_the_first_convolution(cnn):
    assert [find_tap(cnn, tap) for tap in ("conv", "bn", "relu")] == ["conv1", "bn1", "relu1"]
    assert find_tap(sequential(), "relu") == "first"
    with pytest.raises(ModelError, match="No bn follows the first convolution 'first'"):
        find_tap(sequential(), "bn")


def test_effective_kernels_carry_the_sign_of_batch_normalization(cnn):
    conv, norm = cnn.get_layer("conv1"), cnn.get_layer("bn1")
    scale = numpy_of(norm.gamma) / np.sqrt(numpy_of(norm.moving_variance) + norm.epsilon)
    np.testing.assert_allclose(effective_kernels(cnn, "conv1"), numpy_of(conv.kernel))
    expected = numpy_of(conv.kernel) * scale
    assert (scale < 0).any()
    np.testing.assert_allclose(effective_kernels(cnn, "relu1"), expected, rtol=1e-5)
    assert effective_kernels(cnn, "fc1") is None


def test_scores_of_large_maps_are_those_of_sums_in_float64_on_every_backend():
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype("float32")
    images[1] = 200.1
    image = keras.Input((224, 224, 3))
    model = keras.Model(image, layers.Dropout(0.5, name="same")(image))
    (answers,) = filter_scores(model, images, "same", ("mean", "l2"))
    exact = images.astype("float64")
    np.testing.assert_allclose(answers[0], exact.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(answers[1], np.sqrt((exact**2).sum((1, 2))), rtol=1e-5)
