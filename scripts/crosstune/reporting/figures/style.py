"""The common style of the figures: colours, shapes, fonts, and the specification of a chart with its data.

The palette of Okabe and Ito suits colour-blind readers. A shape, position or number repeats all information of a
colour: figures are readable in grey.
"""

from collections.abc import Mapping, Sequence

import altair as alt

COLOURS = ("#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

BLUE, GREY = "#0072b2", "#777777"

FONT = "Helvetica, Arial, sans-serif"


def colour_encoding(names: Sequence[str], field: str = "schedule") -> alt.Color:
    """A colour for each of `names`, at most len(COLOURS)."""
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(COLOURS[: len(names)])))


def shape_encoding(names: Sequence[str], field: str = "schedule") -> alt.Shape:
    """A shape for each of `names`, at most len(SHAPES)."""
    return alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(names), range=list(SHAPES[: len(names)])))


def chart_spec(chart: alt.TopLevelMixin, data: Mapping[str, list[dict]], alt_text: str) -> dict:
    """The Vega-Lite specification of a chart, with its named data and its alternative text.

    The data bypass Altair, which validates every record of inline data and takes minutes for that.
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
