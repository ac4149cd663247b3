"""The network has the layers, weights and constants that the recipe and PyTorch say."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy import stats

from kerascnn.errors import RecipeError
from kerascnn.model.build import build_model, compile_model
from kerascnn.model.graph import call_of
from kerascnn.recipe import load_recipe

RECIPE = load_recipe("adam-lr0.001")
SMALL = RECIPE.with_values({"model.filters": [4, 6, 8], "model.units": 16})
BLOCKS = [["conv1", "bn1", "relu1"], ["conv2", "bn2", "relu2"], ["conv3", "bn3", "relu3"]]
# The first initial weights of the last layer of SMALL, drawn with numpy apart from this code.
PINNED_KERNEL = [0.08172993, 0.09324681, 0.13682632]
PINNED_BIAS = [-0.21667802, 0.07017543, -0.10017652]
HEAD = ["flatten", "dropout1", "fc1", "relu4", "dropout2", "logits"]


def calls_of(model):
    """Layer names in the order of their calls, from the last one back."""
    call = call_of(model.outputs[0])
    names = [call.operation.name]
    while call.inputs:
        call = call_of(*call.inputs)
        names.append(call.operation.name)
    return names[::-1]


def draw_images(num_images, size=32):
    shape = (num_images, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize("pool_after", [(1, 2, 3), (1,), (3,), ()])
def test_one_pooling_layer_is_called_after_each_block_that_is_listed(pool_after):
    model = build_model(SMALL.with_values({"model.pool_after": list(pool_after)}))
    expected = ["image", "rescale"]
    for block, names in enumerate(BLOCKS, start=1):
        expected += names + ["pool"] * (block in pool_after)
    assert calls_of(model) == expected + HEAD
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert len(pools) == bool(pool_after)
    side = 32 // 2 ** len(pool_after)
    assert model.get_layer("flatten").output.shape == (None, side * side * 8)


@pytest.mark.parametrize(("pool_after", "count"), [((1, 2, 3), 1_148_362), ((1,), 16_877_002)])
def test_number_of_parameters(pool_after, count):
    # By hand: kernels and biases of three convolutions and two dense layers; of each batch
    # normalization gamma, beta and two statistics.
    convolutions = (9 * 3 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    side = 32 // 2 ** len(pool_after)
    dense = (side * side * 128 + 1) * 512 + (512 + 1) * 10
    trainable = convolutions + dense + 2 * (32 + 64 + 128)
    assert trainable == count - 2 * (32 + 64 + 128)
    model = build_model(RECIPE.with_values({"model.pool_after": list(pool_after)}))
    assert model.count_params() == count
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable


def test_bytes_and_floats_give_the_same_logits():
    model, images = build_model(SMALL), draw_images(7)
    one, other = (
        model.predict(images, verbose=0),
        model.predict(images.astype("float32"), verbose=0),
    )
    np.testing.assert_array_equal(one, other)
    assert one.shape == (7, 10)
    assert one.dtype == np.float32
    assert (one < 0).any()  # logits, not probabilities
    assert len(np.unique(one, axis=0)) == 7


def test_values_are_rescaled_from_minus_one_to_one():
    rescale = build_model(SMALL).get_layer("rescale")
    values = np.array([0.0, 127.5, 255.0], "float32").reshape(1, 1, 3)
    scaled = keras.ops.convert_to_numpy(rescale(values))
    np.testing.assert_allclose(scaled.ravel(), [-1, 0, 1], atol=1e-6)


def test_network_is_the_plain_arithmetic_of_its_layers():
    recipe = SMALL.with_values({"model.filters": [2, 3], "model.pool_after": [2]})
    model, images = build_model(recipe, (6, 6, 3), 4), draw_images(3, size=6)
    for name in ("bn1", "bn2"):
        generator = np.random.default_rng(1)
        layer = model.get_layer(name)
        layer.set_weights([generator.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    x = images / 127.5 - 1
    for block in (1, 2):
        kernel, bias = model.get_layer(f"conv{block}").get_weights()
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = bias + sum(
            padded[:, row : row + 6, column : column + 6] @ kernel[row, column]
            for row in range(3)
            for column in range(3)
        )
        gamma, beta, mean, variance = model.get_layer(f"bn{block}").get_weights()
        x = np.maximum(gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta, 0)
    x = x.reshape(3, 3, 2, 3, 2, 3).max(axis=(2, 4)).reshape(3, -1)
    kernel, bias = model.get_layer("fc1").get_weights()
    x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(model.predict(images, verbose=0), x @ kernel + bias, atol=1e-4)


def test_saved_model_loads_where_kerascnn_is_not_installed(tmp_path):
    model, images = compile_model(SMALL), draw_images(3)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "logits.npy", model.predict(images, verbose=0))
    script = (
        "import sys; sys.modules['kerascnn'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras', safe_mode=True)\n"
        "logits = model.predict(np.load('images.npy'), verbose=0)\n"
        "np.testing.assert_allclose(logits, np.load('logits.npy'), atol=1e-5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_initial_weights_are_uniform_within_the_bounds_of_pytorch():
    model = build_model(RECIPE)
    fans_in = {"conv1": 27, "conv2": 288, "conv3": 576, "fc1": 2048, "logits": 512}
    for name, fan_in in fans_in.items():
        bound = fan_in**-0.5
        kernel, bias = model.get_layer(name).get_weights()
        values = np.concatenate([kernel.ravel(), bias])
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        for draws in (kernel.ravel()[:5000], bias):
            assert stats.kstest(draws, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    for block in (1, 2, 3):
        gamma, beta, mean, variance = model.get_layer(f"bn{block}").get_weights()
        assert np.ptp([gamma, variance]) == 0 == np.ptp([beta, mean])
        assert gamma[0] == 1
        assert beta[0] == 0


@pytest.mark.skipif(keras.config.backend() != "torch", reason="torch is the reference")
def test_initial_bounds_are_those_that_pytorch_draws_within():
    import torch

    torch.manual_seed(0)
    for layer in (torch.nn.Conv2d(32, 64, 3), torch.nn.Linear(288, 4000)):
        for tensor in (layer.weight, layer.bias):
            largest = float(tensor.detach().abs().max())
            assert 0.9 * 288**-0.5 < largest <= 288**-0.5


def test_seed_alone_draws_the_initial_weights():
    one, again, other = (
        build_model(SMALL.with_values({"train.seed": seed})).get_weights() for seed in (3, 3, 4)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    drawn = [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
    assert sum(drawn) == 10  # kernels and biases


def test_initial_weights_are_the_same_numbers_on_every_backend():
    # Drawn with numpy: pinned, because all backends must give them.
    kernel, bias = build_model(SMALL).get_layer("logits").get_weights()
    np.testing.assert_allclose(kernel[0, :3], PINNED_KERNEL, rtol=1e-6)
    np.testing.assert_allclose(bias[:3], PINNED_BIAS, rtol=1e-6)


def test_no_two_layers_share_their_initial_weights():
    recipe = RECIPE.with_values({"model.filters": [16, 16, 16]})
    model = build_model(recipe, (8, 8, 16))
    kernels = [model.get_layer(f"conv{block}").get_weights()[0].ravel() for block in (1, 2, 3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(kernels[one], kernels[other])[0, 1]) < 0.1
    rates = [model.get_layer(name) for name in ("dropout1", "dropout2")]
    assert rates[0].seed != rates[1].seed


def test_dropout_has_the_rate_of_the_recipe_before_both_dense_layers():
    model = build_model(SMALL.with_values({"model.dropout": 0.25}))
    assert [model.get_layer(name).rate for name in ("dropout1", "dropout2")] == [0.25, 0.25]


def test_batch_normalization_has_the_constants_of_pytorch():
    model = build_model(SMALL)
    for name in ("bn1", "bn2", "bn3"):
        assert model.get_layer(name).momentum == 0.9
        assert model.get_layer(name).epsilon == 1e-5


def test_adam_has_the_constants_of_pytorch():
    optimizer = compile_model(RECIPE).optimizer
    assert isinstance(optimizer, keras.optimizers.Adam)
    constants = (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, optimizer.amsgrad)
    assert constants == (0.9, 0.999, 1e-8, False)
    assert float(optimizer.learning_rate) == pytest.approx(0.001)
    assert not optimizer.weight_decay


def test_sgd_has_the_momentum_of_the_recipe():
    recipe = SMALL.with_values(
        {"train.optimizer": "sgd", "train.learning_rate": 0.02, "train.momentum": 0.7}
    )
    optimizer = compile_model(recipe).optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.nesterov) == (0.7, False)
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def test_loss_is_the_cross_entropy_of_the_logits():
    model = compile_model(SMALL)
    images, labels = draw_images(6), np.array([0, 1, 2, 3, 9, 9])
    logits = model.predict(images, verbose=0).astype("float64")
    log_sums = np.log(np.exp(logits).sum(axis=1))
    measured = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(np.mean(log_sums - logits[range(6), labels]), rel=1e-5)
    assert measured["accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == labels))


@pytest.mark.parametrize(("shape", "classes"), [((8, 12, 1), 3), ((9, 9, 4), 2)])
def test_other_images_and_classes(shape, classes):
    model = build_model(SMALL, shape, classes)
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)
    images = np.zeros((2, *shape), "uint8")
    assert model.predict(images, verbose=0).shape == (2, classes)


def test_other_numbers_of_blocks():
    model = build_model(SMALL.with_values({"model.filters": [3], "model.pool_after": [1]}))
    head = [name.replace("relu4", "relu2") for name in HEAD]
    assert calls_of(model) == ["image", "rescale", *BLOCKS[0], "pool", *head]


def test_smallest_images_for_three_poolings_are_eight_by_eight():
    assert build_model(SMALL, (8, 8, 3)).output_shape == (None, 10)
    with pytest.raises(RecipeError, match=r"7x8 pixels .* after blocks \[1, 2, 3\]; list fewer"):
        build_model(SMALL, (7, 8, 3))
    with pytest.raises(RecipeError, match="8x7 pixels"):
        build_model(SMALL, (8, 7, 3))
