"""What the figures share: colours, marks, type, and how a chart becomes a specification with its data.

Owns: the look. Must never know: what a figure shows.

Colours are those of Okabe and Ito, which the colour-blind tell apart; everything that a colour tells is told by a
shape, a place or a number too, so that the figures can be read in grey.
"""

from collections.abc import Mapping, Sequence

import altair as alt

COLOURS = ("#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

BLUE, GREY = "#0072b2", "#777777"

FONT = "Helvetica, Arial, sans-serif"


def coloured(names: Sequence[str], field: str = "schedule") -> alt.Color:
    """A colour for each of `names`, of which there are at most as many as colours."""
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(COLOURS[: len(names)])))


def shaped(names: Sequence[str], field: str = "schedule") -> alt.Shape:
    """A shape for each of `names`."""
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(SHAPES[: len(names)])))


def finished(chart: alt.TopLevelMixin, data: Mapping[str, list[dict]], alt_text: str) -> dict:
    """The Vega-Lite specification of a chart with its data by name, and what it tells those who do not see it.

    The data are added here: Altair would validate every record of inline data, which takes minutes.
    """
    styled = (
        chart.configure(font=FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=11, titleFontSize=11, titleFontWeight="normal", ticks=False, domain=False)
        .configure_title(anchor="start", fontSize=11, offset=4)
        .configure_header(labelFontSize=11, labelFontWeight="bold", labelAnchor="start", titleFontSize=11)
        .configure_legend(orient="top", labelFontSize=12, symbolSize=100, symbolOpacity=1, title=None, labelLimit=300)
    )
    return {**styled.to_dict(), "description": alt_text, "datasets": dict(data)}
