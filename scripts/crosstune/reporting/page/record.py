"""The record of a study's kept results, as the page shows it (docs/corrections.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crosstune.artifacts.correction_record import CORRECTED, CorrectionRecord, present_files
from crosstune.core.files import sha256_file
from crosstune.core.text import count
from crosstune.reporting.page.provenance import SHOWN_HASH

SAME, DIFFERENT, NOT_MADE = "same", "different", "not made"

# Changes of one entry that the page lists; the record has all.
MOST_CHANGES = 20


@dataclass(frozen=True)
class RecordSection:
    """What the page says of a record.

    files: (name, SHA-256, whether this study's present file is the same) of every kept file. entries: heading,
    reason and changes of each entry, the newest first.
    """

    summary: str
    is_corrected: bool
    sentences: list[str]
    problems: list[str]
    files: list[list[str]]
    entries: list[tuple[str, str, list[list[str]]]]

    file_head = ("kept file", "SHA-256", "in these results")
    change_head = ("table", "row", "column", "old", "new")


def record_section(record: CorrectionRecord, results: Path) -> RecordSection:
    """The section about a record; `results`: the study's folder of results, to compare."""
    present = present_files(results)
    files = [[name, digest, _agreement(present.get(name), digest)] for name, digest in record.manifest.items()]
    return RecordSection(
        record.summary,
        record.status == CORRECTED,
        [f"It is about {count(len(files), 'file')} in {record.folder}.", *_agreement_sentences(files)],
        list(record.problems()),
        files,
        [_entry(entry) for entry in reversed(record.entries)],
    )


def _agreement(file: Path | None, digest: str) -> str:
    if file is None:
        return NOT_MADE
    return SAME if sha256_file(file) == digest else DIFFERENT


def _agreement_sentences(files: list[list[str]]) -> list[str]:
    """How the kept files compare with these results."""
    by_answer = {answer: [name for name, _, found in files if found == answer] for answer in (SAME, DIFFERENT)}
    if not any(by_answer.values()):
        return ["None of them is made in these results."]
    same, different = (len(names) for names in by_answer.values())
    if not different:
        return [f"{same} of them are made in these results, and are the same."]
    return [
        f"{same + different} of them are made in these results; {different} differ from the kept ones: "
        f"{', '.join(by_answer[DIFFERENT])}. That can come of another kind of processor, which gives other last digits."
    ]


def _entry(entry: Mapping) -> tuple[str, str, list[list[str]]]:
    commits = f"commits {', '.join(commit[:SHOWN_HASH] for commit in entry['commits']) or 'unknown'}"
    changes = [[str(change.get(key, "")) for key in RecordSection.change_head] for change in entry["changes"]]
    more = len(changes) - MOST_CHANGES
    shown = changes[:MOST_CHANGES] + ([[f"and {count(more, 'change')} more", "", "", "", ""]] if more > 0 else [])
    return f"{entry['date']}, {entry['status']}, {commits}", entry["why"], shown
