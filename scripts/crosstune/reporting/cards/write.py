"""Writing the cards of all kept checkpoints, and the list of them."""

import hashlib
from pathlib import Path

from crosstune.analysis.results import StudyResults
from crosstune.artifacts.checkpoint import CARD
from crosstune.core.errors import UserError
from crosstune.core.files import write_json, write_text
from crosstune.reporting.cards.checkpoint_facts import kept_checkpoints
from crosstune.reporting.cards.model_card import model_card, repository, upload_line


def write_cards(study: StudyResults, results: Path, data: Path, out: Path, final: bool = False) -> list[Path]:
    """Write a README.md into the model folder of every checkpoint with weights, and their list as JSON to `out`.

    With `final` only those of last stages, where the study keeps no others' weights. Raises UserError if the study asks
    for no cards, or if no checkpoint has weights.
    """
    if "model_cards" not in study.plan:
        raise UserError("the study asks for no cards", "model_cards", "model_cards: {owner: <your name on the hub>}")
    checkpoints = kept_checkpoints(study, results, data, final)
    if not checkpoints:
        raise UserError("no checkpoint has weights", str(results), "keep_weights: final")
    entries = []
    for facts in checkpoints:
        text = str(model_card(facts))
        write_text(facts.folder / CARD, text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        entries.append(
            {"checkpoint": facts.path, "repository": repository(facts), "upload": upload_line(facts), "card": digest}
        )
    write_json(out, {"study": study.plan["study"], "cards": entries})
    return [facts.folder / CARD for facts in checkpoints]
