"""Curves over epochs as plain numbers to draw: places from 0 to 100 on either axis.

Places and not pixels: a page draws them at any width, with letters of one size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from kerascnn.records.quantity import Quantity, Unit

# What lies beyond so many medians is cut off: a first epoch may be off by thousands.
MOST_MEDIANS = 3


@dataclass(frozen=True)
class Series:
    """One curve, a number an epoch."""

    name: str
    values: Sequence[float]
    style: str = "main"  # or `quiet` or `seed`, as the style sheet draws it
    color: int | None = None  # None where the style has one
    is_dashed: bool = False  # whether its color belongs to another curve, too


class Axis(NamedTuple):
    """The axis of values."""

    low: float
    high: float
    ticks: list[float]
    is_cut: bool  # whether there are values above its end


@dataclass(frozen=True)
class Chart:
    """At least one curve of values over epochs, which count from 1."""

    id: str
    title: str
    quantity: Quantity
    series: Sequence[Series]
    best_epoch: int | None = None  # is marked on the last curve
    reported: float | None = None

    @cached_property
    def axis(self) -> Axis:
        """The axis of values, which holds all curves but for what lies far beyond."""
        low, high, is_cut = _bounds([each.values for each in self.series], self.reported)
        ticks = round_steps(low, high)
        return Axis(min(low, ticks[0]), max(high, ticks[-1]), ticks, is_cut)

    @property
    def num_epochs(self) -> int:
        return max(len(each.values) for each in self.series)

    @property
    def x_ticks(self) -> list[int]:
        """Epochs to write below the plot."""
        steps = map(int, round_steps(1, self.num_epochs))
        return sorted({1, *(step for step in steps if 1 < step <= self.num_epochs)})

    @property
    def best_value(self) -> float:
        return self.series[-1].values[self.best_epoch - 1]

    @property
    def is_share(self) -> bool:
        """Whether values are fractions, which are written in percent."""
        return self.quantity.unit is Unit.SHARE

    @property
    def summary(self) -> str:
        return " ".join(map(self._summarize, self.series))

    def x(self, epoch: int) -> float:
        """Place of an epoch, from the left."""
        return round(100 * (epoch - 1) / max(1, self.num_epochs - 1), 3)

    def y(self, value: float) -> float:
        """Place of a value, from the top."""
        low, high = self.axis[:2]
        return round(100 * (high - value) / (high - low), 3)

    def path(self, series: Series) -> str:
        """The line of a curve, as SVG writes it."""
        # A point that is cut off stays so near above the frame that its line is seen to leave it.
        points = (
            f"{self.x(epoch):.5g} {max(-50, self.y(value)):.5g}"
            for epoch, value in enumerate(series.values, start=1)
        )
        return "M" + "L".join(points) + "h0.01"

    def write_tick(self, value: float) -> str:
        """A round value as it stands beside the axis."""
        return f"{100 * value:.4g} %" if self.is_share else f"{value:.6g}"

    def for_script(self) -> dict[str, object]:
        return {
            "is_share": self.is_share,
            "num_epochs": self.num_epochs,
            "low": self.axis.low,
            "high": self.axis.high,
            "series": [
                {"name": each.name, "values": [round(value, 5) for value in each.values]}
                for each in self.series
            ],
        }

    def _summarize(self, series: Series) -> str:
        values, write = series.values, self.quantity.write
        return (
            f"{series.name}: from {write(values[0])} in the first to {write(values[-1])} in the "
            f"last of {len(values)} epochs, between {write(min(values))} and {write(max(values))}."
        )


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, with one at or before each end: 0.4, 0.6, 0.8."""
    span = max(high - low, 1e-6)
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _bounds(
    columns: Sequence[Sequence[float]], reported: float | None
) -> tuple[float, float, bool]:
    values = sorted(value for column in columns for value in column)
    low, high, median = values[0], values[-1], values[len(values) // 2]
    limit = abs(median) * MOST_MEDIANS
    is_cut = 0 < limit < high
    high = limit if is_cut else high
    if reported is not None:
        low, high = min(low, reported), max(high, reported)
    if high - low < 1e-6 * abs(high) + 1e-9:  # a curve that is level has some room, too
        low, high = low - 0.1 * abs(low) - 0.01, high + 0.1 * abs(high) + 0.01
    return low, high, is_cut
