"""How a training step is executed quickly: the numbers of stock Keras, another way to them.

A fast step takes its place behind Keras's own seam, `train_function` and `test_function`, so that
`fit`, callbacks, metrics, saving and the optimizer's state work as ever.
"""

import keras

from kerascnn.backend import keep_freed_memory
from kerascnn.model.chain import chain_of_calls


def use_fast_step(model: keras.Model) -> bool:
    """Give a compiled model kerascnn's training and validation step, where there is one for it.

    Compiling the model again takes it away. Memory that the process frees is kept for the next
    step from here on, on every backend.

    Args:
        model: compiled. A chain of single-input layers that outputs logits is known, on jax where
            a processor trains; anything else keeps its stock step.

    Returns:
        Whether the model has a fast step now.
    """
    keep_freed_memory()
    calls, backend = chain_of_calls(model), keras.config.backend()
    if backend == "torch":
        from kerascnn.training.steps.torch import TorchStep as Step
    elif backend == "tensorflow":
        from kerascnn.training.steps.tensorflow import TensorFlowStep as Step
    elif backend == "jax":
        from kerascnn.training.steps.jax import JaxStep as Step
    else:
        return False
    if calls is None or not Step.fits(model, calls):
        return False
    step = Step(model, calls)
    model.train_function, model.test_function = step.train, step.test
    return True
