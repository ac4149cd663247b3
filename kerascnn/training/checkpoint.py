"""The state of training between two epochs: every variable of the model and its optimizer.

The order of the images, their augmentation and dropout are drawn from the seed, the epoch and
variables of the model; nothing else has a state.
"""

import keras
import numpy as np

from kerascnn.errors import RunError


def capture(model: keras.Model) -> dict[str, np.ndarray]:
    """Arrays of all variables of a compiled model and its optimizer, by their places."""
    convert = keras.ops.convert_to_numpy
    return {name: np.array(convert(variable)) for name, variable in _variables(model).items()}


def restore(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Give the variables of a compiled model and its optimizer the values of `capture`.

    The arrays may be those of another backend.

    Raises:
        RunError: if they are those of another model or optimizer.
    """
    variables = _variables(model)
    for name, variable in variables.items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(variable.shape):
            raise RunError(f"The checkpoint has no variable '{name}' of shape {variable.shape}.")
        variable.assign(array.astype(keras.backend.standardize_dtype(variable.dtype)))


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # By place: the paths of seed generators count up within a process.
    parts = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {
        f"{part}/{place}": variable
        for part, variables in parts.items()
        for place, variable in enumerate(variables)
    }
