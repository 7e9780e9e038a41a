"""Pictures in SVG that stretch with the width of their container, without a script.

Horizontal places are shares of the width of the plot, from 0 to 1; vertical places and sizes are pixels. On a page the
shares become percentages, so letters and marks keep their size on a phone. In a file they become pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from markupsafe import Markup, escape

from crosstune.reporting.figures.style import LETTER_WIDTH, MARK_IDS, MARKS
from crosstune.reporting.figures.subjects import ANY, Codes, Subject

MORE = "…"

NO_CODES: Codes = {}


@dataclass(frozen=True)
class Element(ABC):
    """A part of a plot."""

    subject: Subject = field(default=ANY, kw_only=True)

    @abstractmethod
    def svg(self, width: float | None) -> str:
        """The part as SVG in a plot of `width` pixels, or of any width if None."""


@dataclass(frozen=True)
class Band:
    """A row or a column of a chart, so many pixels high or percent wide. The page closes its place up with it."""

    size: float
    subject: Subject = ANY


def short(number: float) -> str:
    """A number with one decimal at most."""
    return f"{round(number, 1):g}"


def place(share: float, width: float | None) -> str:
    """A share of the width as a number of pixels, or as a percentage."""
    return f"{short(100 * share)}%" if width is None else short(share * width)


def place_attribute(name: str, share: float, width: float | None) -> str:
    """The attribute `name` with a place; none at 0 on a page, where it would be most of a large page's attributes."""
    found = place(share, width)
    return "" if found == "0%" else f' {name}="{found}"'


def hover(text: str) -> str:
    """The text under the pointer."""
    return f"<title>{escape(text)}</title>" if text else ""


@dataclass(frozen=True)
class Line(Element):
    """A straight line. `kind`: its class."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str
    title: str = ""

    def svg(self, width: float | None) -> str:
        start, end = place_attribute("x1", self.x1, width), place_attribute("x2", self.x2, width)
        ends = f'{start} y1="{short(self.y1)}"{end} y2="{short(self.y2)}"'
        return f'<line class="{self.kind}"{ends}' + (f">{hover(self.title)}</line>" if self.title else "/>")


@dataclass(frozen=True)
class Curve(Element):
    """A line through points. A page stretches it with its container; the line keeps its thickness."""

    points: tuple[tuple[float, float], ...]
    height: float
    kind: str
    title: str = ""

    def svg(self, width: float | None) -> str:
        across = 1000 if width is None else width
        points = " ".join(f"{short(x * across)},{short(y)}" for x, y in self.points)
        line = f'<polyline class="{self.kind}" points="{points}">{hover(self.title)}</polyline>'
        if width is not None:
            return line
        box = f'viewBox="0 0 {across} {self.height:g}" preserveAspectRatio="none"'
        return f'<svg class="stretched" width="100%" height="{self.height:g}" {box}>{line}</svg>'


@dataclass(frozen=True)
class Box(Element):
    """A rectangle."""

    x1: float
    x2: float
    y: float
    height: float
    kind: str

    def svg(self, width: float | None) -> str:
        size = f'width="{place(max(0.0, self.x2 - self.x1), width)}" height="{short(self.height)}"'
        return f'<rect class="{self.kind}"{place_attribute("x", self.x1, width)} y="{short(self.y)}" {size}/>'


@dataclass(frozen=True)
class ShadedCell:
    """A shaded cell of a column, with a text in its middle."""

    y: float
    text: str
    strength: float
    title: str = ""


@dataclass(frozen=True)
class ShadedColumn(Element):
    """A column of cells, `height` pixels high each."""

    x1: float
    x2: float
    height: float
    cells: tuple[ShadedCell, ...]

    def svg(self, width: float | None) -> str:
        inner = "100%" if width is None else short((self.x2 - self.x1) * width)
        middle = "50%" if width is None else short((self.x2 - self.x1) * width / 2)
        parts = []
        for cell in self.cells:
            box = (
                f'<rect y="{short(cell.y)}" width="{inner}" height="{short(self.height)}" opacity="{cell.strength:.2f}"'
            )
            parts.append(box + (f">{hover(cell.title)}</rect>" if cell.title else "/>"))
            parts.append(f'<text x="{middle}" y="{short(cell.y + 13)}">{escape(cell.text)}</text>')
        size = f'{place_attribute("x", self.x1, width)} width="{place(self.x2 - self.x1, width)}"'
        return f'<svg{size} class="shade" overflow="visible">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class Mark(Element):
    """A mark of one of the shapes of style.MARKS."""

    x: float
    y: float
    shape: str
    kind: str
    title: str = ""

    def svg(self, width: float | None) -> str:
        x = place_attribute("x", self.x, width)
        start = f'<use class="{self.kind}" href="#{MARK_IDS[self.shape]}"{x} y="{short(self.y)}"'
        return start + (f">{hover(self.title)}</use>" if self.title else "/>")


@dataclass(frozen=True)
class Text(Element):
    """A text, `shift` pixels from its place. `turned`: it runs upwards."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: str = "start"
    shift: float = 0
    turned: bool = False

    def svg(self, width: float | None) -> str:
        own = self._attributes(is_page=width is None)
        if self.turned:
            # A rotation about a place in percent: the text lies at the origin of a box of its own.
            box = f'<svg{place_attribute("x", self.x, width)} y="{short(self.y)}" overflow="visible">'
            turn = f'transform="rotate(-90)" x="0" y="{self.shift:g}"'
            return f"{box}<text{own} {turn}>{escape(self.text)}</text></svg>"
        shift = f' dx="{self.shift:g}"' if self.shift else ""
        return f'<text{own}{place_attribute("x", self.x, width)} y="{short(self.y)}"{shift}>{escape(self.text)}</text>'

    def _attributes(self, is_page: bool) -> str:
        """Class and anchor. On a page the anchor is a class too, which is shorter: it has very many texts."""
        anchor = self.anchor if self.anchor != "start" else ""
        kinds = " ".join(filter(None, (self.kind, anchor if is_page else "")))
        own = f' class="{kinds}"' if kinds else ""
        return own + (f' text-anchor="{anchor}"' if anchor and not is_page else "")


