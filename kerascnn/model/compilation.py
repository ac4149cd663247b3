"""What a compiled model trains with: its loss, its metrics and the state of its optimizer.

Keras has no public way to these. What is private to Keras there is read in this file alone.
"""

from collections.abc import Callable, Sequence

import keras


def is_plain_classification(model: keras.Model) -> bool:
    """Whether a compiled model has cross-entropy on integer labels and logits, and accuracy alone.

    No label, image or class has a weight.
    """
    loss, metrics = model.loss, model._compile_metrics
    if type(loss) is not keras.losses.SparseCategoricalCrossentropy or metrics is None:
        return False
    return (
        loss._fn_kwargs == {"from_logits": True, "ignore_class": None, "axis": -1}
        and loss.reduction in ("sum_over_batch_size", "mean")
        and loss.dtype == "float32"
        and model._compile_loss._user_loss_weights is None
        and metrics._user_metrics == ["accuracy"]
        and not metrics._user_weighted_metrics
    )


def build_metrics(model: keras.Model, labels: object, logits: object) -> None:
    """Have Keras make the metrics of a model for such labels and logits, where it has none."""
    if not model._compile_metrics.built:
        model._compile_metrics.build(labels, logits)


def means_of(model: keras.Model) -> tuple[keras.metrics.Mean, keras.metrics.Mean]:
    """The metrics that hold the mean of the loss and the accuracy; they must be built."""
    return model._loss_tracker, model._compile_metrics.metrics[0]


def places_of(optimizer: keras.Optimizer, weights: Sequence[keras.Variable]) -> list[int]:
    """Where a built optimizer keeps the state of weights.

    Raises:
        ValueError: by Keras, if the optimizer was built for other weights.
    """
    optimizer._check_variables_are_known(weights)
    return [optimizer._get_variable_index(weight) for weight in weights]


def adam_state(
    optimizer: keras.optimizers.Adam,
) -> list[tuple[keras.Variable, keras.Variable, keras.Variable]]:
    """Each weight that a built optimizer trains, with its momentum and velocity, by its place."""
    weights, momentums = optimizer._trainable_variables, optimizer._momentums
    return list(zip(weights, momentums, optimizer._velocities, strict=True))


def traced(model: keras.Model, step: Callable) -> Callable:
    """A step on a batch as Keras has its own on tensorflow: traced, and fed by an iterator."""
    return model._make_function(step)
