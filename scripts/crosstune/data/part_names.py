"""Names of parts of data sets: `worldqa~100d2`, `worldqa~held200`, `xquad~pilot50`. No other name has a tilde."""

import re
from dataclasses import dataclass, replace

SAMPLE, HELD, PILOT = "sample", "held", "pilot"

PART_NAME = re.compile(r"(.*)~(held|pilot)?(0|[1-9][0-9]*)(?:d(0|[1-9][0-9]*))?")


@dataclass(frozen=True)
class Part:
    """How a part derives from its data set.

    sample: `number` examples of every split, by draw number `draw`. pilot: the same, or all if there are fewer. held:
    `number` training examples become the validation split, the others stay in the training split.
    """

    kind: str
    number: int
    draw: int = 0

    def of(self, dataset: str) -> str:
        """The name of this part of a data set."""
        kind = "" if self.kind == SAMPLE else self.kind
        return f"{dataset}~{kind}{self.number}{f'd{self.draw}' if self.draw else ''}"


def split_part(name: str) -> tuple[str, Part | None]:
    """(data set, last part) of the name of a part, which may be that of a part; (name, None) of any other name."""
    match = PART_NAME.fullmatch(name)
    if not match or (match[2] and match[4]):
        return name, None
    return match[1], Part(match[2] or SAMPLE, int(match[3]), int(match[4] or 0))


def whole_name(name: str) -> str:
    """The data set, or fold, that a part and its parts derive from."""
    while (split := split_part(name))[1]:
        name = split[0]
    return name


def with_draw(name: str, draw: int) -> str:
    """The name with another draw of its sample; a name without a sample is unchanged."""
    dataset, part = split_part(name)
    return replace(part, draw=draw).of(dataset) if part and part.kind == SAMPLE else name


def without_sample(name: str) -> str:
    """The name without a sample at its end."""
    dataset, part = split_part(name)
    return dataset if part and part.kind == SAMPLE else name


def source_label(source: str) -> str:
    """A source as folders and tables name it: `qa.en~100` of the rows `qa~100d2.en`, `qa.en` of `qa~held20.en`."""
    dataset, _, language = source.rpartition(".")
    part = split_part(dataset)[1]
    return f"{whole_name(dataset)}.{language}" + (f"~{part.number}" if part and part.kind == SAMPLE else "")
