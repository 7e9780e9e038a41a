"""Readers of unlabelled and parallel text, whose lines hold nothing else."""

from collections.abc import Iterator, Sequence

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import ReaderOptions, file_stem, numbered_lines


def lines(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The lines of a file that are not empty."""
    yield from (
        {"id": f"{file_stem(file)}:{number}", "text": line} for number, line in numbered_lines(text) if line.strip()
    )


def pairs(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """A text and its translation per line, separated by a tab."""
    for number, line in numbered_lines(text):
        cells = line.split("\t")
        if not line.strip():
            continue
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            message = f"expected a text, a tab and its translation, found {len(cells)} columns: {line[:60]!r}"
            raise UserError(message, f"{file}:{number}")
        yield {"id": f"{file_stem(file)}:{number}", "text": cells[0], "pair": cells[1]}


def aligned(files: Sequence[tuple[str, str]], options: ReaderOptions) -> Iterator[dict]:
    """Two files whose lines translate each other."""
    if len(files) != 2:
        raise UserError(f"aligned text needs two files, found {len(files)}", " and ".join(file for file, _ in files))
    (file, text), (other, translation) = files
    left, right = (
        [line for _, line in numbered_lines(side)] for side in (text.rstrip("\r\n"), translation.rstrip("\r\n"))
    )
    if len(left) != len(right):
        raise UserError(f"{len(left)} lines against {len(right)} in {other}", file, "Line n translates line n.")
    for number, (line, pair) in enumerate(zip(left, right, strict=True), 1):
        if bool(line.strip()) != bool(pair.strip()):
            raise UserError(f"one side of the pair is empty (the other is {other})", f"{file}:{number}")
        if line.strip():
            yield {"id": f"{file_stem(file)}:{number}", "text": line, "pair": pair}
