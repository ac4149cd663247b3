"""The fast step on tensorflow: the model's layers as a leaner graph over the very same variables.

Batch normalization is one operation instead of a dozen, and so is the update of each weight;
pooling comes before the ReLU that it follows, which is the same function of a quarter of the
numbers. Keras traces the step as it traces its own, and gives it batches in the same way. A known
layer with an unusual setting is called as Keras calls it; a model, an optimizer or a batch that
could come out differently here is left to Keras altogether.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

from kerascnn.model.chain import Lowered, Rules, is_affine
from kerascnn.model.compilation import adam_state, build_metrics, means_of, places_of, traced
from kerascnn.training.steps.chain import FastStep, fits_batch, kind_of_update


class TensorFlowStep(FastStep):
    """See `FastStep`."""

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer]):
        super().__init__(model, calls, _RULES)
        self.update = _update_of(model.optimizer)
        self.train = traced(model, self._train)
        self.test = traced(model, self._test)

    @staticmethod
    def fits(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
        # XLA compiles Keras's own step as well as this one.
        graph = not model.run_eagerly and not model.jit_compile
        alone = type(model.distribute_strategy) is type(tf.distribute.get_strategy())
        alone = alone and not tf.distribute.has_strategy()
        return graph and alone and FastStep.fits(model, calls)

    def _train(self, batch: tuple) -> dict[str, tf.Tensor]:
        weights = self.model.trainable_weights
        if not weights or not self._fits_batch(batch):
            return self.model.train_step(batch)
        images, labels = _unpack(batch)
        with tf.GradientTape() as tape:
            logits = self.forward(images, training=True)
            loss = _cross_entropy(logits, labels)
            scaled = self.model.optimizer.scale_loss(loss)
        self.update(tape.gradient(scaled, [weight.value for weight in weights]), weights)
        return self._count(logits, labels, loss)

    def _test(self, batch: tuple) -> dict[str, tf.Tensor]:
        if not self._fits_batch(batch):
            return self.model.test_step(batch)
        images, labels = _unpack(batch)
        logits = self.forward(images, training=False)
        return self._count(logits, labels, _cross_entropy(logits, labels))

    def _count(self, logits, labels, loss) -> dict[str, tf.Tensor]:
        """Add to the sums of Keras's own metrics, and give their means."""
        build_metrics(self.model, labels, logits)
        mean_loss, accuracy = means_of(self.model)
        hits = tf.cast(tf.argmax(logits, 1, output_type=labels.dtype) == labels, "float32")
        count = tf.cast(tf.size(labels), "float32")
        return {
            "accuracy": _add(accuracy, tf.reduce_sum(hits), count),
            "loss": _add(mean_loss, loss * count, count),
        }

    def _fits_batch(self, batch: tuple) -> bool:
        known = isinstance(batch, tuple | list) and all(
            isinstance(part, tf.Tensor) and part.shape.rank is not None for part in batch[:2]
        )
        expected = tf.TensorShape(self.model.inputs[0].shape)
        return (
            known and fits_batch(self.model, batch) and expected.is_compatible_with(batch[0].shape)
        )


def _unpack(batch: tuple) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = batch[:2]
    return tf.cast(images, "float32"), tf.cast(labels, "int64")


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def _add(mean: keras.metrics.Mean, total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    total = mean.total.value.assign_add(total)
    count = mean.count.value.assign_add(count)
    return tf.math.divide_no_nan(total, count)


def _convolution(layer: layers.Conv2D) -> Lowered | None:
    if layer.data_format != "channels_last" or not is_affine(layer):
        return None
    if layer.groups != 1 or layer.dilation_rate != (1, 1):
        return None

    def call(x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.conv2d(x, layer.kernel.value, layer.strides, layer.padding.upper())
        return tf.nn.bias_add(x, layer.bias.value) if layer.use_bias else x

    return call


def _batch_normalization(layer: layers.BatchNormalization) -> Lowered | None:
    maps = layer.input_spec.ndim == 4 and layer.axis in (-1, 3)
    if not maps or not layer.center or not layer.scale or layer.renorm or layer.synchronized:
        return None
    gamma, beta = layer.gamma.value, layer.beta.value
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    part = 1 - layer.momentum

    def call(x: tf.Tensor, training: bool) -> tf.Tensor:
        if not (training and layer.trainable):
            return tf.compat.v1.nn.fused_batch_norm(
                x, gamma, beta, mean, variance, layer.epsilon, is_training=False
            )[0]
        x, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
            x, gamma, beta, epsilon=layer.epsilon
        )
        # The operation gives the unbiased variance; Keras's moving variance is of the biased one.
        size = tf.cast(tf.size(x) // x.shape[-1], "float32")
        mean.assign_sub((mean - batch_mean) * part)
        variance.assign_sub((variance - batch_variance * ((size - 1) / size)) * part)
        return x

    return call


def _dense(layer: layers.Dense) -> Lowered | None:
    if not layer.use_bias or layer.input_spec.ndim != 2 or not is_affine(layer):
        return None
    return lambda x, training: tf.nn.bias_add(_product(x, layer.kernel.value), layer.bias.value)


@tf.custom_gradient
def _product(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """`x @ kernel`; in the gradient of x, `tf.matmul` would first turn the kernel, at length."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_x = tf.einsum("no,io->ni", upstream, kernel)
        return of_x, tf.matmul(x, upstream, transpose_a=True)

    return tf.matmul(x, kernel), gradient


_RULES: Rules = {
    layers.Conv2D: _convolution,
    layers.BatchNormalization: _batch_normalization,
    layers.Dense: _dense,
}


def _update_of(optimizer: keras.Optimizer) -> Callable[[Sequence, Sequence], object]:
    fused = {keras.optimizers.Adam: _apply_adam, keras.optimizers.SGD: _apply_sgd}
    apply = fused.get(kind_of_update(optimizer))
    if apply is None:
        return lambda gradients, weights: optimizer.apply_gradients(
            zip(gradients, weights, strict=True)
        )

    def update(gradients: Sequence[tf.Tensor], weights: Sequence[keras.Variable]) -> None:
        if not optimizer.built:
            optimizer.build(weights)
        apply(optimizer, gradients, weights, tf.cast(optimizer.learning_rate, "float32"))
        optimizer.iterations.value.assign_add(1)

    return update


def _apply_adam(optimizer, gradients, weights, rate: tf.Tensor) -> None:
    step = tf.cast(optimizer.iterations.value + 1, "float32")
    powers = [tf.pow(beta, step) for beta in (optimizer.beta_1, optimizer.beta_2)]
    state = adam_state(optimizer)
    for place, gradient in zip(places_of(optimizer, weights), gradients, strict=True):
        weight, momentum, velocity = state[place]
        tf.raw_ops.ResourceApplyAdam(
            var=weight.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )


def _apply_sgd(optimizer, gradients, weights, rate: tf.Tensor) -> None:
    places = places_of(optimizer, weights)
    for weight, gradient, place in zip(weights, gradients, places, strict=True):
        handle = weight.value.handle
        if not optimizer.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=handle, alpha=rate, delta=gradient)
            continue
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=handle,
            accum=optimizer.momentums[place].value.handle,
            lr=rate,
            grad=gradient,
            momentum=optimizer.momentum,
            use_nesterov=optimizer.nesterov,
        )
