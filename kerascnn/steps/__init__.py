"""How a training step is executed quickly: the numbers of stock Keras, another way to them.

A fast step takes its place behind Keras's own seam, `train_function` and `test_function`, so that
`fit`, callbacks, metrics, saving and the optimizer's state work as ever.
"""

from __future__ import annotations

import keras

from kerascnn.backend import keep_freed_memory


def use_fast_step(model: keras.Model) -> bool:
    """Give a compiled model kerascnn's training and validation step, where there is one for it.

    Compiling the model again takes it away. Memory that the process frees is kept for the next
    step from here on, on every backend.

    Args:
        model: compiled. On torch, a chain of single-input layers that outputs logits is known;
            anything else keeps its stock step, and so does every model on jax and tensorflow.

    Returns:
        Whether the model has a fast step now.
    """
    keep_freed_memory()
    if keras.config.backend() != "torch":
        return False
    from kerascnn.steps.torch import TorchStep, chain_of_calls

    calls = chain_of_calls(model)
    if calls is None or not TorchStep.fits(model, calls):
        return False
    step = TorchStep(model, calls)
    model.train_function = step.train
    model.test_function = step.test
    return True
