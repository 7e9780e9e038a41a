"""Readers of unlabelled and parallel text."""

from collections.abc import Iterator, Sequence

from crosstune.core.errors import UserError
from crosstune.data.readers.pieces import ReaderOptions, file_stem, numbered_lines, parse_json, text_field


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


def fields(text: str, file: str, options: ReaderOptions) -> Iterator[dict]:
    """The distinct texts of the options' fields: column numbers from 1 (TSV) or keys (JSON lines)."""
    texts_in = _column_texts if isinstance(options.fields[0], int) else _key_texts
    texts: dict[str, int] = {}
    for number, line in numbered_lines(text):
        if line.strip():
            for value in texts_in(line, file, number, options.fields):
                texts.setdefault(value, number)
    counts: dict[int, int] = {}
    for value, number in texts.items():
        counts[number] = counts.get(number, 0) + 1
        yield {"id": f"{file_stem(file)}:{number}.{counts[number]}", "text": value}


def _column_texts(line: str, file: str, number: int, columns: Sequence[int]) -> list[str]:
    cells, where = line.split("\t"), f"{file}:{number}"
    if len(cells) < max(columns):
        raise UserError(f"expected at least {max(columns)} columns, found {len(cells)}: {line[:60]!r}", where)
    values = [cells[column - 1] for column in columns]
    if not all(value.strip() for value in values):
        raise UserError("a column that should hold text is empty", where)
    return values


def _key_texts(line: str, file: str, number: int, keys: Sequence[str]) -> list[str]:
    record = parse_json(line, file, number)
    return [text_field(record, key, f"{file}:{number}") for key in keys]
