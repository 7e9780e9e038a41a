"""ZIP archives whose bytes depend on their content alone, and the files of a folder that go into one."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from crosstune.core.files import atomic_open

# The earliest time that a ZIP archive can store.
OLDEST = (1980, 1, 1, 0, 0, 0)


def write_zip(
    out: Path, files: Mapping[str, Path], texts: Mapping[str, str], compression: int = zipfile.ZIP_DEFLATED
) -> None:
    """Write files on disk and texts, by their names in the archive, into the archive `out`."""
    with atomic_open(out) as file, zipfile.ZipFile(file, "w", compression) as archive:
        for name in sorted({*files, *texts}):
            entry = zipfile.ZipInfo(name, OLDEST)
            entry.compress_type, entry.external_attr = compression, 0o644 << 16
            if name in texts:
                archive.writestr(entry, texts[name])
                continue
            with archive.open(entry, "w") as target, files[name].open("rb") as source:
                shutil.copyfileobj(source, target)


def regular_files(path: Path, root: Path) -> list[Path]:
    """A file, or all files of a folder except hidden files and caches; no links, which may lead anywhere."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    kept = [file for file in files if not file.name.startswith(".") and "__pycache__" not in file.parts]
    return [file for file in kept if file.resolve() == root.resolve() / file.relative_to(root)]
