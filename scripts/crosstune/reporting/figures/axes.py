"""Axes, and the charts that stand on them: rows of marks on a horizontal axis, points between two axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from crosstune.core.text import decimal
from crosstune.reporting.figures.drawing import (
    Band,
    Box,
    Chart,
    Element,
    Label,
    Line,
    Mark,
    Text,
    label_width,
    shortened,
    text_width,
)
from crosstune.reporting.figures.subjects import ANY, Subject

# Pixels of the letters above a plot: the title of the axis and its numbers.
ABOVE = 34

# The height of a row chart from which on its axis also stands below.
TALL = 420

MOST_LABEL, INDENT = 190, 14

# Ticks below are written with a power of ten.
SMALL = 0.005


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`."""

    low: float
    high: float
    title: str = ""
    signed: bool = False

    def share(self, value: float) -> float:
        """The place of a value, 0 at the low end and 1 at the high one; values beyond stand at the ends."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    @property
    def ticks(self) -> list[float]:
        """About five round numbers within the axis."""
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def text(self, value: float) -> str:
        """A tick's number, with a true minus sign; small ones, such as learning rates, as 2e-05."""
        if max(map(abs, self.ticks), default=1) < SMALL:
            return minus(f"{round(value, 9):g}")
        digits = next((n for n in range(4) if all(abs(tick - round(tick, n)) < 1e-9 for tick in self.ticks)), 4)
        number = decimal(value, digits)
        return minus(f"+{number}" if self.signed and value > 1e-9 else number)


def minus(text: str) -> str:
    """The text with a minus sign in place of a leading hyphen."""
    return f"−{text[1:]}" if text.startswith("-") else text


def wide_axis(values: Sequence[float], title: str = "", least: float | None = None) -> Axis:
    """An axis over all values, and down to `least` at least, with some room."""
    low, high = min([*values, *([] if least is None else [least])]), max(values)
    room = (high - low or abs(high) or 1.0) * 0.04
    return Axis(least if least is not None and low >= least else low - room, high + room, title)


def difference_axis(means: Sequence[float], ends: Sequence[tuple[float, float]], title: str, band: float = 0) -> Axis:
    """An axis about 0 that has all means, and of a few very wide intervals not the ends.

    It shows the intervals of three quarters of the rows in full; wider ones are cut with an arrow.
    """
    reach = sorted(max(abs(low), abs(high)) for low, high in ends)
    common = reach[math.ceil(0.75 * len(reach)) - 1] if reach else 0.0
    least = 1.15 * max([*(abs(mean) for mean in means), 2 * band, 1e-6])
    most = max(least, common * 1.05)
    low = min([*means, *(start for start, _ in ends), -band, 0.0])
    high = max([*means, *(end for _, end in ends), band, 0.0])
    room = 0.04 * (min(high, most) - max(low, -most)) or 1.0  # all differences can be zero
    return Axis(max(low, -most) - room, min(high, most) + room, title, signed=True)


