"""The audit of a table: its cells recomputed from the terms that its provenance lists, and the hashes of their files.

It reads the provenance `tables/<name>.json`, the table's CSV file and the files that the terms name, and knows nothing
of axes, panels or averages: a number of a run is the sum of weighted scores, a cell a statistic over runs. That the
terms are those which the plan demands is verified by the tests (tests/helpers/derived_cells.py).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import Any

from crosstune.analysis.cells import Replicate
from crosstune.core.errors import UserError
from crosstune.core.files import read_json, read_json_or_empty, sha256_file
from crosstune.reporting.tables.table import Values, statistic


class TableAudit:
    """One table with its provenance.

    table: any file of it, or their common name. UserError if there is no such table.
    """

    def __init__(self, table: Path):
        name = table.name.removesuffix(table.suffix) if table.suffix in (".csv", ".md", ".tex", ".json") else table.name
        self.path = table.with_name(f"{name}.json")
        if not self.path.exists():
            known = ", ".join(sorted(path.stem for path in table.parent.glob("*.json")))
            raise UserError("no table with provenance", str(table), f"There are: {known or 'none in this folder'}")
        self.results = self.path.parent.parent
        self.content = read_json(self.path)
        with self.path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            self._lines = list(csv.DictReader(file))
        self._scores: dict[str, Any] = {}

    @property
    def cells(self) -> list[dict]:
        return self.content["cells"]

    def cell(self, row: str, column: str) -> dict:
        """The cell of a row and a column, by their key or label. UserError if there is none, or several."""
        numbers = [self._number("rows", row), self._number("columns", column)]
        return next(cell for cell in self.cells if [cell["row"], cell["column"]] == numbers)

    def _number(self, side: str, wanted: str) -> int:
        entries = self.content[side]
        names = [f"{entry['group']}: {entry['key']}" for entry in entries]
        matches = [
            number
            for number, (entry, name) in enumerate(zip(entries, names, strict=True))
            if wanted in (name, entry["key"], entry["label"])
        ]
        if len(matches) != 1:
            problem = f"several {side} are" if matches else f"no {side.removesuffix('s')} is"
            listed = [names[number] for number in matches] or [entry["key"] for entry in entries]
            raise UserError(f"{problem} called {wanted!r}", str(self.path), f"There are: {', '.join(listed)}")
        return matches[0]

    def name(self, cell: Mapping) -> str:
        row, column = self.content["rows"][cell["row"]], self.content["columns"][cell["column"]]
        return f"{row['group']}: {row['key']}, {column['key']}"

    # ---- recomputing ----

    def recompute(self, cell: Mapping) -> Values:
        """The number of every run of a cell, as the sum of its terms.

        KeyError or IndexError if a file has no longer the scores that the terms name.
        """
        runs = ((Replicate(*map(int, run.split("/"))), terms) for run, terms in cell["runs"].items())
        return {run: fsum(self._sum(*term) for term in terms) for run, terms in runs}

    def _sum(self, file: int, number: int) -> float:
        """A weighted sum over the languages of a file."""
        entry, scores = self.content["sums"][number], self._read(self.content["files"][file]["file"])
        for key in entry["path"]:
            scores = scores[key]
        return fsum(weight * scores[lang][entry["metric"]] for lang, weight in entry["weights"].items())

    def problems(self, cell: Mapping) -> Iterator[str]:
        """The numbers of a cell in the CSV file that its terms do not give."""
        try:
            values = self.recompute(cell)
        except LookupError as error:
            yield f"{self.name(cell)}: a file lacks scores of its terms ({error})"
            return
        line = self._lines[cell["line"] - 1] if cell["line"] <= len(self._lines) else {}
        for name, field in self.content["columns"][cell["column"]]["fields"].items():
            printed, number = line.get(field, "no number"), statistic(name, values)
            if not agree(printed, number):
                recomputed = "nothing" if number is None else f"{number:.4f}"
                yield f"{self.name(cell)}: {name}: the CSV has {printed or 'nothing'}, the terms give {recomputed}"

    def file_problems(self, cells: Sequence[Mapping]) -> Iterator[str]:
        """The files of cells that changed since the table was written, predictions and the plan included."""
        numbers = {file for cell in cells for terms in cell["runs"].values() for file, _ in terms}
        for number in sorted({0, *numbers}):
            entry = self.content["files"][number]
            path = self.results / entry["file"]
            if self._changed(path, entry["sha256"]):
                yield f"{path}: changed since the table was written, or removed"
            if "predictions" in entry:
                yield from self._prediction_problems(path.parents[1] / "predictions" / path.name, entry["predictions"])

    def _prediction_problems(self, manifest: Path, digest: str) -> Iterator[str]:
        if self._changed(manifest, digest):
            yield f"{manifest}: changed since the table was written, or removed"
            return
        for lang, entry in read_json(manifest)["languages"].items():
            path = manifest.with_suffix("") / f"{lang}.jsonl"
            if self._changed(path, entry["sha256"]):
                yield f"{path}: differs from its manifest, or removed"

    @staticmethod
    def _changed(path: Path, digest: str) -> bool:
        return not path.exists() or sha256_file(path) != digest

    def _read(self, file: str) -> Any:
        if file not in self._scores:
            path = self.results / file
            self._scores[file] = read_json_or_empty(path)
        return self._scores[file]

    # ---- printing ----

    def lines(self, cell: Mapping) -> Iterator[str]:
        """The number of a cell, and for every run its terms and the stages, data and code behind them."""
        values = self.recompute(cell)
        mean, sd = statistic("mean", values), statistic("sd", values)
        number = "n/a" if mean is None else f"{mean:.4f}" + ("" if sd is None else f" (SD {sd:.4f})")
        counted = f", {len(values)} of {cell['planned']} runs" if cell["planned"] else ""
        yield f"{self.content['table']}: {self.name(cell)}: {number}{counted}"
        yield from (f"plan: {key} {value}" for key, value in self.content["plan"].items())
        for run, value in zip(cell["runs"], values.values(), strict=True):
            yield f"run {run}: {value}"
            for file, number in cell["runs"][run]:
                yield from self._term_lines(self.content["files"][file], self.content["sums"][number])
        yield from (f"run {run}: diverged" for run in cell.get("diverged", []))

    def _term_lines(self, file: Mapping, entry: Mapping) -> Iterator[str]:
        path = self.results / file["file"]
        terms = " ".join(f"{weight:+.4g} {lang}" for lang, weight in entry["weights"].items())
        yield f"  {entry['metric']}: {terms}"
        yield f"  scores {path}  sha256 {file['sha256']}"
        for number in file.get("stages", []):
            yield from self._stage_lines(self.content["stages"][number])
        if "predictions" in file:
            tested = self.content["data"][file["tested_on"]]["sha256"]
            manifest = read_json(path.parents[1] / "predictions" / path.name)["languages"]
            for lang in entry["weights"]:
                predictions = path.parents[1] / "predictions" / path.stem / f"{lang}.jsonl"
                yield f"  predictions {predictions}  sha256 {manifest[lang]['sha256']}"
                yield f"    of data {tested[f'{path.stem}.{lang}']}"

    def _stage_lines(self, stage: Mapping) -> Iterator[str]:
        yield f"  checkpoint {self.results / stage['stage']}  weights {stage['weights']}"
        code = self.content["code"][stage["code"]] if "code" in stage else {}
        yield from (f"    {key} {value}" for key, value in code.items())
        trained = self.content["data"][stage["trained_on"]]["sha256"]
        yield from (f"    trained on {source}  sha256 {digest}" for source, digest in trained.items())


def agree(printed: str, number: float | None) -> bool:
    """Whether a printed number is the rounded one; an empty text is no number."""
    if number is None or not printed:
        return number is None and not printed
    try:
        digits = len(printed.partition(".")[2])
        return abs(float(printed) - number) <= 0.5 * 10**-digits + 1e-9
    except ValueError:
        return False
