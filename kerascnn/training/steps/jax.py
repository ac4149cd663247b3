"""The fast step on jax, for processors: Keras's own layers and update, compiled by other means.

Max pooling gets a gradient that is one pass over the maps instead of a search in each window, and
comes before the ReLU that it follows, which is the same function of a quarter of the numbers. XLA
is told to leave convolutions to its older kernels. A model or a batch that could come out
differently here is left to Keras altogether.
"""

import functools
from collections.abc import Iterator, Sequence

import jax
import keras
from jax import numpy as jnp
from keras import layers

from kerascnn.model.chain import Lowered, Rules
from kerascnn.model.compilation import means_of
from kerascnn.training.steps.chain import FastStep, fits_batch

# What XLA gives to its library of small kernels on processors: by default convolutions as well,
# which there take twice as long as in Eigen.
COMPILER_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}

# Values of variables, in the order in which Keras lists them.
Values = Sequence[jax.Array]
Logs = dict[str, jax.Array]


class JaxStep(FastStep):
    """See `FastStep`."""

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer]):
        super().__init__(model, calls, RULES)
        model.make_train_function(force=True)
        model.make_test_function(force=True)
        self.stock_train, self.stock_test = model.train_function, model.test_function
        compiled = functools.partial(
            jax.jit, donate_argnums=0, compiler_options=known_compiler_options()
        )
        self.train_batch, self.test_batch = compiled(self._train), compiled(self._test)

    @staticmethod
    def fits(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
        compiled = model.jit_compile and not model.run_eagerly
        alone = jax.default_backend() == "cpu" and keras.distribution.distribution() is None
        return bool(compiled and alone and FastStep.fits(model, calls))

    def train(self, state: tuple[Values, ...], iterator: Iterator) -> tuple[Logs, tuple]:
        """One training step on the next (images, labels), as `Model.train_function` is called."""
        batch = next(iterator)
        if not state[0] or not self._fits_batch(batch):
            return self.stock_train(state, iter([batch]))
        return self.train_batch(state, *batch[:2])

    def test(self, state: tuple[Values, ...], iterator: Iterator) -> tuple[Logs, tuple]:
        """One validation step, as `Model.test_function` is called."""
        batch = next(iterator)
        if not self._fits_batch(batch):
            return self.stock_test(state, iter([batch]))
        return self.test_batch(state, *batch[:2])

    def _train(self, state: tuple[Values, ...], images, labels) -> tuple[Logs, tuple]:
        trainable, others, of_optimizer, of_metrics = state
        differentiate = jax.grad(self._scaled_loss, has_aux=True)
        gradients, (loss, logits, others) = differentiate(
            trainable, others, of_optimizer, images, labels
        )
        trainable, of_optimizer = self.model.optimizer.stateless_apply(
            of_optimizer, gradients, trainable
        )
        logs, of_metrics = self._count(of_metrics, images, labels, logits, loss)
        return logs, (trainable, others, of_optimizer, of_metrics)

    def _test(self, state: tuple[Values, ...], images, labels) -> tuple[Logs, tuple]:
        trainable, others, of_metrics = state
        loss, logits, others = self._loss(trainable, others, images, labels, training=False)
        logs, of_metrics = self._count(of_metrics, images, labels, logits, loss)
        return logs, (trainable, others, of_metrics)

    def _scaled_loss(self, trainable: Values, others: Values, of_optimizer: Values, *batch):
        loss, logits, others = self._loss(trainable, others, *batch, training=True)
        optimizer = self.model.optimizer
        with _scope(optimizer.variables, of_optimizer):
            return optimizer.scale_loss(loss), (loss, logits, others)

    def _loss(self, trainable: Values, others: Values, images, labels, training: bool):
        """The loss, the logits, and the variables that do not train after the step."""
        model = self.model
        variables = model.trainable_variables + model.non_trainable_variables
        with _scope(variables, [*trainable, *others]) as scope:
            logits = self.forward(jnp.asarray(images, "float32"), training)
        losses = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        others = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
        return jnp.mean(losses), logits, others

    def _count(self, values: Values, images, labels, logits, loss) -> tuple[Logs, list[jax.Array]]:
        """Add to the sums of Keras's own metrics, and give their means."""
        model = self.model
        with _scope(model.metrics_variables, values) as scope:
            means_of(model)[0].update_state(loss, sample_weight=len(images))
            logs = model.compute_metrics(images, labels, logits)
        return logs, [scope.get_current_value(variable) for variable in model.metrics_variables]

    def _fits_batch(self, batch: tuple) -> bool:
        if not fits_batch(self.model, batch):
            return False
        pairs = zip(self.model.inputs[0].shape, batch[0].shape, strict=True)
        return all(expected in (None, given) for expected, given in pairs)


def _scope(variables: Sequence[keras.Variable], values: Values) -> keras.StatelessScope:
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))


@functools.cache
def known_compiler_options() -> dict[str, str]:
    """The options above, if this release of XLA knows them; they are no part of jax's interface."""
    try:
        jax.jit(lambda: 0, compiler_options=COMPILER_OPTIONS)()
    except jax.errors.JaxRuntimeError:
        return {}
    return COMPILER_OPTIONS


def _max_pooling(layer: layers.MaxPooling2D) -> Lowered | None:
    apart = layer.padding == "valid" and tuple(layer.pool_size) == tuple(layer.strides)
    if not apart or layer.data_format != "channels_last":
        return None
    rows, columns = layer.pool_size

    def call(x: jax.Array, training: bool) -> jax.Array:
        if not training:
            return layer(x)
        height, width = x.shape[1] // rows * rows, x.shape[2] // columns * columns
        return _largest(x[:, :height, :width], rows, columns)

    return call


def _members(x: jax.Array, rows: int, columns: int) -> list[jax.Array]:
    """The first, second, ... numbers of all windows, row by row."""
    count, height, width, channels = x.shape
    windows = x.reshape(count, height // rows, rows, width // columns, columns, channels)
    return [windows[:, :, row, :, column] for row in range(rows) for column in range(columns)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _largest(x: jax.Array, rows: int, columns: int) -> jax.Array:
    """The largest number of each window; its gradient goes to the first of equal ones, as XLA's."""
    return functools.reduce(jnp.maximum, _members(x, rows, columns))


def _largest_forward(x: jax.Array, rows: int, columns: int) -> tuple[jax.Array, tuple]:
    largest = _largest(x, rows, columns)
    return largest, (x, largest)


def _largest_backward(rows: int, columns: int, kept: tuple, upstream: jax.Array) -> tuple:
    x, largest = kept
    left, gradients = jnp.ones(largest.shape, bool), []
    for member in _members(x, rows, columns):
        chosen = left & (member == largest)
        gradients.append(jnp.where(chosen, upstream, 0))
        left &= ~chosen
    count, height, width, channels = largest.shape
    windows = jnp.stack(gradients, 3).reshape(count, height, width, rows, columns, channels)
    return (windows.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape),)


_largest.defvjp(_largest_forward, _largest_backward)

RULES: Rules = {layers.MaxPooling2D: _max_pooling}
