"""Reading members of ZIP archives without unpacking more than the archive's list says."""

import zipfile
from collections.abc import Iterator

from crosstune.core.errors import UserError

# Methods of which a few compressed bytes unpack to few: zipfile bounds the result of deflation, and LZMA of 4 kB gives
# less than 30 MB. 4 kB of bzip2 can give gigabytes.
CHUNKS = {zipfile.ZIP_STORED: 1 << 20, zipfile.ZIP_DEFLATED: 1 << 20, zipfile.ZIP_LZMA: 1 << 12}


def member_chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a member in pieces, no more than the size that the archive's list states.

    Raises UserError for a method of compression that cannot be bounded, and BadZipFile for another content than listed.
    """
    if entry.compress_type not in CHUNKS:
        message = f"{entry.filename!r} is compressed in a way that is not read here (method {entry.compress_type})"
        raise UserError(message, archive.filename or "", "Pack it again: zip -r again.zip FOLDER")
    with archive.open(entry) as member:
        while chunk := member.read(CHUNKS[entry.compress_type]):
            yield chunk
