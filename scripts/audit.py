"""Recompute the cells of a table from the scores that its provenance lists, and compare them with its CSV file.

    python scripts/audit.py results/default/tables/pos.worldpos.tiny.accuracy
    python scripts/audit.py results/default/tables/pos.worldpos.tiny.accuracy joint average_low

With ROW and COLUMN the program prints the terms of one cell, with their files, commits and hashes, and audits it alone.
Rows and columns have their names in the table's CSV file (a column's without _mean), or as the table shows them; write
`group: row` if several groups have the name. The exit status is 1 if a number or a file differs.
"""

import argparse
from pathlib import Path

from crosstune.core.errors import end, run_program, show
from crosstune.reporting.tables.audit import TableAudit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="any file of the table, or their common name")
    parser.add_argument("row", nargs="?", help="name of the row")
    parser.add_argument("column", nargs="?", help="name of the column")
    args = parser.parse_args()
    if (args.row is None) != (args.column is None):
        parser.error("give a row and a column, or neither for the whole table")
    audit = TableAudit(args.table)
    cells = audit.cells if args.row is None else [audit.cell(args.row, args.column)]
    if args.row is not None:
        show(*audit.lines(cells[0]))
    problems = [problem for cell in cells for problem in audit.problems(cell)] + [*audit.file_problems(cells)]
    if problems:
        end("\n".join(["error: the table differs from its terms", *(f"  {problem}" for problem in problems)]))
    show(f"{audit.content['table']}: {len(cells)} of {len(cells)} cells agree with their terms")


if __name__ == "__main__":
    run_program(main)
