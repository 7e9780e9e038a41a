"""What the parts of figures are about, and how pages say it."""

from pathlib import Path

import pytest
from helpers.study_results import write_study

from crosstune.reporting.figures import study_figures
from crosstune.reporting.figures.declared import merged_legend
from crosstune.reporting.figures.drawing import Band, Chart, Line
from crosstune.reporting.figures.figure import LegendEntry
from crosstune.reporting.figures.subjects import (
    ANY,
    about_data,
    about_languages,
    about_pair,
    about_schedules,
    short_codes,
)

CODES = short_codes({"language": ["qen", "qes"], "schedule": ["english", "joint"], "panel": ["qa/worldqa"]})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def test_every_name_has_a_code_of_its_kind():
    assert CODES["language", "qes"] == "n1" and CODES["schedule", "english"] == "s0"
    assert CODES["panel", "qa/worldqa"] == "d0" and len(set(CODES.values())) == len(CODES)


def test_a_subject_is_a_word_for_each_group_of_names(study):
    (panel,) = study.panels()
    assert about_languages("qes", "qen").text(CODES) == "n1+n0"
    assert (about_pair("english", "joint") & about_data(panel)).text(CODES) == "s0 s1 d0"
    assert about_schedules("joint").attribute(CODES) == ' data-of="s1"'


def test_what_two_legends_share_stays_while_either_would():
    assert (about_schedules("joint") | about_schedules("english", "joint")).text(CODES) == "s1+s0"
    assert (about_pair("english", "joint") | about_languages("qes")).text(CODES) == "s0+n1 s1+n1"
    assert ANY | about_schedules("joint") == about_schedules("joint") | ANY == ANY
    entries = [LegendEntry("others", "other", "dot", about_schedules(name), 1) for name in ("joint", "english")]
    (merged,) = merged_legend(entries)
    assert merged.subject.text(CODES) == "s1+s0" and (merged.text, merged.count) == ("others", 1)


def test_a_part_about_nothing_has_no_attribute():
    assert ANY.attribute(CODES) == about_languages().attribute(CODES) == "" and about_schedules() == ANY


def test_what_cannot_be_chosen_away_stays():
    assert about_languages("qen", "elsewhere").text(CODES) == ""
    assert (about_languages("qen") & about_schedules("elsewhere")).text(CODES) == "n0"


def test_a_subject_is_said_once():
    assert about_pair("joint", "joint").text(CODES) == "s1"


def test_neighbours_of_one_subject_share_it():
    names = ("joint", "joint", "english")
    lines = [Line(0, 1, 1, n, "grid", subject=about_schedules(name)) for n, name in enumerate(names)]
    rows = (Band(23), Band(18, about_languages("qen")))
    page = Chart("chart", 90, 0, 0, tuple(lines), rows=rows, first_row=34).page_svg(CODES)
    assert page.count('<g data-of="s1"><line') == page.count('<g data-of="s0"><line') == page.count("s1") == 1
    assert 'data-rows="34;23;18:n0"' in page and "data-columns" not in page


def test_files_have_no_subjects(study):
    for _, figure in study_figures(study, Path()):
        assert "data-" not in figure.svg and "<g" not in figure.svg


def test_every_chart_of_a_panel_is_about_its_data_set(study):
    (panel,) = study.panels()
    about = about_data(panel).groups
    found = [figure for name, figure in study_figures(study, Path()) if name == panel.name]
    assert len(found) == 4
    assert all(set(about) <= set(chart.subject.groups) for figure in found for chart in figure.charts)
