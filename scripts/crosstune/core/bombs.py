"""Limits on what a small file may unpack to: a bomb would fill the memory of a machine that others use too."""

from crosstune.core.errors import UserError

# Text of a published data set is compressed some five to twenty times, and tables of numbers a hundred times.
LARGEST_RATIO = 200

# Below this size, in bytes, nothing is a bomb.
HARMLESS_BYTES = 100_000_000


def largest_size(packed: int) -> int:
    """The most bytes that a file of `packed` bytes may unpack to."""
    return max(HARMLESS_BYTES, LARGEST_RATIO * packed)


def check_size(packed: int, unpacked: int, where: str) -> None:
    """Raise UserError if a file of `packed` bytes unpacks to more than any honest file."""
    if unpacked > largest_size(packed):
        message = f"{packed:,} bytes unpack to {unpacked:,} or more, which no data file does"
        raise UserError(message, where, "Do not trust it.")
