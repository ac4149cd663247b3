"""What the turns of the peers come to: medians, and ratios of turns of the same round."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kerascnn.bench.images import STUDY, Sizes
from kerascnn.records.bench import Peer, Prediction, Ratios, Spread

# A prediction is told for so many images.
PREDICTED_IMAGES = 10_000


@dataclass(frozen=True)
class Turn:
    """What a peer took for an epoch.

    Attributes:
        seconds: from the word to train until its checkpoint was written.
        step_ms: milliseconds for a training step.
        validation_seconds, checkpoint_seconds: how long each of the two took at the epoch's end.
        last_to_first: how many times as long as the first hundred steps the last hundred took.
    """

    seconds: float
    step_ms: float
    validation_seconds: float
    checkpoint_seconds: float
    last_to_first: float


@dataclass(frozen=True)
class Measure:
    """How the seconds of an epoch follow from a turn.

    Attributes:
        batch_size: of the steps.
        sizes: images of a turn.
        quick: whether a turn is a few steps, from which an epoch of the study is extrapolated; else
            a turn is an epoch.
    """

    batch_size: int
    sizes: Sizes
    quick: bool = False

    def epoch_seconds(self, turn: Turn) -> float:
        """Seconds of an epoch."""
        if not self.quick:
            return turn.seconds
        steps = turn.step_ms / 1000 * STUDY.training / self.batch_size
        return steps + turn.validation_seconds * STUDY.validation / self.sizes.validation


def summarize(
    name: str,
    turns: Sequence[Turn],
    measure: Measure,
    what: str,
    peak_mb: int,
    denormal_share: float | None,
) -> Peer:
    """What a peer's turns come to; arguments as the fields of `Peer`."""
    epochs = Spread.of(map(measure.epoch_seconds, turns))
    steps = Spread.of(turn.step_ms for turn in turns)
    return Peer(
        name=name,
        what=what,
        epoch_seconds=epochs.median,
        epoch_seconds_low=epochs.low,
        epoch_seconds_high=epochs.high,
        step_ms=steps.median,
        step_ms_low=steps.low,
        step_ms_high=steps.high,
        images_second=1000 * measure.batch_size / steps.median,
        validation_seconds=statistics.median(turn.validation_seconds for turn in turns),
        checkpoint_seconds=statistics.median(turn.checkpoint_seconds for turn in turns),
        peak_mb=peak_mb,
        denormal_share=denormal_share,
    )


def summarize_prediction(times: Sequence[dict[str, float]], num_images: int) -> Prediction:
    """What the times of predicting come to, for 10,000 images.

    Args:
        times: `seconds` and `bare_seconds` of each time.
        num_images: that were predicted each time.
    """
    scale = PREDICTED_IMAGES / num_images
    return Prediction(
        seconds=scale * statistics.median(each["seconds"] for each in times),
        bare_seconds=scale * statistics.median(each["bare_seconds"] for each in times),
        vs_bare=Spread.of(each["seconds"] / each["bare_seconds"] for each in times),
    )


def compare(
    turns: dict[str, list[Turn]],
    measure: Measure,
    floor_ms: Sequence[float],
    peak_mb: dict[str, int],
) -> Ratios:
    """Ratios of kerascnn's turns to the others' turns, and to the floor, of the same rounds.

    Args:
        turns: of each peer, by its name.
        measure: how an epoch follows from a turn.
        floor_ms: of each round, milliseconds of a step's arithmetic.
        peak_mb: memory of each peer, by its name.
    """

    def epoch_to(name: str) -> Spread:
        return _divide(turns["kerascnn"], turns[name], measure.epoch_seconds)

    steps = zip(turns["kerascnn"], floor_ms, strict=True)
    growth = Spread.of(turn.last_to_first for turn in turns["kerascnn"])
    return Ratios(
        vs_pytorch=epoch_to("pytorch"),
        vs_expert=epoch_to("expert"),
        vs_keras=epoch_to("keras"),
        vs_floor=Spread.of(turn.step_ms / floor for turn, floor in steps),
        memory_vs_pytorch=peak_mb["kerascnn"] / peak_mb["pytorch"],
        last_to_first_steps=None if measure.quick else growth,
    )


def _divide(
    ours: Sequence[Turn], others: Sequence[Turn], seconds: Callable[[Turn], float]
) -> Spread:
    pairs = zip(ours, others, strict=True)
    return Spread.of(seconds(mine) / seconds(other) for mine, other in pairs)
