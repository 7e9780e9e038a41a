"""Schedules: grammar, budgets, shared prefixes."""

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstune.core.errors import UserError
from crosstune.study.schedules import (
    Budget,
    Schedule,
    check_matched,
    latin_square,
    parse_schedules,
    shorten,
    with_one_lr_schedule,
)

BUDGET = Budget(tokens=1024, updates=900)


def path_of(schedule: Schedule) -> str:
    return "/".join(schedule.folders)


def parse(configs, budget=BUDGET):
    schedules = parse_schedules(configs, lambda name, place: f"qa.{name}", budget, "tracks.qa.schedules")
    return {schedule.name: schedule for schedule in schedules}


def test_a_list_is_a_sequence_and_plus_is_a_mixture():
    found = parse({"sequential": ["en", "es", "fr"], "joint": ["fr + en + es"], "between": ["en", "es + fr"]})
    assert path_of(found["sequential"]) == "qa.en@300/qa.es@300/qa.fr@300"
    assert path_of(found["joint"]) == "qa.en+es+fr@900"
    assert path_of(found["between"]) == "qa.en@450/qa.es+fr@450"


def test_schedules_that_start_alike_share_their_folders():
    found = parse({"a": ["en", "es", "fr"], "b": ["en", "es", "de"]})
    assert [path_of(s) for s in found["a"].prefixes[:2]] == [path_of(s) for s in found["b"].prefixes[:2]]


def test_the_order_of_a_mixture_does_not_matter():
    found = parse({"a": ["en + es"], "b": ["es + en"]})
    assert path_of(found["a"]) == path_of(found["b"])


@given(st.integers(1, 6), st.integers(1, 50))
def test_every_schedule_spends_the_budget(stages, share):
    names = [f"l{n}" for n in range(stages)]
    budget = Budget(tokens=64, updates=stages * share)
    assert all(
        s.total_updates == stages * share for s in parse({"seq": names, "joint": [" + ".join(names)]}, budget).values()
    )


def test_what_sets_a_stage_apart_is_in_its_name():
    found = parse({"a": ["en", {"train": "es", "replay": 0.1, "lr": 1e-5, "updates": 300}]})
    assert path_of(found["a"]) == "qa.en@600/qa.es@300~lr=1e-05~replay=0.1"


def test_a_list_in_a_recipe_sets_a_stage_apart_and_comes_back_as_a_list():
    found = parse({"a": [{"train": "en", "contrastive": {"weight": 0.5, "layers": [3, 6]}}]})
    (stage,) = found["a"].stages
    assert path_of(found["a"]) == "qa.en@900~contrast=0.5~contrast_layers=3+6"
    assert stage.changes == {"contrastive": {"weight": 0.5, "layers": [3, 6]}}
    assert len({stage, stage}) == 1


def test_a_folder_name_stays_short_with_many_sources():
    found = parse({"joint": [" + ".join(f"l{n:03d}" for n in range(60))]})
    assert len(path_of(found["joint"])) < 200
    assert "60-sources" in path_of(found["joint"])


def test_each_and_orders():
    found = parse({"mono": {"each": ["en", "es"]}, "orders": {"orders": ["en", "es", "fr"]}})
    assert set(found) >= {"mono-en", "mono-es", "orders-en-es-fr", "orders-fr-es-en"}
    assert len([name for name in found if name.startswith("orders-")]) == 6
    latin = parse({"orders": {"orders": ["en", "es", "fr"], "design": "latin"}})
    assert len(latin) == 3


@given(st.integers(1, 8))
def test_latin_square(size):
    square = latin_square(size)
    assert all(sorted(row) == list(range(size)) for row in square)
    assert all(sorted(column) == list(range(size)) for column in zip(*square, strict=True))
    if size % 2 == 0:
        follows = {pair for row in square for pair in pairwise(row)}
        assert follows == set(permutations(range(size), 2))


