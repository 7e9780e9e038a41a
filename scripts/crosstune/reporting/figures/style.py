"""The common style of the figures: colours, shapes, letters, and their style sheet.

The palette of schedules is that of Okabe and Ito, that of languages Tol's "muted": both suit colour-blind readers. A
shape, a place, a dash or a number repeats all information of a colour, so figures are readable in grey.
"""

import re

MARKS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
    "square": "M-4-4H4V4H-4Z",
    "triangle": "M0-5.2 5 4H-5Z",
    "diamond": "M0-5.6 5.6 0 0 5.6-5.6 0Z",
    "cross": "M-1.6-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
    "wedge": "M0 5.2 5-4H-5Z",
    "dot": "M-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0Z",
    "tick": "M-1-5H1V5H-1Z",
    "leftward": "M-3 0 3-4V4Z",
    "rightward": "M3 0-3-4V4Z",
}

"""The outlines of the marks, about their place."""

MARK_IDS = {name: f"m{number}" for number, name in enumerate(MARKS)}

"""Short: a large page refers to them very often."""

SHAPES = ("circle", "square", "triangle", "diamond", "cross", "wedge")

"""The shapes of schedules, in the order of SCHEDULE_COLOURS."""

SCHEDULE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8559a", "#a87000", "#2f8fc4")
LANGUAGE_COLOURS = ("#332288", "#117733", "#882255", "#7a7a1f", "#2f8a7c", "#994488")

LIGHT = {
    "ink": "#1c2024", "soft": "#5c6670", "line": "#d9dee3", "paper": "#ffffff", "accent": "#0072b2",
    "band": "#dfe7ee", "shade": "#0072b2",
    **{f"c{n}": colour for n, colour in enumerate(SCHEDULE_COLOURS)},
    **{f"l{n}": colour for n, colour in enumerate(LANGUAGE_COLOURS)},
}  # fmt: skip

DARK = {
    "ink": "#e4e7ea", "soft": "#9da7b1", "line": "#3a424a", "paper": "#16191c", "accent": "#56b4e9",
    "band": "#2b3640", "shade": "#1f78b4",
    "c0": "#56b4e9", "c1": "#f0803c", "c2": "#2fc79b", "c3": "#dd8fc3", "c4": "#e6b450", "c5": "#9ad0f2",
    "l0": "#a99cf0", "l1": "#62c07f", "l2": "#e07aa6", "l3": "#c9c95c", "l4": "#6fcfc0", "l5": "#d79ae0",
}  # fmt: skip

"""Colours of the page and the figures by name, on a light and on a dark ground."""

DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")

LETTER_WIDTH = 6.3

FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"

RULES = (
    ("text", "fill: var(--ink); font-size: 12px"),
    (".soft", "fill: var(--soft)"),
    # A border in the colour of the ground parts headings from the lines behind them.
    (".strong", "font-weight: 600; stroke: var(--paper); stroke-width: 4px; paint-order: stroke"),
    (".tick", "fill: var(--soft); font-size: 11px"),
    (".number", "font-size: 11px"),
    (".grid", "stroke: var(--line); stroke-width: 1px"),
    (".edge", "stroke: var(--soft); stroke-width: 1px"),
    (".zero", "stroke: var(--soft); stroke-width: 1px; stroke-dasharray: 4 3"),
    (".band", "fill: var(--band)"),
    ("polyline", "fill: none; stroke-width: 1.6px"),
    ("line.main", "stroke: var(--ink); stroke-width: 2.4px"),
    ("use.main", "fill: var(--ink)"),
    ("line.wide", "stroke: var(--soft); stroke-width: 1.4px"),
    ("use.wide", "fill: var(--soft)"),
    (".baseline", "fill: var(--soft)"),
    (".other", "fill: var(--soft); fill-opacity: 0.7"),
    (".shade rect", "fill: var(--shade)"),
    (".shade text", "font-size: 11px; text-anchor: middle"),
    (".average", "stroke: var(--ink); stroke-width: 2.6px"),
    ("use.average", "fill: var(--ink); stroke: none"),
    (".unseen", "stroke: var(--soft); stroke-width: 2.2px"),
    ("use.unseen", "fill: var(--soft); stroke: none"),
    ("polyline.run", "stroke: var(--c0); stroke-width: 1.2px; stroke-opacity: 0.75"),
    *(
        rule
        for n in range(len(SCHEDULE_COLOURS))
        for rule in (
            (f"use.c{n}", f"fill: var(--c{n})"),
            (f"line.c{n}", f"stroke: var(--c{n}); stroke-width: 1.5px; stroke-opacity: 0.6"),
        )
    ),
    *(
        rule
        for n, dash in enumerate(DASHES)
        for rule in (
            (f".l{n}", f"stroke: var(--l{n}); stroke-dasharray: {dash}"),
            (f"line.l{n}", "stroke-width: 1.6px"),
            (f"use.l{n}", f"fill: var(--l{n}); stroke: none"),
        )
    ),
)

"""The rules of the figures, selector and declarations, with the names of colours as variables."""


def variables(colours: dict[str, str]) -> str:
    """Declarations of the colours as CSS variables."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def page_style() -> str:
    """The rules for the pictures of a page."""
    return "\n".join(f".chart {selector} {{ {declarations}; }}" for selector, declarations in RULES)


def file_style() -> str:
    """The rules of a file, with the colours of a light ground."""
    rules = "\n".join(f"{selector} {{ {declarations}; }}" for selector, declarations in RULES)
    return re.sub(r"var\(--(\w+)\)", lambda found: LIGHT[found[1]], rules)