@dataclass(frozen=True)
class Label:
    """A text in the margin, at pixels from the left end of the picture."""

    x: float
    y: float
    text: str
    kind: str = ""
    anchor: str = "start"
    title: str = ""

    def svg(self) -> str:
        own = f' class="{self.kind}"' if self.kind else ""
        at = f' text-anchor="{self.anchor}"' if self.anchor != "start" else ""
        return f'<text{own} x="{self.x:g}" y="{short(self.y)}"{at}>{hover(self.title)}{escape(self.text)}</text>'


@dataclass(frozen=True)
class Chart:
    """A picture: a plot between margins of `left` and `right` pixels. `name` describes it to those who do not see it.

    `numbered`: the right margin has numbers, which a narrow screen leaves out. `rows`: the bands of its rows, from
    `first_row` down. `columns`: those of its columns, from left to right.
    """

    name: str
    height: float
    left: float
    right: float
    plot: tuple[Element, ...]
    labels: tuple[Label, ...] = ()
    title: str = ""
    numbered: bool = False
    subject: Subject = ANY
    rows: tuple[Band, ...] = ()
    first_row: float = 0
    columns: tuple[Band, ...] = ()

    def page_svg(self, codes: Codes = NO_CODES) -> Markup:
        """The picture for a page, as wide as its container. `codes`: those of the names in its subjects."""
        kind = "chart numbered" if self.numbered else "chart"
        start = f'<div class="{kind}" role="img" aria-label="{escape(self.name)}"'
        start += band_attribute("rows", self.first_row, self.rows, codes)
        start += band_attribute("columns", 0, self.columns, codes)
        size = f'height="{self.height:g}"'
        labels = f'<svg width="{self.left:g}" {size}>{self._labels}</svg>' if self.labels else "<i></i>"
        plot = f'<svg class="plot" width="100%" {size}>{self._content(None, codes)}</svg>'
        return Markup(f'{start} style="--left:{self.left:g}px;--right:{self.right:g}px">{labels}{plot}</div>')

    def file_svg(self, x: float, y: float, width: float) -> str:
        """The picture at a place in a file."""
        inner = width - self.left - self.right
        plot = f'<svg x="{self.left:g}" y="0" width="{inner:g}" height="{self.height:g}" overflow="visible">'
        box = f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{self.height:g}" overflow="visible">'
        return f"{box}{self._labels}{plot}{self._content(inner, NO_CODES)}</svg></svg>"

    @property
    def _labels(self) -> str:
        return "".join(label.svg() for label in self.labels)

    def _content(self, width: float | None, codes: Codes) -> str:
        """The plot; neighbours of one subject share its code."""
        parts = []
        for subject, own in groupby(self.plot, key=lambda element: element.subject):
            drawn, attribute = "".join(element.svg(width) for element in own), subject.attribute(codes)
            parts.append(f"<g{attribute}>{drawn}</g>" if attribute else drawn)
        return "".join(parts)


def band_attribute(name: str, start: float, bands: Sequence[Band], codes: Codes) -> str:
    """The attribute `data-rows="34;23:n0+n2;18:n0;18:n2"`: where bands start, then size and subject of each.

    Empty without subjects.
    """
    texts = [band.subject.text(codes) for band in bands]
    if not any(texts):
        return ""
    parts = [f"{band.size:g}:{text}" if text else f"{band.size:g}" for band, text in zip(bands, texts, strict=True)]
    return f' data-{name}="{";".join([f"{start:g}", *parts])}"'


def mark_definitions() -> Markup:
    """The shapes of all marks, once for a page or a file."""
    shapes = "".join(f'<path id="{MARK_IDS[name]}" d="{path}"/>' for name, path in MARKS.items())
    return Markup(f"<defs>{shapes}</defs>")


def text_width(text: str) -> float:
    """About how many pixels wide a text is."""
    return LETTER_WIDTH * len(text)


def shortened(text: str, width: float) -> str:
    """The text, cut to about `width` pixels."""
    letters = int(width / LETTER_WIDTH)
    return text if len(text) <= letters else text[: max(1, letters - 1)].rstrip() + MORE


def label_width(texts: Sequence[str], most: float) -> float:
    """The width of a margin for texts, at most `most` pixels."""
    return min(most, 8 + max((text_width(text) for text in texts), default=0))
