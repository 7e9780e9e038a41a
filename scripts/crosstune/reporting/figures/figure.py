"""A figure: charts with a title, a caption and a legend, for the page and as a file."""

from dataclasses import dataclass, replace

import vl_convert
from markupsafe import escape

from crosstune.reporting.figures.drawing import Chart, mark_definitions, text_width
from crosstune.reporting.figures.style import FONT, LIGHT, MARK_IDS, file_style
from crosstune.reporting.figures.subjects import ANY, Subject

# The width of a file in pixels, the space between its charts, and the height of a line of its legend.
WIDTH, SPACE, LEGEND_LINE = 720, 18, 20


@dataclass(frozen=True)
class LegendEntry:
    """A mark or a line with its meaning. `count`: how many schedules it stands for, if it says so."""

    text: str
    kind: str
    shape: str = ""
    subject: Subject = ANY
    count: int = 0

    @property
    def words(self) -> str:
        """The meaning with the number."""
        return f"{self.count} {self.text}" if self.count else self.text


@dataclass(frozen=True)
class Figure:
    """A figure. `kind` is part of its file names; its charts stand in `columns` where there is room.

    `mark`: a word at the top of its picture, such as that of a pilot. `heading`: a title within the picture.
    """

    kind: str
    title: str
    caption: str
    charts: tuple[Chart, ...]
    legend: tuple[LegendEntry, ...] = ()
    columns: int = 1
    mark: str = ""
    heading: str = ""

    def with_subject(self, subject: Subject) -> "Figure":
        """The figure with charts that have one more subject, such as a data set."""
        return replace(self, charts=tuple(replace(chart, subject=chart.subject & subject) for chart in self.charts))

    @property
    def alt(self) -> str:
        """The alternative text for readers who cannot see it."""
        return " ".join(dict.fromkeys(chart.name for chart in self.charts))

    @property
    def svg(self) -> str:
        """The picture as a file of its own."""
        parts, y = self._file_head()
        column = (WIDTH - SPACE * (self.columns - 1)) / self.columns
        for start in range(0, len(self.charts), self.columns):
            line = self.charts[start : start + self.columns]
            above = 18 if any(chart.title for chart in line) else 0
            for number, chart in enumerate(line):
                x = number * (column + SPACE)
                if chart.title:
                    parts.append(f'<text class="strong" x="{x:g}" y="{y + 12:g}">{escape(chart.title)}</text>')
                parts.append(chart.file_svg(x, y + above, column))
            y += above + max(chart.height for chart in line) + SPACE
        size = f'width="{WIDTH + 16}" height="{y:g}" viewBox="-8 -8 {WIDTH + 16} {y:g}" font-family="{FONT}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}><title>{escape(self.title)}</title>'
            f"<desc>{escape(self.alt)}</desc><style>{file_style()}</style>{mark_definitions()}"
            f'<rect x="-8" y="-8" width="{WIDTH + 16}" height="{y:g}" fill="{LIGHT["paper"]}"/>{"".join(parts)}</svg>'
        )

    @property
    def pdf(self) -> bytes:
        return vl_convert.svg_to_pdf(self.svg)

    def _file_head(self) -> tuple[list[str], float]:
        """The mark and the legend at the top of a file, and the height below them."""
        parts, x, y = [], 0.0, 6.0
        for text in filter(None, (self.mark, self.heading)):
            parts.append(f'<text class="strong" x="0" y="{y + 4:g}">{escape(text)}</text>')
            y += LEGEND_LINE
        for entry in self.legend:
            width = 34 + text_width(entry.words)
            if x and x + width > WIDTH:
                x, y = 0.0, y + LEGEND_LINE
            parts.append(f'<svg x="{x:g}" y="{y - 7:g}" width="22" height="14" overflow="visible">')
            parts.append(legend_drawing(entry) + "</svg>")
            parts.append(f'<text x="{x + 26:g}" y="{y + 4:g}">{escape(entry.words)}</text>')
            x += width
        return parts, y + LEGEND_LINE if self.legend else y - 6


def legend_drawing(entry: LegendEntry) -> str:
    """The mark of an entry, in a box of 22 x 14 pixels."""
    if entry.shape == "band":
        return f'<rect class="{entry.kind}" x="2" y="1" width="18" height="12"/>'
    line = (
        f'<line class="{entry.kind}" x1="1" y1="7" x2="21" y2="7"/>'
        if not entry.shape or entry.shape.endswith("+line")
        else ""
    )
    shape = entry.shape.removesuffix("+line")
    return line + (f'<use class="{entry.kind}" href="#{MARK_IDS[shape]}" x="11" y="7"/>' if shape else "")
