"""Display names: shown to readers everywhere in their order, kept out of files for programs."""

import json
import re

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.study_config import study
from helpers.study_results import csv_rows, plan, table_entry, write_study

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.core.text import named_first
from crosstune.core.yaml_lines import lines_named
from crosstune.reporting.figures import study_figures
from crosstune.reporting.page.page import render_page
from crosstune.reporting.tables.contrasts import write_contrast_tables
from crosstune.reporting.tables.custom import write_custom_tables
from crosstune.reporting.tables.formats import table_files
from crosstune.reporting.tables.ranking import rankings
from crosstune.reporting.tables.scores import schedule_table, score_tables
from crosstune.reporting.tables.transfer import gains_table, measures_text_table
from crosstune.study import specs
from crosstune.study.plan import plan_of

NAMES = {
    "schedules": {
        "sequential": "In a row",
        "english": "One source",
        "joint": "All at once",
        "untrained": "No training",
    },
    "languages": {"qix": "Isolate", "qna": "Northern", "qen": "Source A", "qes": "Source B"},
    "datasets": {"worldqa": "World QA"},
    "models": {"tiny": "Tiny BERT"},
    "metrics": {"exact_match": "EM", "f1": "Overlap"},
}
KEYS = {key for named in NAMES.values() for key in named} - {"f1"}
# Words of the project's own sentences that are keys of the study by chance.
PHRASES = (
    "against untrained",
    "the untrained model",
    "joint − sequential",
    "joint $-$ sequential",
    "untrained head",
    "tiny$",
    "tiny\n",
)


def keys_in(text: str) -> set[str]:
    """The keys of the study among the words of a text."""
    for phrase in PHRASES:
        text = text.replace(phrase, "")
    return KEYS & set(re.findall(r"(?<![\\\w])[\w-]+", text))


def named(folder) -> StudyResults:
    """The small study with names, its order included, and a custom table by every axis with names."""
    entry = table_entry(columns=["language", "group"])
    stages = table_entry(name="stages", rows=["stage"], columns=["metric"])
    shown = plan() | {"names": NAMES, "tables": [entry, stages]}
    track = shown["tracks"]["qa"]
    track["schedules"] = named_first(track["schedules"], NAMES["schedules"])
    track["evaluate"] = {"worldqa": named_first(track["evaluate"]["worldqa"], NAMES["languages"])}
    return write_study(folder, shown)


def test_tables_for_people_show_names_alone(tmp_path):
    study = named(tmp_path)
    (panel,) = study.panels()
    tables = [*score_tables(study), gains_table(panel), measures_text_table(panel)]
    texts = {name: text for table in tables for name, text in table_files(table).items() if not name.endswith(".csv")}
    write_custom_tables(study, tmp_path / "own")
    texts |= {path.name: path.read_text() for path in (tmp_path / "own").iterdir() if path.suffix != ".csv"}
    for name, text in texts.items():
        assert not keys_in(re.sub(r"\\label\{.*?\}", "", text)), name
    assert "Model Tiny BERT, track qa, data set World QA" in texts["qa.worldqa.tiny.f1.md"]
    assert "Overlap on World QA; model Tiny BERT" in texts["mine.md"]
    assert "| → Source B " in texts["stages.md"] and "| In a row: Source A " in texts["stages.md"]


def test_files_for_programs_keep_the_keys(tmp_path):
    study = named(tmp_path)
    (panel,) = study.panels()
    files = table_files(schedule_table(panel, "f1"))
    rows = csv_rows(files["qa.worldqa.tiny.f1.csv"])
    assert [row["row"] for row in rows] == ["context", "empty", "untrained", "sequential", "english", "joint"]
    assert "qix_mean" in rows[0] and "All at once" not in files["qa.worldqa.tiny.f1.csv"]
    transfer = next(table for table in score_tables(study) if table.name.endswith("transfer"))
    assert {row["group"] for row in csv_rows(table_files(transfer)[f"{transfer.name}.csv"])} == {
        "untrained", "sequential", "english", "joint",
    }  # fmt: skip


