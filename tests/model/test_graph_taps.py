"""The first convolution in the order of the data, what follows it, and its kernels."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerascnn.errors import ModelError
from kerascnn.look.activations import feature_maps
from kerascnn.model.graph import truncate
from kerascnn.model.taps import effective_kernels, find_tap

IMAGES = np.random.default_rng(0).random((2, 6, 8, 3), "float32")


def model_of(*steps, shape=(6, 8, 3)):
    image = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


def conv(name="conv", **options):
    return layers.Conv2D(4, 3, padding="same", name=name, **options)


def test_the_first_convolution_of_a_nested_model_is_found():
    stem = keras.Sequential([keras.Input((6, 8, 3)), conv("first"), layers.ReLU(name="relu")])
    stem.name = "stem"
    model = model_of(layers.Rescaling(2.0), stem, conv("later"), layers.ReLU(name="later_relu"))
    assert find_tap(model, "conv") == "stem/first"
    assert find_tap(model, "relu") == "stem/relu"
    stem = keras.Sequential([keras.Input((6, 8, 3)), conv("first")], name="stem")
    model = model_of(stem, layers.BatchNormalization(name="norm"), layers.ReLU(name="relu"))
    assert [find_tap(model, tap) for tap in ("conv", "bn", "relu")] == [
        "stem/first",
        "norm",
        "relu",
    ]


def test_the_first_convolution_is_the_first_that_data_passes_not_the_nearest_the_end():
    image = keras.Input((6, 8, 3))
    deep = image
    for number in range(3):
        deep = layers.Rescaling(2.0, name=f"scale{number}")(deep)
    deep = conv("deep", activation="relu")(deep)
    shallow = conv("shallow", activation="relu")(image)
    joined = layers.Concatenate()([deep, shallow])
    assert find_tap(keras.Model(image, joined)) == "shallow"
    # The second needs the first, though a short way leads around it.
    joined = layers.Concatenate()([image, deep])
    assert find_tap(keras.Model(image, conv("second")(joined)), "conv") == "deep"


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, name="first"),
        layers.DepthwiseConv2D(3, name="first"),
        layers.SeparableConv2D(4, 3, name="first"),
        layers.Conv2DTranspose(4, 3, name="first"),
        layers.SpectralNormalization(layers.Conv2D(4, 3), name="first"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_convolutions_of_every_kind_count(layer):
    model = model_of(layer, layers.ReLU(name="relu"), conv("later", activation="relu"))
    assert find_tap(model, "conv") == "first"
    assert find_tap(model, "relu") == "relu"


def test_of_a_convolution_used_twice_the_first_use_is_meant():
    shared = layers.Conv2D(3, 3, padding="same", name="shared", activation="relu")
    model = model_of(shared, layers.Rescaling(2.0), shared)
    assert find_tap(model) == "shared:1"
    expected = ops.convert_to_numpy(shared(IMAGES))
    np.testing.assert_allclose(feature_maps(model, IMAGES, find_tap(model)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "activation",
    [
        layers.ReLU(name="tap"), layers.Activation("silu", name="tap"), layers.ELU(name="tap"),
        layers.LeakyReLU(name="tap"), layers.PReLU(name="tap"),
        ops.relu, ops.silu, ops.gelu, ops.leaky_relu, keras.activations.celu,
        lambda x: keras.activations.relu(x, max_value=6.0), ops.relu6,
    ],
)  # fmt: skip
def test_activations_as_layers_and_as_operations_are_taps(activation):
    before = [conv("first"), layers.BatchNormalization(), layers.Activation("linear"), activation]
    model = model_of(*before, conv("second"), layers.ReLU(name="wrong"))
    tap = find_tap(model, "relu")
    assert tap not in ("first", "wrong")
    assert truncate(model, tap).outputs[0] is model.layers[-2].input or tap == "tap"


def test_what_follows_another_convolution_alone_is_no_tap():
    image = keras.Input((6, 8, 3))
    first = conv("first")(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(first)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
    gate = layers.BatchNormalization(name="wrong")(gate)
    x = layers.Multiply()([layers.BatchNormalization(name="right")(layers.ReLU()(first)), gate])
    assert find_tap(keras.Model(image, x), "bn") == "right"


def test_without_a_tap_the_error_names_the_convolution():
    model = model_of(conv("first"), layers.LayerNormalization(), conv("second", activation="relu"))
    with pytest.raises(ModelError, match=r"No relu follows .* 'first'.*first \(None, 6, 8, 4\)"):
        find_tap(model)
    with pytest.raises(ModelError, match="no convolution of pictures"):
        find_tap(model_of(layers.Flatten(), layers.Dense(2)))


# Kernels.


def answers(images, kernels):
    """What kernels give, same-padded."""
    return ops.convert_to_numpy(ops.conv(images, kernels, 1, "same", "channels_last"))


def linear_part(model, layer):
    """What a layer gives less what it gives for nothing."""
    nothing = np.zeros_like(IMAGES)
    return feature_maps(model, IMAGES, layer) - feature_maps(model, nothing, layer)


def drawn(model, seed=0):
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.path else -1
        weight.assign(generator.uniform(low, 1, weight.shape))
    return model


def channels_first(x):
    return layers.Permute((3, 1, 2))(x)


BEHIND = {
    "conv": [conv()],
    "normalized": [conv(), layers.BatchNormalization(), layers.Dropout(0.5)],
    "channels first": [
        channels_first, conv(data_format="channels_first"), layers.BatchNormalization(axis=1),
        layers.Permute((2, 3, 1)), layers.BatchNormalization(),
    ],
    "separable": [
        layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2),
        layers.BatchNormalization(),
    ],
    "depthwise": [layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)],
    "nested": [
        keras.Sequential([keras.Input((6, 8, 3)), conv()]), layers.BatchNormalization(),
        keras.Sequential([keras.Input((6, 8, 4)), layers.BatchNormalization()]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", BEHIND)
def test_a_linear_layer_answers_as_its_effective_kernels_do(case):
    model = drawn(model_of(*BEHIND[case]))
    name = model.layers[-1].name
    kernels = effective_kernels(model, name)
    assert kernels.dtype == np.float32
    np.testing.assert_allclose(linear_part(model, name), answers(IMAGES, kernels), atol=1e-4)


def test_activation_pooling_and_shape_keep_the_kernels():
    model = model_of(
        conv(), layers.ReLU(), layers.MaxPooling2D(), layers.GlobalAveragePooling2D(keepdims=True),
        layers.Flatten(name="last"),
    )  # fmt: skip
    expected = ops.convert_to_numpy(model.get_layer("conv").kernel)
    np.testing.assert_array_equal(effective_kernels(model, "last"), expected)


class Standardized(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel / ops.std(kernel))


class Doubled(layers.Layer):
    def call(self, inputs):
        return -2 * inputs


WITHOUT = {
    "softmax": [conv(), layers.Softmax()],
    "normalized along filters": [conv(), layers.UnitNormalization()],
    "normalized otherwise": [conv(), layers.BatchNormalization(axis=1)],
    "layer of one's own": [conv(), Doubled()],
    "convolution of one's own": [Standardized(4, 3)],
    "transposed": [layers.Conv2DTranspose(4, 3)],
    "depthwise of filters": [conv(), layers.DepthwiseConv2D(3)],
    "separable of filters": [conv(), layers.SeparableConv2D(4, 3)],
    "negated": [conv(), ops.negative],
    "cut": [conv(), lambda x: x[..., 1:]],
    "dense": [conv(), layers.Dense(4)],
    "flat": [conv(), layers.Flatten()],
    "mixed": [conv(), ops.cumsum],
}


@pytest.mark.parametrize("case", WITHOUT)
def test_where_filters_are_mixed_there_are_no_kernels(case):
    model = model_of(*WITHOUT[case])
    assert effective_kernels(model, model.operations[-1].name) is None


def test_of_a_shared_network_the_use_that_sees_the_pictures_is_taken():
    image = keras.Input((12, 10, 3))
    x = layers.Conv2D(2, 3, name="conv")(image)
    shared = keras.Model(image, layers.ReLU(name="relu")(x), name="shared")
    one, other = keras.Input((12, 10, 3)), keras.Input((12, 10, 3))
    model = keras.Model([one, other], shared(one) - shared(other))
    assert find_tap(model) == find_tap(model, picture=0) == "shared:1/relu"
    assert find_tap(model, picture=1) == "shared:2/relu"


@pytest.mark.parametrize("build", [layers.SeparableConv2D, layers.DepthwiseConv2D, layers.Conv2D])
def test_kernels_of_bfloat16_are_given_in_float32(build):
    options = {"kernel_size": 3, "dtype": "bfloat16", "name": "conv"}
    layer = build(**options) if build is layers.DepthwiseConv2D else build(4, **options)
    image = keras.Input((6, 8, 3))
    model = keras.Model(image, layers.BatchNormalization(name="bn", dtype="bfloat16")(layer(image)))
    kernels = effective_kernels(model, "bn")
    assert kernels.dtype == np.float32
    assert np.isfinite(kernels).all()
