"""One statement of a paper, held against one model and data set of a study, as plan.json has it.

Owns: the form of such an entry. Must never know: files of claims, scores.
"""

from dataclasses import asdict, dataclass, field, fields

NUMBER, DIRECTION, COUNT = "number", "direction", "count"


@dataclass(frozen=True)
class Statement:
    """What is said, by whom, and which numbers of ours it is about; `not_run` says why there are none.

    `value` is in points (of a count, rows), `least` the smallest difference that a direction claims. `ground` lists
    what is not the paper's own: data set, model. `published` is an entry of the study's key `published` and `column`
    one of its columns; else `average`; else `track` and `dataset`. `than` is taken off `schedule`. `languages` are
    codes, or the name of a group of a panel's averages. Of a count, `rows` are said and `known` are the registry's.
    """

    claim: str
    kind: str
    says: str
    source: str
    url: str
    verified: bool
    how: str
    about: str = ""
    value: float | None = None
    tolerance: float = 0.0
    least: float = 0.0
    model: str = ""
    published: str = ""
    column: str = ""
    average: str = ""
    track: str = ""
    dataset: str = ""
    schedule: str = ""
    than: str = ""
    languages: list[str] | str = field(default_factory=list)
    metric: str = ""
    ground: list[str] = field(default_factory=list)
    split: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    place: str = ""
    not_run: str = ""

    def entry(self) -> dict:
        """Plain data, without what is empty."""
        needed = [part.name for part in fields(self)][:7]
        return {key: value for key, value in asdict(self).items() if key in needed or value not in ("", None, [], {})}
