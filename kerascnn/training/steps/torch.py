"""The fast step on torch: the model's layers as native torch calls over the very same parameters.

The layers are executed by `model.native`; pooling comes before the ReLU that it follows, which is
the same function of a quarter of the numbers; the update is one fused call on the optimizer's own
variables. A model, an optimizer or a batch that could come out differently here is left to Keras
altogether.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import torch
from torch.nn import functional

from kerascnn.model.compilation import adam_state, means_of
from kerascnn.model.native import POLICIES, RULES
from kerascnn.training.steps.chain import FastStep, fits_batch, kind_of_update


class TorchStep(FastStep):
    """See `FastStep`.

    In mixed precision, weights are cast once a step, images once a layer, as by Keras.
    """

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer]):
        super().__init__(model, calls, RULES)
        self.update = update_of(model.optimizer)
        # Keras assigns to these tensors in place.
        self.weights = [(weight, weight.value) for weight in model.weights]

    @staticmethod
    def fits(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
        return FastStep.fits(model, calls, POLICIES)

    def train(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One training step on `[(images, labels)]`, as `Model.train_function` is called."""
        trained = [pair for pair in self.weights if pair[0].trainable]
        if not trained or not fits_batch(self.model, iterator_data[0]):
            return self.model.train_step(iterator_data[0])
        images, labels = _unpack(iterator_data)
        logits = self.forward(images, training=True)
        loss = cross_entropy(logits, labels)
        weights, values = zip(*trained, strict=True)
        gradients = torch.autograd.grad(self.model.optimizer.scale_loss(loss), values)
        with torch.no_grad():
            self.update(gradients, weights)
            return self._count(logits, labels, loss)

    def test(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One validation step, as `Model.test_function` is called."""
        with torch.no_grad():
            if not fits_batch(self.model, iterator_data[0]):
                return self.model.test_step(iterator_data[0])
            images, labels = _unpack(iterator_data)
            logits = self.forward(images, training=False)
            return self._count(logits, labels, cross_entropy(logits, labels))

    def _count(self, logits, labels, loss) -> dict[str, torch.Tensor]:
        """Add to the sums of Keras's own metrics, and give their means."""
        count = len(labels)
        (total, images), (correct, labelled) = self._sums
        total.add_(loss, alpha=count)
        images.add_(count)
        correct.add_((logits.argmax(1) == labels).sum())
        labelled.add_(count)
        return {"accuracy": correct / labelled, "loss": total / images}

    @functools.cached_property
    def _sums(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Sum and count of the loss and of the accuracy; Keras makes them with the first batch."""
        return [(mean.total.value, mean.count.value) for mean in means_of(self.model)]


def _unpack(iterator_data: list) -> tuple[torch.Tensor, torch.Tensor]:
    # To the device and the type that Keras would give them.
    images, labels = iterator_data[0][:2]
    convert = keras.ops.convert_to_tensor
    return convert(images, "float32"), convert(labels, "int64")


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss of logits (..., num_images, num_classes), float32 (...)."""
    losses = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    # Over all labels, as in Keras; torch's own mean leaves out those that it ignores, -100.
    return losses.reshape(labels.shape).mean(-1)


def update_of(optimizer: keras.Optimizer) -> Callable[[Sequence, Sequence], object]:
    """An optimizer's update as a function of gradients and variables, in few calls."""
    is_adam = kind_of_update(optimizer) is keras.optimizers.Adam
    return _Adam(optimizer) if is_adam else optimizer.apply


class _Adam:
    """Keras's Adam, on Keras's own variables, in fewer calls."""

    def __init__(self, optimizer: keras.optimizers.Adam):
        self.optimizer = optimizer

    def __call__(self, gradients: Sequence[torch.Tensor], weights: Sequence[keras.Variable]):
        values, momentums, velocities = zip(*(self._state[id(w)] for w in weights), strict=True)
        # The kernels take all tensors to lie alike.
        gradients = [gradient.contiguous() for gradient in gradients]
        apply = fused_adam if values[0].device.type == "cpu" else waitless_adam
        apply(self.optimizer, gradients, values, momentums, velocities)
        self.optimizer.iterations.value.add_(1)

    @functools.cached_property
    def _state(self) -> dict[int, list[torch.Tensor]]:
        # Asking Keras for them in each step would take a tenth of a small step.
        return {
            id(variables[0]): [variable.value for variable in variables]
            for variables in adam_state(self.optimizer)
        }


Tensors = Sequence[torch.Tensor]


def fused_adam(
    optimizer: keras.optimizers.Adam,
    gradients: Tensors,
    values: Tensors,
    momentums: Tensors,
    velocities: Tensors,
) -> None:
    """One update by torch's fused kernel.

    Keras divides by (sqrt(v) + epsilon) before the bias correction sqrt(1 - beta_2 ** t), torch
    after it; the epsilon given here makes the two equal.
    """
    step = int(optimizer.iterations.value) + 1
    torch._fused_adam_(
        values,
        gradients,
        momentums,
        velocities,
        [],
        [torch.tensor(float(step), device=values[0].device)] * len(values),
        lr=float(optimizer.learning_rate),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        weight_decay=0.0,
        eps=optimizer.epsilon / (1 - optimizer.beta_2**step) ** 0.5,
        amsgrad=False,
        maximize=False,
    )


def waitless_adam(
    optimizer: keras.optimizers.Adam,
    gradients: Tensors,
    values: Tensors,
    momentums: Tensors,
    velocities: Tensors,
) -> None:
    """One update for which nothing has to be read from a GPU: step and rate stay there."""
    step = optimizer.iterations.value + 1
    rate = keras.ops.convert_to_tensor(optimizer.learning_rate, "float32")
    scale = rate * (1 - optimizer.beta_2**step).sqrt() / (1 - optimizer.beta_1**step)
    torch._foreach_lerp_(momentums, gradients, 1 - optimizer.beta_1)
    torch._foreach_mul_(velocities, optimizer.beta_2)
    torch._foreach_addcmul_(velocities, gradients, gradients, 1 - optimizer.beta_2)
    divisors = torch._foreach_sqrt(velocities)
    torch._foreach_add_(divisors, optimizer.epsilon)
    updates = torch._foreach_div(momentums, divisors)
    torch._foreach_mul_(updates, scale)
    torch._foreach_sub_(values, updates)
