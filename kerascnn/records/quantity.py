"""What a number is: its name, its unit, and how people write it."""

from dataclasses import dataclass
from enum import StrEnum

# Stands where there is no number.
MISSING = "–"


class Unit(StrEnum):
    """What a number counts."""

    LOSS = "loss"
    LOSS_DIFFERENCE = "difference of losses"
    SHARE = "share"
    SHARE_DIFFERENCE = "difference of shares"
    EPOCH = "epoch"


@dataclass(frozen=True)
class Quantity:
    """A number that a study can report of a run.

    Attributes:
        name: such as `best_val_loss`, or `class cat` for the test accuracy of a class.
        unit: shares are fractions from 0 to 1, epochs count from 1.
    """

    name: str
    unit: Unit

    @property
    def class_name(self) -> str | None:
        """The class whose test accuracy this is; None where it is none of a class."""
        return self.name.removeprefix("class ") if self.name.startswith("class ") else None

    def write(self, value: float | None) -> str:
        """The value as people write it: `0.678`, `76.0 %`, `6`."""
        if value is None:
            return MISSING
        if self.unit is Unit.EPOCH:
            return f"{value:.1f}".removesuffix(".0")
        if self.unit is Unit.LOSS:
            return f"{value:.3f}"
        if self.unit is Unit.LOSS_DIFFERENCE:
            return f"{value:+.3f}"
        return percent(value) if self.unit is Unit.SHARE else f"{points(value)} points"


BEST_VAL_LOSS = Quantity("best_val_loss", Unit.LOSS)
BEST_EPOCH = Quantity("best_epoch", Unit.EPOCH)
TRAIN_LOSS = Quantity("train_loss", Unit.LOSS)
ACCURACY = Quantity("accuracy", Unit.SHARE)
# By what validation loss ends above training loss.
GAP = Quantity("gap", Unit.LOSS_DIFFERENCE)
# What a study reports of a run as a whole.
OF_RUN = (BEST_VAL_LOSS, BEST_EPOCH, TRAIN_LOSS, ACCURACY)


def class_accuracy(class_name: str) -> Quantity:
    """The test accuracy of one class."""
    return Quantity(f"class {class_name}", Unit.SHARE)


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction in percent."""
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of fractions, in percentage points."""
    return MISSING if difference is None else f"{100 * difference:+.{digits}f}"
