"""Curves over epochs as plain numbers to draw: places from 0 to 100 on either axis.

Places and not pixels: a page draws them at any width, with letters of one size.
"""

from __future__ import annotations

import math

# What lies beyond so many medians is cut off: a first epoch may be off by thousands.
MOST_MEDIANS = 3


def build_chart(
    identity: str,
    title: str,
    series: list[dict[str, object]],
    form: str = ".3f",
    best: dict[str, object] | None = None,
    reported: float | None = None,
) -> dict[str, object]:
    """Curves of values over epochs, which count from 1.

    Args:
        identity: of the element.
        title: what the values are.
        series: `name`, `values` (a float an epoch) and what tells how to draw it.
        form: how values are written.
        best: `series` (its index) and `epoch`, to mark.
        reported: a value to draw a line at.

    Returns:
        `series` with `path` added, `x_ticks` and `y_ticks` (`place` and `text`), `best` and
        `reported` with places, `num_epochs`, `low`, `high`, and `summary`, a sentence about each
        curve.
    """
    num_epochs = max(len(each["values"]) for each in series)
    low, high, is_cut = _bounds([each["values"] for each in series], reported)
    ticks = round_steps(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    return {
        "id": identity,
        "title": title,
        "form": form,
        "num_epochs": num_epochs,
        "low": low,
        "high": high,
        "series": [
            each | {"path": _path(each["values"], num_epochs, low, high)} for each in series
        ],
        "x_ticks": [{"place": _along(e, num_epochs), "text": str(e)} for e in _epochs(num_epochs)],
        "y_ticks": [{"place": _up(t, low, high), "text": f"{t:.6g}"} for t in ticks],
        "best": best and _mark_best(best, series, num_epochs, low, high, form),
        "reported": None
        if reported is None
        else {"place": _up(reported, low, high), "text": format(reported, form)},
        "is_cut": is_cut,
        "summary": " ".join(_summarize(each, form) for each in series),
    }


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, with one at or before each end: 0.4, 0.6, 0.8."""
    span = max(high - low, 1e-6)
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _bounds(columns: list[list[float]], reported: float | None) -> tuple[float, float, bool]:
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


def _path(values: list[float], num_epochs: int, low: float, high: float) -> str:
    # A point that is cut off stays so near above the frame that its line is seen to leave it.
    points = (
        f"{_along(epoch, num_epochs):.5g} {max(-50, 100 - _up(value, low, high)):.5g}"
        for epoch, value in enumerate(values, start=1)
    )
    return "M" + "L".join(points) + "h0.01"


def _along(epoch: int, num_epochs: int) -> float:
    return round(100 * (epoch - 1) / max(1, num_epochs - 1), 3)


def _up(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 3)


def _epochs(num_epochs: int) -> list[int]:
    steps = [int(step) for step in round_steps(1, num_epochs) if 1 < step <= num_epochs]
    return sorted({1, *steps}) if num_epochs > 1 else [1]


def _mark_best(best, series, num_epochs, low, high, form) -> dict[str, object]:
    value = series[best["series"]]["values"][best["epoch"] - 1]
    return best | {
        "x": _along(best["epoch"], num_epochs),
        "y": 100 - _up(value, low, high),
        "text": format(value, form),
    }


def _summarize(series: dict[str, object], form: str) -> str:
    values = series["values"]
    return (
        f"{series['name']}: from {values[0]:{form}} in the first to {values[-1]:{form}} in the "
        f"last of {len(values)} epochs, between {min(values):{form}} and {max(values):{form}}."
    )
