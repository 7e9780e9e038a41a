"""What the typological distances between a study's languages are computed from."""

import re

from crosstune.core.errors import UserError
from crosstune.data.language_distances import DISTANCES_VERSION
from crosstune.study.graph import Expansion
from crosstune.study.targets import used_languages

FOLDER = re.compile(r"\{(\w+)\}")


def distances_file(study: Expansion) -> list[str]:
    """The file of the languages' features; none without typological distances."""
    if "distances" not in study.config:
        return []
    folders, file = study.config["folders"], study.config["distances"]["file"]
    for folder in FOLDER.findall(file):
        if folder not in folders:
            fix = f"Give its path in the config:\nfolders:\n  {folder}: ../path/to/{folder}"
            raise UserError(f"the features of languages need the folder {folder!r}", "folders", fix)
    return [FOLDER.sub(lambda match: str(folders[match[1]]), file)]


def distances_spec(study: Expansion) -> dict:
    """The spec of the distances, except the file: the features, and the languages with their ISO 639-3 codes."""
    return {
        "version": DISTANCES_VERSION,
        "features": study.config.get("distances", {}).get("features"),
        "languages": {code: study.languages[code].iso or code for code in used_languages(study)},
    }
