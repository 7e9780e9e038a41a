"""Numbers in words: counts with their nouns, decimals."""

from collections.abc import Iterable


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def decimal(number: float | None, digits: int) -> str:
    """A rounded number, empty for None; never `-0.0`."""
    return "" if number is None else f"{round(number, digits) + 0.0:.{digits}f}"


def named_first(keys: Iterable[str], named: Iterable[str]) -> list[str]:
    """The keys: the `named` ones first, in the order of their names, then the others as they came."""
    places = {key: place for place, key in enumerate(named)}
    return sorted(keys, key=lambda key: places.get(key, len(places)))
