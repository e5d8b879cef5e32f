"""Draw a chart as SVG: its frame, its scales and its marks."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from git_hub_session._typing import NamedTuple
from git_hub_session.report.markup import Markup, element
from git_hub_session.report.tables import shorten
from git_hub_session.util.text import truncate

WIDTH = 800
"""The width of each chart in user units. The style sheet scales it."""
CHAR = 6.6
"""About the width of a character in a label."""
SERIES = 8
"""The number of colors. Further series have the color of the last one."""
_STEPS = (1, 2, 2.5, 5, 10)
_LARGEST = 1e300
_MAX_TIP = 200


class Scale(NamedTuple):
    """A linear scale from values to positions."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the position of a value."""
        # Divide first: the difference of two large values can be infinite.
        size = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / size if size else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return about `count` round values in the range."""
        step = _round_step((self.high / 2 - self.low / 2) / count * 2)
        if not step:
            return [self.low]
        first = floor(self.low / step)
        values = [(first + index) * step for index in range(3 * count)]
        return [value for value in values if self.low <= value <= self.high]


def make_scale(values: Sequence[float], start: float, end: float, *, zero: bool = False) -> Scale:
    """Return a scale with room around the values.

    Args:
        zero: True if the scale begins or ends at 0, as the lengths of bars need.
    """
    finite = [min(max(value, -_LARGEST), _LARGEST) for value in values] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    margin = (high / 2 - low / 2) * 0.1 or abs(high) * 0.05 or 1.0
    is_bar_low, is_bar_high = zero and low == 0, zero and high == 0
    return Scale(
        low if is_bar_low else low - margin, high if is_bar_high else high + margin, start, end
    )


def _round_step(step: float) -> float:
    """Return a round number that is at least `step`, or 0.0 for a step without a size."""
    if not 0 < step < _LARGEST:
        return 0.0
    unit = 10.0 ** floor(log10(step))
    return next((unit * factor for factor in _STEPS if unit * factor >= step * 0.999), 10 * unit)


def chart(title: str, description: str, height: float, *marks: Markup) -> Markup:
    """Return a chart with a title and a description for screen readers."""
    drawing = element(
        "svg",
        element("title", title),
        element("desc", description),
        *marks,
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        aria_label=title,
        xmlns="http://www.w3.org/2000/svg",
    )
    frame = element(
        "div", drawing, class_="chart", tabindex="0", role="region", aria_label=f"Chart: {title}"
    )
    return element("figure", frame)


def label(
    x: float, y: float, text: str, *, anchor: str = "start", class_: str = "", most: int = 0
) -> Markup:
    """Return a text, shortened to `most` characters."""
    shown = truncate(text[: 2 * most], most, "…") if most else text
    return element("text", shown, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def dot(x: float, y: float, radius: float, class_: str, tip: str = "") -> Markup:
    """Return a circle. A browser shows `tip` if the pointer is on it."""
    return element("circle", *_tip(tip), cx=x, cy=y, r=radius, class_=class_)


def box(x: float, y: float, width: float, height: float, *, class_: str, tip: str = "") -> Markup:
    """Return a rectangle that is wide enough to be seen."""
    return element(
        "rect", *_tip(tip), x=x, y=y, width=max(width, 1.5), height=height, rx=2, class_=class_
    )


def diamond(x: float, y: float, radius: float, class_: str, tip: str = "") -> Markup:
    """Return a square that stands on a corner."""
    path = f"M{x:.1f} {y - radius:.1f}l{radius} {radius}l{-radius} {radius}l{-radius} {-radius}z"
    return element("path", *_tip(tip), d=path, class_=class_)


def _tip(text: str) -> list[Markup]:
    return [element("title", shorten(text, _MAX_TIP))] if text else []


def series_class(index: int) -> str:
    """Return the class with the color of a series."""
    return f"s{min(index, SERIES - 1)}"
