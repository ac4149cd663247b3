"""Several networks of one recipe, trained as one computation on torch.

Their weights lie in tensors with one more axis in front, of which each network's own variables are
views: whatever reads or sets a variable of one of the networks means its part of the whole.
Convolutions are grouped, a group a network; dense layers are batched products. Each network's
dropout, loss and update are its own, and the numbers are those of training it alone, but for the
order in which torch adds.
"""

from collections.abc import Callable, Sequence

import keras
import torch
from keras import layers
from torch.nn import functional

from kerascnn.errors import TrainingError
from kerascnn.model.chain import Lowered, Rules, chain_of_calls, forward
from kerascnn.model.native import RULES, draw_kept, normalize, share_kept
from kerascnn.training.steps.chain import FastStep
from kerascnn.training.steps.torch import cross_entropy, update_of

# Of each network its mean loss, and how many images it had right.
Answers = tuple[torch.Tensor, torch.Tensor]
# The layers at one place of the networks, one of each.
Siblings = Sequence[keras.layers.Layer]
# A variable of the first network to the tensor that holds its like of all networks.
StackOf = Callable[[keras.Variable], torch.Tensor]


class TogetherStep:
    """Training and validation steps of several models.

    Args:
        models: compiled alike, of the same layers, with optimizers that have made as many steps.

    Raises:
        TrainingError: if models like these cannot be trained so.
    """

    def __init__(self, models: Sequence[keras.Model]):
        self.models = models
        chains = [chain_of_calls(model) for model in models]
        if chains[0] is None or not FastStep.fits(models[0], chains[0]):
            raise TrainingError("These networks cannot be trained together; train each alone.")
        weights = zip(*(model.weights for model in models), strict=True)
        stacks = {id(alike[0]): _stack(alike) for alike in weights}
        self.trained = [stacks[id(weight)] for weight in models[0].trainable_variables]
        self.optimizer = _stack_optimizer(models, self.trained)
        self.update = update_of(self.optimizer)
        self.forward = forward(chains[0], _rules(chains, lambda weight: stacks[id(weight)].value))

    def train(self, images: torch.Tensor, labels: torch.Tensor) -> Answers:
        """One training step.

        Args:
            images: uint8 or float32 (num_images, height, width, num_models * channels), the
                channels of one model after those of the other.
            labels: int64 (num_models, num_images).

        Returns:
            The mean loss of each model, float32 (num_models,), and how many of its images it had
            right, int64 (num_models,).
        """
        logits = self.forward(images.float(), True)
        losses = cross_entropy(logits, labels)
        values = [variable.value for variable in self.trained]
        gradients = torch.autograd.grad(losses.sum(), values)
        with torch.no_grad():
            self.update(gradients, self.trained)
        return losses.detach(), _count_hits(logits, labels)

    def test(self, images: torch.Tensor, labels: torch.Tensor) -> Answers:
        """As `train`, of images that do not train."""
        with torch.no_grad():
            logits = self.forward(images.float(), False)
            return cross_entropy(logits, labels), _count_hits(logits, labels)

    def settle(self) -> None:
        """Tell each model's own optimizer how many steps were made; all else it knows."""
        for model in self.models:
            model.optimizer.iterations.assign(self.optimizer.iterations)


def _count_hits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(-1) == labels).sum(-1)


def _stack(variables: Sequence[keras.Variable]) -> keras.Variable:
    """One variable that holds several, which are its views from here on."""
    value = torch.stack([variable.value.detach() for variable in variables])
    for variable, part in zip(variables, value, strict=True):
        variable.value.data = part
    trainable = variables[0].trainable
    return keras.Variable(torch.nn.Parameter(value, requires_grad=trainable), trainable=trainable)


def _stack_optimizer(
    models: Sequence[keras.Model], weights: Sequence[keras.Variable]
) -> keras.Optimizer:
    """An optimizer of stacked weights, whose state holds that of the models' own as its views."""
    optimizers = [model.optimizer for model in models]
    for model in models:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    whole = keras.optimizers.deserialize(keras.optimizers.serialize(optimizers[0]))
    whole.build(weights)
    for state, *parts in zip(whole.variables, *(o.variables for o in optimizers), strict=True):
        if state.shape == parts[0].shape:  # the number of steps, and the rate
            state.assign(parts[0])
        else:
            state.value.data = _stack(parts).value.data
    return whole


def _rules(chains: Sequence[Siblings], stack_of: StackOf) -> Rules:
    """How the layers of all networks are executed, asked for by those of the first."""
    siblings = {id(alike[0]): alike for alike in zip(*chains, strict=True)}

    def together(lower: Callable[[Siblings, StackOf], Lowered | None]) -> Callable:
        return lambda layer: lower(siblings[id(layer)], stack_of)

    return RULES | {
        layers.Conv2D: together(_convolution),
        layers.BatchNormalization: together(_batch_normalization),
        layers.Flatten: together(_flatten),
        layers.Dense: together(_dense),
        layers.Dropout: together(_dropout),
    }


def _convolution(alike: Siblings, stack_of: StackOf) -> Lowered:
    layer, groups = alike[0], len(alike)
    padding = tuple(size // 2 if layer.padding == "same" else 0 for size in layer.kernel_size)
    kernel, bias = stack_of(layer.kernel), stack_of(layer.bias)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        # (networks, height, width, channels, filters) to (networks * filters, channels, ...), the
        # channels of a place side by side as those of the images are.
        weight = kernel.permute(0, 4, 1, 2, 3).flatten(0, 1).permute(0, 3, 1, 2)
        x = x.permute(0, 3, 1, 2)
        x = functional.conv2d(x, weight, bias.flatten(), layer.strides, padding, 1, groups)
        return x.permute(0, 2, 3, 1)

    return call


def _batch_normalization(alike: Siblings, stack_of: StackOf) -> Lowered:
    layer = alike[0]
    gamma, beta = stack_of(layer.gamma), stack_of(layer.beta)
    moving = stack_of(layer.moving_mean).flatten(), stack_of(layer.moving_variance).flatten()

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        return normalize(layer, x, gamma.flatten(), beta.flatten(), moving, training)

    return call


def _flatten(alike: Siblings, stack_of: StackOf) -> Lowered:
    networks = len(alike)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        return x.unflatten(-1, (networks, -1)).permute(3, 0, 1, 2, 4).flatten(2)

    return call


def _dense(alike: Siblings, stack_of: StackOf) -> Lowered:
    kernel, bias = stack_of(alike[0].kernel), stack_of(alike[0].bias)
    return lambda x, training: torch.baddbmm(bias[:, None], x, kernel)


def _dropout(alike: Siblings, stack_of: StackOf) -> Lowered | None:
    if not 0 < alike[0].rate < 1:
        return None
    keep, scale = share_kept(alike[0])
    states = [layer.seed_generator.state for layer in alike]

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        if not training:
            return x
        kept = torch.stack([draw_kept(state, x[0].numel(), keep) for state in states])
        return x * kept.reshape(x.shape).to(x).mul_(scale)

    return call