def test_averages_of_names_and_of_parts():
    found = parse({"soup": {"average": ["english", "spanish"]}, "english": ["en"], "spanish": ["es"]})
    assert list(found) == ["soup", "english", "spanish"]
    assert found["soup"].total_updates == 1800
    parts = parse({"soup": {"average": [["en"], ["es"], ["fr"]]}})["soup"]
    assert [path_of(member) for member in parts.members] == ["qa.en@300", "qa.es@300", "qa.fr@300"]
    assert parts.total_updates == 900


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"a": ["en + "]}, "empty part"),
        ({"a": ["en + en"]}, "names a source twice"),
        ({"a": ["en"] * 7}, "does not divide"),
        ({"a": [{"train": "en", "updates": 100}]}, "spend 100 updates"),
        ({"a": [{"train": "en", "replay": 0.5}]}, "nothing to replay"),
        ({"a": {"average": ["b", "c"]}}, "unknown schedule 'b'"),
        ({"a": [{"train": "en", "epochs": 2}]}, "counts epochs"),
        ({"a-en": ["en"], "a": {"each": ["en"]}}, "two schedules are called"),
    ],
)
def test_mistakes_name_the_key(config, says):
    with pytest.raises(UserError, match=says) as caught:
        parse(config)
    assert caught.value.where.startswith("tracks.qa.schedules.a")


def test_the_cure_for_an_undividable_budget_divides():
    with pytest.raises(UserError) as caught:
        parse({"a": ["l1", "l2", "l3", "l4", "l5", "l6", "l7"]})
    suggested = int(caught.value.fix.partition("updates: ")[2].partition(",")[0])
    assert suggested % 7 == 0


def test_epochs_are_matched_by_the_rows_seen():
    budget = Budget(tokens=64, epochs=2.0)
    schedules = list(parse({"seq": ["en", "es"], "joint": ["en + es"], "english": ["en"]}, budget).values())
    rows = {"qa.en": 100, "qa.es": 50}
    check_matched(schedules[:2], budget, rows.get, "tracks.qa")
    with pytest.raises(UserError, match="english: 200 rows"):
        check_matched(schedules, budget, rows.get, "tracks.qa")
    check_matched(schedules, Budget(tokens=64, epochs=2.0, matched=False), rows.get, "tracks.qa")
    with pytest.raises(UserError, match="does not state the number of rows"):
        check_matched(schedules[:2], budget, {}.get, "tracks.qa")


def test_one_learning_rate_schedule_over_a_sequence_is_in_the_names_of_its_stages():
    found = parse({"sequential": ["en", "es"], "longer": ["en", {"train": "es", "updates": 450}], "joint": ["en + es"]})
    spanned = {name: with_one_lr_schedule(schedule, "here") for name, schedule in found.items()}
    assert path_of(spanned["sequential"]) == "qa.en@450~lr_over=900/qa.es@450~lr_over=900"
    assert spanned["joint"] == found["joint"], "one stage has a learning-rate schedule of its own anyway"
    short = with_one_lr_schedule(shorten(found["sequential"]), "here")
    assert path_of(short) == "qa.en@45~lr_over=90/qa.es@45~lr_over=90"


def test_members_of_an_average_have_a_learning_rate_schedule_each():
    found = parse({"parts": {"average": [["en", "es"], ["fr"]]}})
    first, second = with_one_lr_schedule(found["parts"], "here").members
    assert path_of(first) == "qa.en@225~lr_over=450/qa.es@225~lr_over=450"
    assert path_of(second) == "qa.fr@450"


@pytest.mark.parametrize("key", [{"warmup": 0.2}, {"lr_schedule": "constant"}])
def test_a_stage_of_a_spanned_sequence_has_no_shape_of_its_own(key):
    found = parse({"a": ["en", {"train": "es", "lr": 1e-5, **key}]})
    with pytest.raises(UserError, match=f"a stage has its own {next(iter(key))}") as caught:
        with_one_lr_schedule(found["a"], "tracks.qa.schedules")
    assert caught.value.where == "tracks.qa.schedules.a"


def test_a_sequence_in_epochs_cannot_share_a_learning_rate_schedule():
    found = parse({"a": ["en", "es"]}, Budget(tokens=64, epochs=2, matched=False))
    with pytest.raises(UserError, match="needs the number of its updates"):
        with_one_lr_schedule(found["a"], "here")
