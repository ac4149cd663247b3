"""Plain data to HTML, through the templates of this package."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
MISSING = "–"


def render(content: dict[str, object]) -> str:
    """The whole page.

    Args:
        content: see `kerascnn.page.gather`; text in it is escaped, wherever it comes from.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "loss": loss,
        "figure": figure,
        "beyond": beyond,
        "told": told,
    }
    template = environment.get_template("page.html.j2")
    style, script = (
        (HERE / "static" / name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    return template.render(content, style=style, script=script)


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction in percent: 84.2 %."""
    return MISSING if share is None else f"{100 * share:.{digits}f}\u00a0%"


def points(difference: float | None) -> str:
    """A difference of fractions in percentage points, with its sign: +1.2."""
    if difference is None:
        return MISSING
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def loss(value: float | None) -> str:
    """A loss to three digits after the point."""
    return MISSING if value is None else f"{value:.3f}"


def figure(value: float | None, form: str) -> str:
    """A value as `percent`, `loss` or `count`."""
    if value is None:
        return MISSING
    return {"percent": percent, "loss": loss, "count": lambda n: f"{n:.0f}"}[form](value)


def told(value: float, form: str) -> str:
    """A reported value, with no more digits than a report of it has."""
    return f"{100 * value:.4g}\u00a0%" if form == "percent" else figure(value, form)


def beyond(difference: float | None, form: str) -> str:
    """A difference from what was reported, with its sign."""
    if difference is None:
        return ""
    if form == "percent":
        return f"{points(difference)} points"
    return f"{difference:+.{0 if form == 'count' else 3}f}".replace("-", "−")
