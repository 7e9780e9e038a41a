"""The guides under docs/ as data: their sections, with the files that they show and the YAML that they print."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

DOCS = Path(__file__).parents[2] / "docs"
# Keys of a study; a block without any of them is a fragment of a record.
STUDY_KEYS = {"study", "folders", "languages", "datasets", "tracks"}


@dataclass
class Section:
    """A section of a guide.

    `files`: contents by path, as the guide writes them. `study`: all blocks of a study together. `fragments`: YAML of
    parts of a record. `commands`: commands of describe.py. `blocks`: the number of YAML blocks in both.
    """

    title: str
    text: str
    files: dict[str, str] = field(default_factory=dict)
    study: dict = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    blocks: int = 0

    def write(self, folder: Path) -> dict[str, str]:
        """Write the files below a folder; the folders that paths name in braces.

        `../my-data/` is the folder itself.
        """
        folders = {}
        for name, content in self.files.items():
            path = folder / name.removeprefix("../my-data/").replace("{", "").replace("}", "")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            if braces := re.match(r"\{(\w+)\}", name):
                folders[braces[1]] = str(folder / braces[1])
        return folders

    @property
    def described(self) -> tuple[list[Path], dict[str, str]]:
        """The files and options of the command of describe.py."""
        words = shlex.split(self.commands[0])[2:]
        options = {words[n].removeprefix("--"): words[n + 1] for n in range(len(words)) if words[n].startswith("--")}
        return [Path(word) for word in words if word.startswith("..")], options


def sections(guide: str) -> list[Section]:
    """The sections of a guide, the part before its first heading of second order included."""
    text = (DOCS / guide).read_text(encoding="utf-8").removeprefix("# ")
    return [_parse(part) for part in re.split(r"^## ", text, flags=re.MULTILINE)]


def _parse(part: str) -> Section:
    title, _, text = part.partition("\n")
    section = Section(title.partition(":")[0], text)
    for match in re.finditer(r"(?:`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        name, kind, content = match.groups()
        if name:
            section.files[name] = content
        elif kind == "sh" and "describe.py" in content:
            section.commands.append(content.strip())
        elif kind == "yaml":
            section.blocks += 1
            parsed = yaml.safe_load(content)
            if STUDY_KEYS & set(parsed):
                section.study |= parsed
            else:
                section.fragments.append(content)
    return section
