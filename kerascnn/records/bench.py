"""How fast training is, as the bench measured it."""

import statistics
from collections.abc import Iterable

from pydantic import computed_field

from kerascnn.records import Record


class Spread(Record):
    """A ratio over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of some values, at least one."""
        values = list(values)
        return cls(median=statistics.median(values), low=min(values), high=max(values))


class Floor(Record):
    """How fast a training step would be if it were arithmetic alone.

    Attributes:
        mflop_image: multiplications and additions of one image's training step, in millions.
        gflop_second: measured with a float32 matrix product, in 10**9 a second.
        step_ms: milliseconds for a training step.
    """

    mflop_image: float
    gflop_second: float
    step_ms: float


class Peer(Record):
    """One of the programs that take turns.

    Attributes:
        name: of the program.
        what: what is measured, in a line.
        epoch_seconds, epoch_seconds_low, epoch_seconds_high: an epoch with its augmentation, its
            validation and its checkpoint, the median over rounds; of a quick bench extrapolated
            from some steps and some validation.
        step_ms, step_ms_low, step_ms_high: milliseconds a training step.
        images_second: images trained on in a second, while training.
        validation_seconds, checkpoint_seconds: of a turn.
        peak_mb: memory of its process at the most, without those that load its data, in MiB.
        denormal_share: of Adam's first moments at the end; None of another optimizer.
    """

    name: str
    what: str
    epoch_seconds: float
    epoch_seconds_low: float
    epoch_seconds_high: float
    step_ms: float
    step_ms_low: float
    step_ms_high: float
    images_second: float
    validation_seconds: float
    checkpoint_seconds: float
    peak_mb: int
    denormal_share: float | None


class Ratios(Record):
    """kerascnn to the others.

    Attributes:
        vs_pytorch, vs_expert, vs_keras: its epoch to theirs, in the same round.
        vs_floor: its training step to the floor's.
        memory_vs_pytorch: its memory to that of the plain PyTorch script.
        last_to_first_steps: the last hundred steps of its epoch to the first; None where quick.
    """

    vs_pytorch: Spread
    vs_expert: Spread
    vs_keras: Spread
    vs_floor: Spread
    memory_vs_pytorch: float
    last_to_first_steps: Spread | None


class Prediction(Record):
    """How long kerascnn predicts 10,000 images, as `evaluate` does.

    Attributes:
        seconds: of kerascnn.
        bare_seconds: of the network alone: on torch its layers as torch's own calls on tensors, on
            the other backends Keras's `predict_on_batch`; 500 images at a time.
        vs_bare: the one to the other.
    """

    seconds: float
    bare_seconds: float
    vs_bare: Spread


# The kinds of work that a profile tells apart.
KINDS = (
    "convolutions",
    "normalization",
    "pooling and ReLU",
    "dense",
    "dropout",
    "augmentation",
    "optimizer",
)


class KindOfWork(Record):
    """What a kind of work takes of a training step.

    Attributes:
        ms: milliseconds a step.
        share: of the step.
    """

    name: str
    ms: float
    share: float


class Profile(Record):
    """Where the time of kerascnn's training step goes.

    Attributes:
        steps: that were profiled.
        step_ms: milliseconds of a step that is not profiled: of those just before.
        kinds: work by its kind; what is left of `step_ms` is Keras, Python and the loss.
    """

    steps: int
    step_ms: float
    kinds: tuple[KindOfWork, ...]

    @classmethod
    def of(cls, steps: int, step_ms: float, ms: dict[str, float]) -> "Profile":
        """The profile from milliseconds a step by kind; what is left of a step becomes a kind."""
        rest = max(0.0, step_ms - sum(ms.values()))
        all_of_it = ms | {"loss, Keras and Python (the rest)": rest}
        total = sum(all_of_it.values())
        kinds = [KindOfWork(name=n, ms=each, share=each / total) for n, each in all_of_it.items()]
        return cls(steps=steps, step_ms=step_ms, kinds=kinds)


class Bench(Record):
    """What was trained, on what, and how long each program took.

    Attributes:
        quick: whether a turn was a few steps, and epochs are extrapolated from them: that is not
            what an epoch takes, for it has no checkpoint and nothing that comes up later in it.
        backend, device: of Keras.
        threads: of the processor, for each program.
        training_images, validation_images, steps: of a turn.
        rounds: timed turns of each program.
        profile: None where none was asked for.
    """

    quick: bool
    backend: str
    device: str
    threads: int
    recipe: str
    dataset: str
    batch_size: int
    training_images: int
    validation_images: int
    steps: int
    rounds: int
    floor: Floor
    peers: tuple[Peer, ...]
    ratios: Ratios
    prediction: Prediction
    profile: Profile | None = None

    @computed_field
    @property
    def note(self) -> str:
        """What an epoch's seconds are, in a line."""
        if self.quick:
            return f"Quick: extrapolated from {self.steps} steps a turn, not what an epoch takes."
        return (
            f"A whole epoch, {self.training_images:,} images trained on and "
            f"{self.validation_images:,} validated, with augmentation and checkpoint."
        )
