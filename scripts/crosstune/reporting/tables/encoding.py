"""What the models can read of the rows, from encoding.json: a row for each evaluated or trained language."""

from crosstune.core.text import decimal

HEAD = ["model", "track", "data set", "split", "language", "rows", "cut",
        "pieces per word", "unknown tokens, %", "best possible scores"]  # fmt: skip


def encoding_table(found: dict) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of encodings."""
    rows = []
    for entry in found["encodings"]:
        ceiling = {key: score for key, score in (entry["ceiling"] or {}).items() if key != "n"}
        best = ", ".join(f"{key} {decimal(score, 1)}" for key, score in ceiling.items())
        names = [entry[key] for key in ("model", "track", "dataset", "split", "language")]
        # A file of an earlier version has none.
        pieces = decimal(entry.get("pieces"), 2)
        numbers = [str(entry["rows"]), str(entry["cut"]), pieces, decimal(100 * entry["unknown"], 1)]
        rows.append([*names, *numbers, best])
    return HEAD, rows
