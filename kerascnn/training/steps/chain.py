"""Which models a fast step can train, whatever the backend."""

from collections.abc import Collection

import keras

from kerascnn.model.chain import Rules, forward
from kerascnn.model.compilation import is_plain_classification


class FastStep:
    """Training and validation steps of one compiled model.

    A backend's own adds `train` and `test`, which are called as `Model.train_function` and
    `Model.test_function` are.

    Args:
        model: compiled, with cross-entropy on integer labels and logits, and accuracy.
        calls: as `chain_of_calls` gives them.
        rules: how layers are executed.
    """

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer], rules: Rules):
        self.model = model
        self.forward = forward(calls, rules)

    @staticmethod
    def fits(
        model: keras.Model,
        calls: list[keras.layers.Layer],
        policies: Collection[str] = frozenset({"float32"}),
    ) -> bool:
        """Whether the step computes what the model, its loss and its metrics say.

        Args:
            model, calls: as for the step.
            policies: the dtype policies of layers that it knows.
        """
        executed_singly = model.compiled and model.steps_per_execution == 1
        known = {layer.dtype_policy.name for layer in calls} <= set(policies)
        plain = executed_singly and is_plain_classification(model)
        return plain and known and _fits_layers(model, calls)


def fits_batch(model: keras.Model, batch: tuple) -> bool:
    """Whether a batch is images and one label each, without weights."""
    if not isinstance(batch, tuple | list) or any(part is not None for part in batch[2:]):
        return False
    ranks = [len(getattr(part, "shape", ())) for part in batch[:2]]
    return ranks == [len(model.inputs[0].shape), 1]


def kind_of_update(optimizer: keras.Optimizer) -> type | None:
    """`Adam` or `SGD` of Keras if the optimizer is one, and does nothing beside its update."""
    beside = (
        optimizer.weight_decay
        or optimizer.clipnorm
        or optimizer.clipvalue
        or optimizer.global_clipnorm
        or optimizer.use_ema
        or optimizer.loss_scale_factor
        or optimizer.gradient_accumulation_steps
        or getattr(optimizer, "amsgrad", False)
    )
    # On torch, Keras makes its optimizers ones of subclasses of the same names.
    if beside or not type(optimizer).__module__.startswith("keras."):
        return None
    kinds = (keras.optimizers.Adam, keras.optimizers.SGD)
    name = type(optimizer).__name__
    return next((k for k in kinds if name == k.__name__ and isinstance(optimizer, k)), None)


def _fits_layers(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
    logits, weights = model.outputs[0], model.weights
    return (
        len(logits.shape) == 2
        and logits.shape[1] > 1  # of one column, Keras's "accuracy" is a binary one
        and model.inputs[0].dtype == "float32"
        and all(layer.activity_regularizer is None for layer in calls)
        and all(weight.regularizer is None and weight.constraint is None for weight in weights)
    )
