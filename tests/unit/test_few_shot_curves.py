"""Few-shot curves as table and figure; the marks of a pilot in tables, figures, contrasts and page."""

import csv

import pytest
from helpers.study_results import LANGUAGES, csv_rows, plan, read, write_study

from crosstune.analysis.contrasts import compute_contrasts, without_verdicts
from crosstune.analysis.estimates import NO_VERDICT
from crosstune.analysis.results import StudyResults
from crosstune.core.files import write_json, write_jsonl
from crosstune.reporting.figures import panel_figures
from crosstune.reporting.figures.few_shot import curve_records, dodged, few_shot_figure
from crosstune.reporting.page.answer import answer, compare
from crosstune.reporting.page.page import render_page, run_exposure
from crosstune.reporting.tables.few_shot import few_shot_table, write_few_shot_tables
from crosstune.reporting.tables.scores import describe_panel, write_score_tables
from crosstune.reporting.tables.transfer import write_transfer_tables

# Scores of qes by curve and size, for seeds 1 and 2; of the other languages they are 10.
QES = {"after": {0: (10, 14), 10: (30, 34), 100: (50, 54)}, "alone": {0: (4, 6), 10: (12, 20), 100: (40, 44)}}


def few_shot_plan(**changes) -> dict:
    """A plan with two curves that sample qes, of which a part of the data set is scored."""
    found = plan()
    track, runs = found["tracks"]["qa"], []
    for curve, points in QES.items():
        for size in points:
            sources = ["worldqa.qen"] if not size else [f"worldqa~{size}.qes"]
            runs += [
                {"model": "tiny", "seed": seed, "track": "qa", "schedule": f"{curve}-{size}",
                 "stages": [f"tiny/seed{seed}/qa/{curve}-{size}"], "evaluated": [["worldqa"]], "mixtures": [sources],
                 "updates": [200]}
                for seed in (1, 2)
            ]  # fmt: skip
    track["schedules"] = [f"{curve}-{size}" for curve, points in QES.items() for size in points]
    track["parts"] = {"worldqa": "~30"}
    track["curves"] = {
        curve: {"sources": ["worldqa.qes"], "points": [[size, f"{curve}-{size}"] for size in points]}
        for curve, points in QES.items()
    }
    return {**found, "runs": runs, "headline": {}, **changes}


@pytest.fixture
def write_curves(tmp_path):
    """A function that writes the results of the few-shot plan with changes, and loads them."""

    def write(**changes) -> StudyResults:
        write_json(tmp_path / "plan.json", few_shot_plan(**changes))
        for curve, points in QES.items():
            for size, scores in points.items():
                for seed, value in zip((1, 2), scores, strict=True):
                    numbers = {
                        lang: {"f1": value if lang == "qes" else 10, "exact_match": 0, "n": 30} for lang in LANGUAGES
                    }
                    path = tmp_path / f"tiny/seed{seed}/qa/{curve}-{size}/scores/worldqa~30.json"
                    write_json(path, {"dataset": "worldqa~30", "languages": numbers})
        return read(tmp_path)

    return write


class TestTable:
    def test_it_has_every_point_with_its_interval(self, write_curves):
        (panel,) = write_curves().panels()
        table = few_shot_table(panel)
        assert [(row.group, row.label) for row in table.rows] == [
            (curve, str(size)) for curve, points in QES.items() for size in points
        ]
        assert [column.key for column in table.columns] == ["qes", "average_others"]
        # Two seeds: 32 ± 12.706 * 2.83 / sqrt(2)
        assert table.format.text(table.cells[1][0]) == "32.0 [6.6, 57.4]"
        assert table.format.text(table.cells[1][1]) == "10.0 [10.0, 10.0]"

    def test_the_caption_names_language_seeds_and_sample(self, write_curves):
        (panel,) = write_curves().panels()
        caption = few_shot_table(panel).caption
        assert "by the number of training examples of qes; mean and 95% CI over 2 seeds" in caption
        assert "worldqa (a sample of 30 examples in each language)" in caption and "All 12 runs present." in caption
        assert "but for few-shot points of 0 examples, which spend less" in describe_panel(panel)

    def test_its_file_has_the_numbers(self, write_curves, tmp_path):
        write_few_shot_tables(write_curves(), tmp_path / "tables")
        (row,) = (
            row for row in csv_rows(tmp_path / "tables/qa.worldqa.tiny.f1.few-shot.csv") if row["row"] == "alone-100"
        )
        assert (row["group"], row["qes_mean"], row["missing"]) == ("alone", "42.0000", "0")

    def test_several_sampled_languages_have_a_mean(self, write_curves):
        found = few_shot_plan()["tracks"]
        found["qa"]["curves"]["after"]["sources"].append("worldqa.qna")
        (panel,) = write_curves(tracks=found).panels()
        table = few_shot_table(panel)
        assert [column.key for column in table.columns] == ["qes", "qna", "average_sampled", "average_others"]
        assert "each of the sampled languages: qes, qna (after); qes (alone)" in table.caption

    def test_without_curves_there_is_none(self, tmp_path):
        (panel,) = write_study(tmp_path).panels()
        assert few_shot_table(panel) is None
        assert "few-shot" not in [figure.kind for figure in panel_figures(panel, tmp_path)]

    def test_nor_if_no_sampled_language_is_evaluated(self, write_curves):
        found = few_shot_plan()["tracks"]
        for curve in found["qa"]["curves"].values():
            curve["sources"] = ["worldqa.qxx"]
        (panel,) = write_curves(tracks=found).panels()
        assert few_shot_table(panel) is None


