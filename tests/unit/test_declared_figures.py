"""Figures that a study specifies: what is refused, what they draw, in which order and files."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.planted_scores import CONTRAST, by_difference, plant
from helpers.study_config import ROOT, study
from helpers.study_results import plan, write_study

from crosstune.analysis.results import StudyResults
from crosstune.core.errors import UserError
from crosstune.core.files import write_json
from crosstune.reporting.figures.declared import declared_figures, draw, write_figure
from crosstune.reporting.page.page import render_page
from crosstune.study.plan import plan_of

DECLARED = [{"a": "joint", "b": "english", "over": ["qa"], "smallest_effect": 1.0}]
ALL = {"english", "joint", "sequential", "untrained"}


def entry(kind: str, **keys) -> dict:
    """An entry of the plan's figures, of the small study's panel."""
    panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "schedules": sorted(ALL),
             "languages": ["qen", "qes", "qna", "qix"]}  # fmt: skip
    own = {key: keys.pop(key) for key in ("metric", "schedules", "languages") if key in keys}
    return {"name": "mine", "kind": kind, "models": ["tiny"], "panels": [panel | own]} | keys


def texts(figure) -> list[str]:
    nodes = [node for node in ET.fromstring(figure.svg).iter() if node.tag.endswith("text")]
    return ["".join(node.itertext()) for node in nodes]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> StudyResults:
    return write_study(tmp_path_factory.mktemp("study"))


# --- the plan --------------------------------------------------------------------------------------------------------


def planned(**figure) -> dict:
    (found,) = plan_of(study(figures={"mine": figure}, contrasts=DECLARED))["figures"]
    return found


def test_an_entry_of_the_plan_has_every_choice_resolved():
    found = planned(kind="heat", panels="qa", schedules=["joint", "english"], languages=["qen", "qro"], title="T")
    assert found == {
        "name": "mine", "kind": "heat", "models": ["tiny"], "title": "T",
        "panels": [{"track": "qa", "dataset": "worldqa", "metric": "f1", "schedules": ["english", "joint"],
                    "languages": ["qen", "qro"]}],
    }  # fmt: skip
    assert planned(kind="forest")["contrasts"] == ["joint-vs-english"]
    assert "figures" not in plan_of(study())


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"kind": "pie", "panels": "qa"}, "figures.mine.kind"),
        ({"kind": "heat"}, "a figure of the kind heat is of panels"),
        ({"kind": "heat", "panels": "ner"}, "unknown track 'ner'"),
        ({"kind": "heat", "panels": "qa/xquad"}, "does not evaluate 'xquad'"),
        ({"kind": "heat", "panels": ["qa", "qa/worldqa"]}, "given twice"),
        ({"kind": "heat", "panels": "qa", "schedules": ["joitn"]}, "unknown schedule of qa/worldqa 'joitn'"),
        ({"kind": "heat", "panels": "qa", "languages": ["sw"]}, "unknown language 'sw'"),
        ({"kind": "heat", "panels": "qa", "models": ["mbert"]}, "unknown model 'mbert'"),
        ({"kind": "heat", "panels": "qa", "metric": "accuracy"}, "unknown metric of worldqa 'accuracy'"),
        ({"kind": "heat", "panels": "qa", "relative_to": "english"}, "shows no differences"),
        ({"kind": "heat", "panels": "qa", "contrasts": ["joint-vs-english"]}, "only a forest plot shows contrasts"),
        ({"kind": "differences", "panels": "qa", "relative_to": "joitn"}, "unknown schedule"),
        ({"kind": "differences", "panels": "qa", "schedules": ["joint"]}, "two schedules to compare"),
        ({"kind": "differences", "panels": "qa", "schedules": ["joint"], "relative_to": "joint"}, "two schedules"),
        ({"kind": "curves", "panels": "qa", "schedules": ["joint"]}, "a schedule of several scored stages"),
        ({"kind": "few-shot", "panels": "qa"}, "a few-shot curve"),
        ({"kind": "distance", "panels": "qa"}, "distances between languages"),
        ({"kind": "training", "panels": "qa", "schedules": ["untrained"]}, "a schedule that trains"),
        ({"kind": "forest", "panels": "qa"}, "has no 'panels'"),
        ({"kind": "forest", "contrasts": ["order"]}, "unknown contrast 'order'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_its_place(figure, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        planned(**figure)
    assert str(error.value).startswith("figures.mine") and error.value.fix


def test_a_forest_plot_without_contrasts_and_panels_of_different_schedules_are_refused():
    with pytest.raises(UserError, match="declares no contrasts"):
        study(figures={"mine": {"kind": "forest"}})
    track = {
        "sources": "worldpos", "budget": {"updates": 9, "tokens": 512}, "schedules": {"english": ["qen"]},
        "evaluate": {"worldpos": "all"},
    }  # fmt: skip
    with pytest.raises(UserError, match="different schedules"):
        study(tracks__pos=track, figures={"mine": {"kind": "languages", "panels": ["qa", "pos"]}})
    assert study(tracks__pos=track, figures={"mine": {"kind": "heat", "panels": ["qa", "pos"]}}).figures


# --- the picture -----------------------------------------------------------------------------------------------------


def test_chosen_schedules_and_languages_alone_are_drawn(small):
    figure = draw(small, entry("heat", schedules=["joint", "english"], languages=["qix", "qen"]), Path())
    shown = " ".join(texts(figure))
    assert all(word in shown for word in ("english", "joint", "Enish (qen)", "Ixish (qix)"))
    assert not any(word in shown for word in ("sequential", "untrained", "Naish", "Esish"))


def test_another_metric_is_drawn(small):
    shown = texts(draw(small, entry("languages", metric="exact_match"), Path()))
    assert "SQuAD v1.1 exact match" in shown and "SQuAD v1.1 F1" not in shown


def test_differences_from_one_schedule(small):
    figure = draw(small, entry("differences", relative_to="english", title="Gains"), Path())
    assert [chart.title for chart in figure.charts] == ["joint − english", "sequential − english"]
    assert texts(figure)[0] == "Gains" and figure.title == "Gains"
    # joint is 44 and 46 in qes, english 10 and 12: 34 in both seeds.
    assert "+34.0 " in " ".join(texts(figure))


def test_a_declared_contrast_gives_the_interval_of_its_pair(tmp_path):
    planted = plant(tmp_path, by_difference([3.0, 3.4, 2.8, 3.2]))
    own = entry("differences", relative_to="joint", schedules=["joint", "sequential"], languages=["qna", "qix"])
    figure = draw(planted, own, tmp_path)
    assert "as in its table" in figure.caption and "Undeclared" not in figure.caption
    reverse = draw(planted, own | {"relative_to": "sequential"}, tmp_path)
    assert "Undeclared" in reverse.caption and "−3.1" in " ".join(texts(reverse))


def test_the_mean_of_a_part_of_a_contrasts_languages_is_not_shown_as_its_mean(tmp_path):
    planted = plant(tmp_path, by_difference([3.0, 3.4, 2.8, 3.2]))
    own = entry("differences", relative_to="joint", schedules=["joint", "sequential"], languages=["qix"])
    shown = " ".join(texts(draw(planted, own, tmp_path)))
    assert "Ixish" in shown and "Naish" not in shown and "mean of" not in shown


def test_a_forest_plot_has_the_chosen_contrasts(tmp_path):
    two = [CONTRAST, CONTRAST | {"name": "again", "smallest_effect": 2.0}]
    planted = plant(tmp_path, by_difference([3.0, 3.4, 2.8, 3.2]), two)
    own = {"name": "mine", "kind": "forest", "models": ["tiny"], "contrasts": ["again"]}
    shown = " ".join(texts(draw(planted, own, tmp_path)))
    assert "again: sequential − joint" in shown and "order: " not in shown
    assert draw(replace(planted, contrasts=[]), own, tmp_path) is None


def test_several_panels_are_charts_of_one_figure_with_their_names(small):
    both = entry("heat", languages=["qen"])
    both["panels"] = [both["panels"][0], both["panels"][0] | {"metric": "exact_match"}]
    assert len(draw(small, both, Path()).charts) == 2 * len(
        draw(small, entry("heat", languages=["qen"]), Path()).charts
    )


def test_a_pilot_is_marked_and_what_has_no_results_is_said_in_one_message(small, tmp_path):
    own = [entry("heat"), entry("training") | {"name": "loss"}]
    marked = replace(small, plan=small.plan | {"pilot": 10, "figures": own})
    assert [name for name, _ in declared_figures(marked, tmp_path)] == ["mine"]
    write_figure(marked, "mine", tmp_path, tmp_path / "paper/mine.svg")
    assert "PILOT" in (tmp_path / "paper/mine.svg").read_text()
    assert (tmp_path / "paper/mine.pdf").read_bytes().startswith(b"%PDF")
    for name, message in (("loss", "nothing to draw"), ("other", "unknown figure 'other'")):
        with pytest.raises(UserError, match=message):
            write_figure(marked, name, tmp_path, tmp_path / "paper/x.svg")
    assert not (tmp_path / "paper/x.svg").exists()


def test_the_page_shows_them_with_the_name_of_their_file(small, tmp_path):
    page = render_page(replace(small, plan=small.plan | {"figures": [entry("heat", title="A <b>title")]}), tmp_path)
    assert "Figures of this study" in page and "paper/mine.pdf" in page and "A &lt;b&gt;title" in page
    assert "Figures of this study" not in render_page(small, tmp_path)


def test_the_program_draws_one_and_ends_with_one_message(tmp_path):
    write_study(tmp_path, plan() | {"figures": [entry("heat")]})
    command = [sys.executable, str(ROOT / "scripts/figure.py"), "--plan", str(tmp_path / "plan.json")]
    command += ["--results", str(tmp_path), "--out", str(tmp_path / "paper/mine.svg"), "--name"]
    assert not subprocess.run([*command, "mine"], capture_output=True, text=True).stderr
    assert (tmp_path / "paper/mine.svg").exists()
    done = subprocess.run([*command, "yours"], capture_output=True, text=True)
    assert done.returncode and "unknown figure 'yours'" in done.stderr and "Traceback" not in done.stderr
    write_json(tmp_path / "plan.json", plan())


def test_figures_change_no_spec():
    plain, drawn = study(), study(figures={"mine": {"kind": "heat", "panels": "qa"}})
    specs = [{path: node.spec for path, node in own.checkpoints.items()} for own in (plain, drawn)]
    assert specs[0] == specs[1]
