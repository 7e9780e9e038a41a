"""Which runs stand behind a cell of a table, with their files, commits and hashes; and whether the number is theirs.

    python scripts/trace_table.py results/default/tables/qa.worldqa.tiny.f1 joint average_low
    python scripts/trace_table.py results/default/tables/qa.worldqa.tiny.f1 joint average_low --check
    python scripts/trace_table.py results/default/tables/qa.worldqa.tiny.f1 --check

ROW and COLUMN are the names in the table's CSV file (a column's without _mean), or as it shows them; `group: row`
where a name stands in several groups. --check works the cell, or every cell, out again from the scores, without the
code that made the table, and compares predictions with the hashes of their manifests. It ends with 1 where anything
differs.
"""

import argparse
from pathlib import Path

from crosstune.core.errors import end, run_program
from crosstune.reporting.tables.audit import Trace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="any file of the table, or their common name")
    parser.add_argument("row", nargs="?", help="name of the row")
    parser.add_argument("column", nargs="?", help="name of the column")
    parser.add_argument("--check", action="store_true", help="work the cell out again, or without ROW the whole table")
    args = parser.parse_args()
    if (args.row is None) != (args.column is None) or (args.row is None and not args.check):
        parser.error("give a row and a column, or --check for the whole table")
    trace = Trace(args.table)
    cells = trace.sidecar["cells"] if args.row is None else [trace.cell(args.row, args.column)]
    if args.row is not None:
        print("\n".join(trace.lines(cells[0])))
    if args.check:
        check(trace, cells, whole=args.row is None)


def check(trace: Trace, cells: list[dict], whole: bool) -> None:
    """Tell where cells and files differ; end with 1 where any does."""
    wrong = [problem for cell in cells for problem in trace.check(cell)]
    wrong += [*trace.check_files(cells), *(trace.check_table() if whole else ())]
    read = sum(trace.recomputed(trace.select(cell)) is not None for cell in cells)
    if wrong:
        end("\n".join(["error: the table is not what the scores give", *(f"  {problem}" for problem in wrong)]))
    beyond = f"; {len(cells) - read} are more than means of scores and were not worked out again" * (read < len(cells))
    print(f"{trace.sidecar['table']}: {read} of {len(cells)} cells are what the scores give{beyond}")


if __name__ == "__main__":
    run_program(main)
