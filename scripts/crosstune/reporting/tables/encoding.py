"""What the models can read of the rows, from encoding.json: a row for each evaluated or trained language."""

from crosstune.core.text import decimal

HEAD = ["model", "track", "data set", "split", "language", "rows", "cut", "unknown tokens, %", "best possible scores"]


def encoding_table(found: dict) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of encodings."""
    rows = []
    for entry in found["encodings"]:
        ceiling = {key: score for key, score in (entry["ceiling"] or {}).items() if key != "n"}
        best = ", ".join(f"{key} {decimal(score, 1)}" for key, score in ceiling.items())
        names = [entry[key] for key in ("model", "track", "dataset", "split", "language")]
        rows.append([*names, str(entry["rows"]), str(entry["cut"]), decimal(100 * entry["unknown"], 1), best])
    return HEAD, rows
