"""Networks of attention and mixing as Keras's public examples build them, by their names there."""

import keras
from keras import layers, ops

from made.own_layers import (
    MLPMixerLayer,
    PatchEncoder,
    Patches,
    PatchMerging,
    SequencePooling,
    StochasticDepth,
    SwinTransformer,
)

SHAPE, WIDTH = (32, 32, 3), 32


def vision_transformer():
    inputs = keras.Input(SHAPE)
    x = layers.RandomFlip("horizontal")(layers.Normalization(mean=120.0, variance=4000.0)(inputs))
    x = PatchEncoder(64, WIDTH)(Patches(4)(x))
    x = _attend(x, 4)
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x))
    x = _mlp(layers.Dropout(0.5)(x), 128, 64)
    return keras.Model(inputs, layers.Dense(10)(x))


def vision_transformer_stock():
    """Patches by a convolution with strides, and no layers of one's own."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(WIDTH, 4, strides=4, name="patches")(layers.Rescaling(1 / 255)(inputs))
    x = _attend(layers.Reshape((64, WIDTH))(x), 4)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def mlp_mixer():
    inputs = keras.Input(SHAPE)
    x = layers.Dense(WIDTH)(Patches(4)(layers.Rescaling(1 / 255)(inputs)))
    x = keras.Sequential([MLPMixerLayer(64, WIDTH) for _ in range(4)], name="blocks")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def mlp_mixer_stock():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(WIDTH, 4, strides=4)(layers.Rescaling(1 / 255)(inputs))
    x = layers.Reshape((64, WIDTH))(x)
    for _ in range(4):
        y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        y = layers.Dense(64)(layers.Dense(128, activation="gelu")(y))
        x = layers.Add()([x, layers.Permute((2, 1))(y)])
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(WIDTH)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def compact_convolutional_transformer():
    inputs = keras.Input(SHAPE)
    x = layers.RandomFlip("horizontal")(layers.Rescaling(1 / 255)(inputs))
    for filters in (64, 128):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, activation="relu")(x)
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = layers.Reshape((64, 128))(x)
    for rate in (0.0, 0.1):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.MultiHeadAttention(2, 128, dropout=0.1)(y, y)
        x = layers.Add()([StochasticDepth(rate)(y), x])
        y = _mlp(layers.LayerNormalization(epsilon=1e-5)(x), 128, 128)
        x = layers.Add()([x, StochasticDepth(rate)(y)])
    x = SequencePooling()(layers.LayerNormalization(epsilon=1e-5)(x))
    return keras.Model(inputs, layers.Dense(100)(x))


def swin_transformer():
    inputs = keras.Input(SHAPE)
    x = layers.RandomFlip("horizontal")(layers.RandomCrop(32, 32)(inputs))
    x = PatchEncoder(256, 64)(Patches(2)(x))
    x = SwinTransformer((16, 16), shift=0, num_heads=8)(x)
    x = SwinTransformer((16, 16), shift=1, num_heads=8)(x)
    x = layers.GlobalAveragePooling1D()(PatchMerging((16, 16), 64)(x))
    return keras.Model(inputs, layers.Dense(100, activation="softmax")(x))


def external_attention():
    """EANet: attention written out with operations and layers of Keras."""
    inputs = keras.Input(SHAPE)
    x = PatchEncoder(64, WIDTH)(Patches(4)(layers.Rescaling(1 / 255)(inputs)))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.Add()([_attend_outside(y, 4), x])
        y_mlp = _mlp(layers.LayerNormalization(epsilon=1e-5)(y), 64, WIDTH)
        x = layers.Add()([y_mlp, y])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(100, activation="softmax")(x))


def mobilevit():
    """Tokens of a grid, attended to, and a grid again."""
    inputs = keras.Input((64, 64, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, strides=2, activation="swish", padding="same")(x)
    for filters, strides in ((16, 1), (24, 2), (24, 1), (48, 2)):
        x = _inverted(x, filters, strides)
    y = layers.Conv2D(48, 3, padding="same", activation="swish")(x)
    y = layers.Conv2D(64, 1, padding="same", activation="swish")(y)
    patches = layers.Reshape((4, 16, 64))(y)
    for _ in range(2):
        z = layers.LayerNormalization(epsilon=1e-6)(patches)
        z = layers.Add()([layers.MultiHeadAttention(2, 64, dropout=0.1)(z, z), patches])
        patches = layers.Add()([_mlp(layers.LayerNormalization(epsilon=1e-6)(z), 128, 64), z])
    y = layers.Reshape((8, 8, 64))(patches)
    y = layers.Conv2D(48, 1, padding="same", activation="swish")(y)
    y = layers.Concatenate(axis=-1)([x, y])
    x = layers.Conv2D(64, 3, padding="same", activation="swish")(y)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def _attend(x, times):
    for _ in range(times):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(num_heads=4, key_dim=WIDTH, dropout=0.1)(y, y)
        x = layers.Add()([y, x])
        y = _mlp(layers.LayerNormalization(epsilon=1e-6)(x), 2 * WIDTH, WIDTH)
        x = layers.Add()([y, x])
    return x


def _mlp(x, *widths):
    for width in widths:
        x = layers.Dropout(0.1)(layers.Dense(width, activation="gelu")(x))
    return x


def _attend_outside(x, num_heads):
    _, tokens, width = x.shape
    inner, each = 4 * num_heads, width * 4 // (4 * num_heads)
    x = layers.Reshape((tokens, inner, each))(layers.Dense(width * 4)(x))
    x = ops.transpose(x, (0, 2, 1, 3))
    attention = layers.Activation("softmax")(layers.Dense(width // inner * 8)(x))
    attention = attention / (1e-9 + ops.sum(attention, axis=-1, keepdims=True))
    x = ops.transpose(layers.Dense(each)(layers.Dropout(0.2)(attention)), (0, 2, 1, 3))
    x = layers.Reshape((tokens, width * 4))(x)
    return layers.Dropout(0.2)(layers.Dense(width)(x))


def _inverted(x, filters, strides):
    y = layers.Conv2D(2 * x.shape[-1], 1, padding="same", use_bias=False)(x)
    y = ops.silu(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
    y = ops.silu(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 1, padding="same", use_bias=False)(y))
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y