class TestFigure:
    def test_every_curve_is_a_line_with_its_intervals(self, write_curves):
        (panel,) = write_curves().panels()
        records = list(curve_records(panel, list(QES)))
        assert {(record["curve"], record["examples"], record["score"]) for record in records} >= {("after", 10, 32.0)}
        (point,) = (record for record in records if (record["curve"], record["examples"]) == ("after", 10))
        assert (round(point["low"], 1), round(point["high"], 1)) == (6.6, 57.4)
        assert len(records) == 6 and {record["language"] for record in records} == {"Esish (qes)"}

    def test_its_axis_is_logarithmic_and_shows_0(self, write_curves):
        (panel,) = write_curves().panels()
        (chart,) = few_shot_figure(panel).charts
        ticks = {part.text: part.x for part in chart.plot if getattr(part, "kind", "") == "tick"}
        zero, ten, hundred = (ticks[size] for size in ("0", "10", "100"))
        assert 0 < zero < ten < hundred < 1 and (ten - zero) > 0.3 * (hundred - zero)

    def test_it_is_drawn_with_a_legend(self, write_curves, tmp_path):
        (panel,) = write_curves().panels()
        (figure,) = (figure for figure in panel_figures(panel, tmp_path) if figure.kind == "few-shot")
        assert all(word in figure.svg for word in ("after", "alone", "training examples", "Esish"))
        assert "Few-shot curves" in figure.title and "place for 0" in figure.caption

    @pytest.mark.parametrize("size", [0, 10, 1000])
    def test_marks_of_several_curves_stand_side_by_side(self, size):
        places = [dodged(size, place, 3, [0, 10, 1000], 2.5) for place in range(3)]
        assert places == sorted(places) and len(set(places)) == 3 and places[1] == pytest.approx(size, abs=1e-6)


class TestPage:
    def test_the_page_has_table_and_figure(self, write_curves, tmp_path):
        page = render_page(write_curves(), tmp_path)
        assert "Few-shot curves" in page and "32.0 [6.6, 57.4]" in page and "qes~100" in page
        assert "PILOT" not in page

    def test_draws_of_a_sample_are_one_source(self, tmp_path):
        for seed in (1, 2):
            exposure = {f"worldqa~held5~10d{seed}.qes": {"examples": 4, "tokens": 40}}
            write_json(tmp_path / f"seed{seed}/stage.json", {"exposure": exposure})
            assert run_exposure({"stages": [f"seed{seed}"]}, tmp_path) == {"worldqa.qes~10": (4, 40)}


class TestPilot:
    def test_every_table_says_so(self, write_curves, tmp_path):
        found = write_curves(pilot=7)
        for write in (write_score_tables, write_few_shot_tables, write_transfer_tables):
            write(found, tmp_path / "tables")
        paths = sorted((tmp_path / "tables").iterdir())
        assert len(paths) > 10
        for path in paths:
            text = path.read_text()
            if path.suffix == ".csv":
                head, *lines = csv.reader(text.splitlines())
                assert head[-1] == "pilot" and all(line[-1] == "pilot" for line in lines), path
            else:
                assert text.count("PILOT, no result.") == (text.count(r"\caption{") or 1), path

    def test_page_and_figures_say_so_and_answer_nothing(self, write_curves, tmp_path):
        found = write_curves(pilot=7)
        page = render_page(found, tmp_path)
        assert "<title>PILOT, no result." in page and "Pilot of the study “small”" in page
        assert "At most 7 examples of each test set" in page
        (panel,) = found.panels()
        assert answer(panel).startswith("This is a pilot. It scores at most 7 examples")
        assert all("PILOT, no result." in figure.svg for figure in panel_figures(panel, tmp_path))

    def test_differences_have_no_direction(self, tmp_path):
        for pilot, verdict in (({}, "inconclusive"), ({"pilot": 7}, "not judged")):
            (panel,) = write_study(tmp_path, {**plan(), **pilot}).panels()
            assert compare(panel, "english", "joint", ["qen"]).verdict == verdict

    @pytest.mark.parametrize(("pilot", "verdict"), [({}, "worse"), ({"pilot": 7}, NO_VERDICT)])
    def test_contrasts_compare_the_scored_part(self, write_curves, tmp_path, pilot, verdict):
        panel = {"track": "qa", "dataset": "worldqa", "metric": "f1", "parallel": "id", "languages": ["qes"]}
        contrast = {"name": "size", "a": "after-0", "b": "after-10", "smallest_effect": 0.5, "confidence": 0.95}
        contrast["panels"] = [panel]
        found = write_curves(contrasts=[contrast], **pilot)
        for size in (0, 10):
            for seed, score in zip((1, 2), QES["after"][size], strict=True):
                path = tmp_path / f"tiny/seed{seed}/qa/after-{size}/scores/worldqa~30.examples.jsonl"
                write_jsonl(path, [{"lang": "qes", "id": str(n), "f1": score, "exact_match": 0} for n in range(30)])
        (result,) = compute_contrasts(found, tmp_path)
        assert result["seeds"] == [1, 2] and result["mean"] == -20.0
        assert result["questions"]["seeds"]["verdict"] == verdict

    def test_contrasts_have_no_verdict(self):
        estimate = {"mean": 1.0, "verdict": "better"}
        numbers = {
            "questions": {"seeds": estimate, "languages": None}, "better": 1, "worse": 0, "mean": 1.0,
            "languages": [{"name": "en", "estimate": estimate}, {"name": "es", "estimate": None}],
        }  # fmt: skip
        found = without_verdicts(numbers)
        assert found["questions"] == {"seeds": {"mean": 1.0, "verdict": NO_VERDICT}, "languages": None}
        assert found["languages"][0]["estimate"]["verdict"] == NO_VERDICT and found["mean"] == 1.0
        assert not {"better", "worse"} & set(found)