def test_figures_and_the_page_show_names_alone(tmp_path):
    study = named(tmp_path)
    for name, figure in study_figures(study, tmp_path):
        assert not keys_in(re.sub(r"<[^>]*>", " ", figure.svg)), (name, figure.kind)
    page = render_page(study, tmp_path)
    shown = re.sub(r"(?s)<(script|style|code|pre)\b.*?</\1>|<[^>]*>", " ", page)
    assert not keys_in(shown)
    assert 'data-schedule="joint"' in page and 'value="qix"' in page
    assert re.search(r"value=\"qix\"[^>]*> Isolate<", page)


def test_contrasts_show_names_alone(tmp_path):
    contrast = CONTRAST | {"name": "sequential-vs-joint"}
    planted = plant(tmp_path, by_difference([5.0, 5.5, 6.0]), [contrast])
    write_json(tmp_path / "plan.json", planted.plan | {"names": NAMES})
    study = StudyResults(planted.plan | {"names": NAMES}, planted.scores, {}, contrasts=planted.contrasts)
    write_contrast_tables(study, tmp_path / "tables")
    text = (tmp_path / "tables/contrasts.md").read_text()
    assert text.index("| Isolate ") < text.index("| Northern ")
    assert "**In a row vs All at once, Tiny BERT.** In a row is better than All at once" in text
    assert not keys_in(text)
    lines = csv_rows(tmp_path / "tables/contrasts.csv")
    assert {(line["contrast"], line["a"], line["b"]) for line in lines} == {
        ("sequential-vs-joint", "sequential", "joint")
    }
    assert "In a row vs All at once: In a row − All at once" in dict(study_figures(study, tmp_path))["contrasts"].svg
    assert [row[0] for ranking in rankings(study) for row in ranking.rows] == ["One source", "All at once", "In a row"]


def test_the_order_of_names_is_that_of_the_plan():
    names = {"schedules": {"sequential": "S", "joint": "J"}, "languages": {"qro": "Ro", "qen": "En"}}
    planned = plan_of(study(names=names))
    assert planned["tracks"]["qa"]["schedules"] == ["sequential", "joint", "untrained", "english"]
    plain = plan_of(study())["tracks"]["qa"]["evaluate"]["worldqa"]
    others = [code for code in plain if code not in ("qro", "qen")]
    known = [code for code in ("qro", "qen") if code in plain]
    assert planned["tracks"]["qa"]["evaluate"]["worldqa"] == [*known, *others]
    config = json.loads(specs.plan_config(study(names=names).config))
    assert list(config["names"]["schedules"]) == ["sequential", "joint"]


def test_names_change_no_spec_and_a_study_without_them_has_the_same_plan():
    plain = study()
    shown = study(names={"schedules": {"joint": "All at once"}, "models": {"tiny": "T"}, "metrics": {"f1": "F"}})
    assert {path: node.spec for path, node in plain.checkpoints.items()} == {
        path: node.spec for path, node in shown.checkpoints.items()
    }
    assert plan_of(shown)["contrasts"] == plan_of(plain)["contrasts"]
    assert "names" not in plan_of(plain) and '"names"' not in specs.plan_config(plain.config)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"schedules": {"joitn": "Joint"}}, "unknown schedule 'joitn'"),
        ({"languages": {"sw": "Swahili"}}, "unknown language 'sw'"),
        ({"datasets": {"xquad": "XQuAD"}}, "unknown data set 'xquad'"),
        ({"models": {"mbert": "mBERT"}}, "unknown model 'mbert'"),
        ({"metrics": {"accuracy": "Acc."}}, "unknown metric 'accuracy'"),
        ({"schedules": {"joint": "english"}}, "'english' and 'joint' are both called 'english'"),
        ({"schedules": {"joint": "One\nline"}}, "names.schedules.joint"),
        ({"schedules": {"joint": " "}}, "names.schedules.joint"),
    ],
)
def test_a_name_of_nothing_or_of_two_things_is_refused(names, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        study(names=names)
    assert "names." in str(error.value) and "Traceback" not in str(error.value)


def test_the_message_names_what_there_is_and_the_line(tmp_path):
    (tmp_path / "study.yaml").write_text("study: test\nnames:\n  schedules:\n    joitn: Joint\n")
    with pytest.raises(UserError) as error, lines_named(tmp_path / "study.yaml", others={}):
        study(names={"schedules": {"joitn": "Joint"}})
    assert "There are: untrained, english, joint, sequential" in str(error.value)
    assert f"{tmp_path / 'study.yaml'}:4: names.schedules.joitn" in str(error.value)
