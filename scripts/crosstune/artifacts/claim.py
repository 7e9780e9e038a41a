"""One statement of a paper, to be compared with one model and data set of a study."""

from dataclasses import asdict, dataclass, field, fields

NUMBER, DIRECTION, COUNT = "number", "direction", "count"


@dataclass(frozen=True)
class Statement:
    """A statement, its source and the study's numbers to compare; `not_run` is the reason if there are none.

    `value` is in points (for a count, rows), `min_difference` the smallest difference that a direction claims.
    `differs_in` lists differences from the paper: data set, model. The numbers are those of `column` in the comparison
    `published`, of the task average `average`, or of the panel `track`/`dataset`. `relative_to` is the schedule that is
    subtracted from `schedule`. `languages` are codes, or the name of a group of a panel's averages. For a count, `rows`
    are the claimed numbers of rows, `known` the registry's and `record_file` the file of the registry.
    """

    claim: str
    kind: str
    text: str
    source: str
    url: str
    verified: bool
    verified_by: str
    about: str = ""
    value: float | None = None
    tolerance: float = 0.0
    min_difference: float = 0.0
    model: str = ""
    published: str = ""
    column: str = ""
    average: str = ""
    track: str = ""
    dataset: str = ""
    schedule: str = ""
    relative_to: str = ""
    languages: list[str] | str = field(default_factory=list)
    metric: str = ""
    differs_in: list[str] = field(default_factory=list)
    split: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    record_file: str = ""
    not_run: str = ""

    def entry(self) -> dict:
        """Plain data, without empty fields."""
        needed = [part.name for part in fields(self)][:7]
        return {key: value for key, value in asdict(self).items() if key in needed or value not in ("", None, [], {})}
