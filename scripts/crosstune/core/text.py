"""Numbers in words: counts with their nouns, decimals."""


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def decimal(number: float | None, digits: int) -> str:
    """A rounded number, empty for None; never `-0.0`."""
    return "" if number is None else f"{round(number, digits) + 0.0:.{digits}f}"
