"""Layers, functions and models as Keras's public examples define them: code to give by --custom."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("examples")
class Patches(layers.Layer):
    """Of `image_classification_with_vision_transformer`: pictures to rows of their patches."""

    def __init__(self, patch_size, **settings):
        super().__init__(**settings)
        self.patch_size = patch_size

    def call(self, images):
        size = self.patch_size
        batch, height, width, channels = ops.shape(images)
        rows, columns = height // size, width // size
        patches = ops.reshape(images, (batch, rows, size, columns, size, channels))
        patches = ops.transpose(patches, (0, 1, 3, 2, 4, 5))
        return ops.reshape(patches, (batch, rows * columns, size * size * channels))

    def compute_output_shape(self, shape):
        rows, columns = shape[1] // self.patch_size, shape[2] // self.patch_size
        return shape[0], rows * columns, self.patch_size**2 * shape[3]

    def get_config(self):
        return super().get_config() | {"patch_size": self.patch_size}


@keras.saving.register_keras_serializable("examples")
class PatchEncoder(layers.Layer):
    """Of the same example: a projection and a learned place."""

    def __init__(self, num_patches, projection_dim, **settings):
        super().__init__(**settings)
        self.num_patches, self.projection_dim = num_patches, projection_dim
        self.projection = layers.Dense(projection_dim)
        self.places = layers.Embedding(num_patches, projection_dim)

    def build(self, shape):
        self.projection.build(shape)
        self.places.build((1, self.num_patches))

    def call(self, patches):
        places = ops.expand_dims(ops.arange(self.num_patches), 0)
        return self.projection(patches) + self.places(places)

    def compute_output_shape(self, shape):
        return *shape[:-1], self.projection_dim

    def get_config(self):
        sizes = {"num_patches": self.num_patches, "projection_dim": self.projection_dim}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("examples")
class MLPMixerLayer(layers.Layer):
    """Of `mlp_image_classification`."""

    def __init__(self, num_patches, hidden_units, **settings):
        super().__init__(**settings)
        self.num_patches, self.hidden_units = num_patches, hidden_units
        self.mlp1 = self._mlp(num_patches, num_patches)
        self.mlp2 = self._mlp(hidden_units, hidden_units)
        self.normalize = layers.LayerNormalization(epsilon=1e-6)

    def _mlp(self, hidden, units):
        return keras.Sequential([layers.Dense(hidden, "gelu"), layers.Dense(units)])

    def build(self, shape):
        self.normalize.build(shape)
        self.mlp1.build((shape[0], shape[2], shape[1]))
        self.mlp2.build(shape)

    def call(self, inputs):
        x = ops.transpose(self.normalize(inputs), (0, 2, 1))
        x = ops.transpose(self.mlp1(x), (0, 2, 1)) + inputs
        return x + self.mlp2(self.normalize(x))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        sizes = {"num_patches": self.num_patches, "hidden_units": self.hidden_units}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("examples")
class SequencePooling(layers.Layer):
    """Of `cct`: a weighted mean of tokens."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.attention = layers.Dense(1)

    def build(self, shape):
        self.attention.build(shape)

    def call(self, x):
        weights = ops.softmax(self.attention(x), axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), x), 1)

    def compute_output_shape(self, shape):
        return shape[0], shape[2]


@keras.saving.register_keras_serializable("examples")
class StochasticDepth(layers.Layer):
    """Of `cct`: leaves a branch out by chance in training."""

    def __init__(self, drop_prob, **settings):
        super().__init__(**settings)
        self.drop_prob = drop_prob

    def call(self, x, training=None):
        if not training:
            return x
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        kept = keras.random.uniform(shape) >= self.drop_prob
        return x / (1 - self.drop_prob) * ops.cast(kept, x.dtype)

    def get_config(self):
        return super().get_config() | {"drop_prob": self.drop_prob}


