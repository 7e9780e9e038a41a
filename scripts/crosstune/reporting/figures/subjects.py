"""What the parts of figures are about: languages, schedules and data sets.

A figure gives a subject to what it draws: a band of rows or columns, a mark, an entry of the legend, a chart. The page
writes subjects with short codes, and its script hides the parts whose subjects the reader has not chosen. Parts without
a subject, such as means over languages, always stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from markupsafe import Markup

from crosstune.analysis.results import Panel

Named = tuple[str, str]
"""The kind of a name, one of LETTERS, and the name."""

LETTERS = {"language": "n", "schedule": "s", "panel": "d"}
"""The kinds of names, as in the page's choice, with the letter of their codes."""

Codes = Mapping[Named, str]


@dataclass(frozen=True)
class Subject:
    """What a part is about. It is shown while of every group of names at least one is chosen."""

    groups: tuple[tuple[Named, ...], ...] = ()

    def __and__(self, other: "Subject") -> "Subject":
        """The subject of a part that is about both, such as a difference between two schedules."""
        return Subject(tuple(dict.fromkeys((*self.groups, *other.groups))))

    def __or__(self, other: "Subject") -> "Subject":
        """The subject of a part that is shown while one of both would be, such as an entry of two legends."""
        pairs = product(self.groups, other.groups)
        return Subject(tuple(dict.fromkeys(tuple(dict.fromkeys(one + two)) for one, two in pairs)))

    def text(self, codes: Codes) -> str:
        """`s1 n2+n3`: a word for each group. A group with a name that nobody can choose away has none."""
        words = ("+".join(codes[name] for name in group) for group in self.groups if all(n in codes for n in group))
        return " ".join(words)

    def attribute(self, codes: Codes) -> Markup:
        """The attribute of the part's element, with a space before it; empty without a subject."""
        text = self.text(codes)
        return Markup(f' data-of="{text}"' if text else "")


ANY = Subject()
"""The subject of a part that always stays."""


def about_languages(*keys: str) -> Subject:
    """A part about these languages, shown while one of them is chosen."""
    return one_of("language", keys)


def about_schedules(*names: str) -> Subject:
    """A part about these schedules, shown while one of them is chosen."""
    return one_of("schedule", names)


def about_pair(a: str, b: str) -> Subject:
    """A part about two schedules, shown while both are chosen."""
    return about_schedules(a) & about_schedules(b)


def about_data(*panels: Panel) -> Subject:
    """A part about the data sets of panels, shown while one of them is chosen."""
    return one_of("panel", [panel.key for panel in panels])


def one_of(kind: str, names: Sequence[str]) -> Subject:
    """A part about some names of one kind; without any it always stays."""
    return Subject((tuple((kind, name) for name in dict.fromkeys(names)),)) if names else ANY


def short_codes(names: Mapping[str, Sequence[str]]) -> dict[Named, str]:
    """A code for every name of each kind: `n0`, `s7`, `d3`."""
    return {
        (kind, name): f"{LETTERS[kind]}{number}" for kind, own in names.items() for number, name in enumerate(own)
    }  # fmt: skip
