"""Everything that kerascnn raises on purpose.

Each message says what was given, what was expected, and what to do. The command line prints it in
one line and exits with status 1.
"""

import difflib
from collections.abc import Iterable


class KerascnnError(Exception):
    """Base of every error that kerascnn raises on purpose."""


class BackendError(KerascnnError):
    """The Keras backend is unknown or not installed."""


class BenchError(KerascnnError):
    """A peer of the bench failed."""


class DatasetError(KerascnnError):
    """A data set is missing, damaged, or cannot be prepared."""


class ExchangeError(KerascnnError):
    """Weights do not fit, or a file of them cannot be read or made."""


class ImageError(KerascnnError):
    """A file is not a picture that can be used."""


class ModelError(KerascnnError):
    """A model is not one that can be used here."""


class RecipeError(KerascnnError):
    """A recipe is unknown or says something that cannot be."""


class RunError(KerascnnError):
    """A run is unknown, incomplete, or cannot be written."""


class SelectionError(KerascnnError):
    """What was asked for, such as a filter, a class or an image, is not there."""


class TrainingError(KerascnnError):
    """Training cannot go on."""


class SlowerWarning(UserWarning):
    """Training works, but takes longer than it would with another setting."""


class TrainingInterrupted(KeyboardInterrupt):
    """Training was interrupted; `run` holds the epochs until then, `cause` what interrupted it."""

    def __init__(self, run, cause):
        super().__init__(f"training of run '{run.name}' was interrupted")
        self.run, self.cause = run, cause


class LookInterrupted(KeyboardInterrupt):
    """A look at `total` images was interrupted, by `cause`: `done` are measured, `kept` of them."""

    def __init__(self, done: int, kept: int, total: int, cause):
        super().__init__(f"interrupted after {done:,} of {total:,} pictures")
        self.done, self.kept, self.total, self.cause = done, kept, total, cause


class Terminated(KeyboardInterrupt):
    """The command line was asked to end, by SIGTERM."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The sentence that offers the nearest known name, after a space; empty if none is near."""
    nearest = difflib.get_close_matches(given, list(known), n=1, cutoff=0.4)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