@keras.saving.register_keras_serializable("examples")
class SwinTransformer(layers.Layer):
    """Of `swin_transformers`: attention within windows of a grid, which every second layer moves.

    The mask of what the moving brings together and the bias of relative places are left out.
    """

    def __init__(self, num_patch, window=2, shift=0, num_heads=4, **settings):
        super().__init__(**settings)
        self.num_patch, self.window, self.shift = tuple(num_patch), window, shift
        self.num_heads = num_heads

    def build(self, shape):
        width = shape[-1]
        inside = (None, self.window**2, width)
        self.norms = [layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.attention = layers.MultiHeadAttention(self.num_heads, width // self.num_heads)
        self.attention.build(inside, inside)
        self.mlp = keras.Sequential([layers.Dense(2 * width, "gelu"), layers.Dense(width)])
        self.mlp.build(shape)
        for norm in self.norms:
            norm.build(shape)

    def call(self, x):
        (rows, columns), side, width = self.num_patch, self.window, x.shape[-1]
        grid = ops.reshape(self.norms[0](x), (-1, rows, columns, width))
        grid = ops.roll(grid, (-self.shift, -self.shift), (1, 2)) if self.shift else grid
        grid = ops.reshape(grid, (-1, rows // side, side, columns // side, side, width))
        windows = ops.reshape(ops.transpose(grid, (0, 1, 3, 2, 4, 5)), (-1, side * side, width))
        windows = self.attention(windows, windows)
        grid = ops.reshape(windows, (-1, rows // side, columns // side, side, side, width))
        grid = ops.reshape(ops.transpose(grid, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, width))
        grid = ops.roll(grid, (self.shift, self.shift), (1, 2)) if self.shift else grid
        x = x + ops.reshape(grid, (-1, rows * columns, width))
        return x + self.mlp(self.norms[1](x))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        sizes = {"num_patch": self.num_patch, "window": self.window, "shift": self.shift}
        return super().get_config() | sizes | {"num_heads": self.num_heads}


@keras.saving.register_keras_serializable("examples")
class PatchMerging(layers.Layer):
    """Of `swin_transformers`: four neighbouring tokens become one."""

    def __init__(self, num_patch, embed_dim, **settings):
        super().__init__(**settings)
        self.num_patch, self.embed_dim = tuple(num_patch), embed_dim
        self.reduction = layers.Dense(2 * embed_dim, use_bias=False)

    def build(self, shape):
        self.reduction.build((*shape[:-1], 4 * shape[-1]))

    def call(self, x):
        rows, columns = self.num_patch
        grid = ops.reshape(x, (-1, rows, columns, x.shape[-1]))
        four = [grid[:, row::2, column::2] for column in range(2) for row in range(2)]
        merged = ops.concatenate(four, -1)
        tokens = (-1, rows // 2 * columns // 2, 4 * x.shape[-1])
        return self.reduction(ops.reshape(merged, tokens))

    def compute_output_shape(self, shape):
        return shape[0], shape[1] // 4, 2 * self.embed_dim

    def get_config(self):
        sizes = {"num_patch": self.num_patch, "embed_dim": self.embed_dim}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("examples")
class Involution(layers.Layer):
    """Of `involution`: a kernel for each place; gives what it computes, and the kernels."""

    def __init__(self, channel, kernel_size, **settings):
        super().__init__(**settings)
        self.channel, self.kernel_size = channel, kernel_size

    def build(self, shape):
        self.generate = keras.Sequential(
            [layers.Conv2D(2, 1), layers.BatchNormalization(), layers.ReLU(),
             layers.Conv2D(self.kernel_size**2, 1)]
        )  # fmt: skip
        self.generate.build(shape)

    def call(self, x):
        side = self.kernel_size
        kernels = ops.expand_dims(self.generate(x), -1)
        _, height, width, _ = x.shape
        kernels = ops.reshape(kernels, (-1, height, width, side * side, 1))
        half = side // 2
        padded = ops.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
        places = [(row, column) for row in range(side) for column in range(side)]
        near = [padded[:, row : row + height, col : col + width] for row, col in places]
        return ops.sum(ops.stack(near, 3) * kernels, 3), kernels

    def compute_output_shape(self, shape):
        return shape, (*shape[:3], self.kernel_size**2, 1)

    def get_config(self):
        sizes = {"channel": self.channel, "kernel_size": self.kernel_size}
        return super().get_config() | sizes


@keras.saving.register_keras_serializable("examples")
class DepthToSpace(layers.Layer):
    """Of `super_resolution_sub_pixel`: channels become pixels."""

    def __init__(self, block_size, **settings):
        super().__init__(**settings)
        self.block_size = block_size

    def call(self, x):
        side = self.block_size
        batch, height, width, depth = ops.shape(x)
        x = ops.reshape(x, (batch, height, width, side, side, depth // side**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (batch, height * side, width * side, depth // side**2))

    def compute_output_shape(self, shape):
        side = self.block_size
        sizes = [size and size * side for size in shape[1:3]]
        return shape[0], *sizes, shape[3] // side**2

    def get_config(self):
        return super().get_config() | {"block_size": self.block_size}


@keras.saving.register_keras_serializable("examples")
def euclidean_distance(vectors):
    """Of `siamese_contrastive`."""
    one, other = vectors
    squares = ops.sum(ops.square(one - other), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(squares, keras.config.epsilon()))


@keras.saving.register_keras_serializable("examples")
def contrastive_loss(y_true, y_pred):
    """Of `siamese_contrastive`."""
    near = ops.square(ops.maximum(1 - y_pred, 0))
    return ops.mean((1 - y_true) * ops.square(y_pred) + y_true * near)


@keras.saving.register_keras_serializable("examples")
class Distiller(keras.Model):
    """Of `knowledge_distillation`: a model with a `call` of its own."""

    def __init__(self, student, **settings):
        super().__init__(**settings)
        self.student = student

    def call(self, x):
        return self.student(x)

    def get_config(self):
        return super().get_config() | {"student": keras.saving.serialize_keras_object(self.student)}

    @classmethod
    def from_config(cls, config):
        student = keras.saving.deserialize_keras_object(config.pop("student"))
        return cls(student, **config)