@dataclass
class RowChart:
    """A chart of rows on one horizontal axis, built from the top down."""

    axis: Axis
    names: Sequence[str]
    right: float = 14
    most_label: float = MOST_LABEL
    y: float = ABOVE
    corner: str = ""
    parts: list[Element] = field(default_factory=list)
    ground: list[Element] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    rows: list[Band] = field(default_factory=list)

    @property
    def left(self) -> float:
        return label_width(self.names, self.most_label)

    def heading(self, text: str, subject: Subject = ANY) -> None:
        """A line of text above a group of rows."""
        self.labels.append(Label(0, self.y + 17, text, "strong"))
        self.rows.append(Band(23, subject))
        self.y += 23

    def row(
        self, name: str, height: float = 18, indent: float = 0, kind: str = "", below: str = "", subject: Subject = ANY
    ) -> float:
        """Begin a row and return the height of its middle. `below`: a second line under its name."""
        middle = self.y + height / 2
        lines = [(name, middle - 3, kind), (below, middle + 11, "soft")] if below else [(name, middle + 4, kind)]
        for text, y, style in lines:
            shown = shortened(text, self.left - 6 - indent)
            self.labels.append(Label(indent, y, shown, style, title=text if shown != text else ""))
        self.rows.append(Band(height, subject))
        self.y += height
        return middle

    def rule(self) -> None:
        """A thin line across the whole chart at the present height."""
        self.ground.append(Line(0, self.y, 1, self.y, "grid"))

    def mark(self, y: float, value: float, shape: str, kind: str, title: str = "", subject: Subject = ANY) -> None:
        self.parts.append(Mark(self.axis.share(value), y, shape, kind, title, subject=subject))

    def interval(self, y: float, low: float, high: float, kind: str, title: str = "", subject: Subject = ANY) -> None:
        """A line between two values, with arrows where it leaves the axis."""
        self.parts.append(Line(self.axis.share(low), y, self.axis.share(high), y, kind, title, subject=subject))
        if low < self.axis.low:
            self.parts.append(Mark(0, y, "leftward", kind, subject=subject))
        if high > self.axis.high:
            self.parts.append(Mark(1, y, "rightward", kind, subject=subject))

    def note(self, y: float, text: str) -> None:
        """A text at the right end of a row."""
        self.parts.append(Text(1, y + 4, text, "number", "end", self.right))

    def band(self, top: float, low: float, high: float) -> None:
        """A shade between two values, from `top` down to the present height."""
        ends = self.axis.share(low), self.axis.share(high)
        self.ground.append(Box(*ends, top, self.y - top, "band"))

    def chart(
        self, name: str, title: str = "", zero: bool = False, numbered: bool = False, subject: Subject = ANY
    ) -> Chart:
        """The finished chart, with its axis above and, if it is tall, below."""
        bottom = self.y + 2
        lines: list[Element] = [
            Line(self.axis.share(tick), ABOVE - 4, self.axis.share(tick), bottom, "grid") for tick in self.axis.ticks
        ]
        if self.axis.title:
            lines.append(Text(0, 11, self.axis.title, "tick"))
        if self.corner:
            self.labels.append(Label(0, ABOVE - 9, self.corner, "tick"))
        lines += self._numbers(ABOVE - 9)
        if zero:
            lines.append(Line(self.axis.share(0), ABOVE - 4, self.axis.share(0), bottom, "zero"))
        if bottom > TALL:
            lines += self._numbers(bottom + 13)
            bottom += 18
        plot = (*self.ground, *lines, *self.parts)
        margins = self.left, self.right
        return Chart(
            name, bottom + 2, *margins, plot, tuple(self.labels), title, numbered, subject, tuple(self.rows), ABOVE
        )

    def _numbers(self, y: float) -> list[Element]:
        return [
            Text(self.axis.share(tick), y, self.axis.text(tick), "tick", "middle") for tick in self.axis.ticks
        ]  # fmt: skip


@dataclass
class PointChart:
    """A chart of points between a horizontal and a vertical axis, `height` pixels high."""

    x: Axis
    y: Axis
    height: float = 190
    right: float = 14
    parts: list[Element] = field(default_factory=list)

    # Pixels above and below the plot, and left of it.
    top, bottom, left = 26, 34, 40

    def down(self, value: float) -> float:
        """The height of a value in pixels from the top of the picture."""
        return self.top + (1 - self.y.share(value)) * self.height

    def mark(self, x: float, y: float, shape: str, kind: str, title: str = "", subject: Subject = ANY) -> None:
        self.parts.append(Mark(self.x.share(x), self.down(y), shape, kind, title, subject=subject))

    def segment(self, start: tuple[float, float], end: tuple[float, float], kind: str, subject: Subject = ANY) -> None:
        """A straight line between two points."""
        ends = self.x.share(start[0]), self.down(start[1]), self.x.share(end[0]), self.down(end[1])
        self.parts.append(Line(*ends, kind, subject=subject))

    def chart(
        self, name: str, title: str, x_ticks: Sequence[tuple[float, str, Subject]] | None = None, subject: Subject = ANY
    ) -> Chart:
        """The finished chart; `x_ticks` (place, text, subject) replaces the numbers of the horizontal axis."""
        foot = self.top + self.height
        lines: list[Element] = []
        after_title = 8 + 1.1 * text_width(title) if title else 0
        labels = [Label(0, 11, title, "strong"), Label(after_title, 11, self.y.title, "tick")]
        for tick in self.y.ticks:
            lines.append(Line(0, self.down(tick), 1, self.down(tick), "grid"))
            labels.append(Label(self.left - 6, self.down(tick) + 4, self.y.text(tick), "tick", "end"))
        ticks = [(tick, self.x.text(tick), ANY) for tick in self.x.ticks] if x_ticks is None else x_ticks
        for value, text, tick in ticks:
            lines.append(Text(self.x.share(value), foot + 14, text, "tick", "middle", subject=tick))
        lines.append(Text(0.5, foot + 29, self.x.title, "tick", "middle"))
        lines.append(Line(0, foot, 1, foot, "edge"))
        plot = (*lines, *self.parts)
        return Chart(name, foot + self.bottom, self.left, self.right, plot, tuple(labels), subject=subject)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights near `places`, in their order, at least `gap` apart, and between `low` and `high` if they fit."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    found = [0.0] * len(places)
    before = low - gap
    for n in order:
        before = found[n] = max(places[n], before + gap)
    after = high + gap
    for n in reversed(order):
        after = found[n] = min(found[n], after - gap)
    return found
