"""Independent random streams, all drawn from a run's one seed."""

import numpy as np

PURPOSES = ("split", "weights", "dropout", "order", "augmentation", "examples")


def random_stream(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A numpy generator that is the same on every machine and backend.

    Streams of two purposes, or of two indices such as epochs, are independent. Neighbouring
    integers would not do as seeds of Keras's own generators: on torch the second draw of
    `SeedGenerator(1)` is the first of `SeedGenerator(2)`.

    Args:
        seed: the recipe's seed.
        purpose: one of `PURPOSES`.
        indices: for instance the epoch.
    """
    key = (PURPOSES.index(purpose), *indices)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def derived_seed(seed: int, purpose: str, *indices: int) -> int:
    """An integer seed, 0 to 2**31 - 1, for what takes an integer."""
    return int(random_stream(seed, purpose, *indices).integers(2**31))
