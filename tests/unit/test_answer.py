"""The numbers of docs/answer.md and of the README's first screen are those of the kept tables."""

from pathlib import Path

from helpers.linked_numbers import numbers, unlinked_numbers

ROOT = Path(__file__).parents[2]


def test_every_number_of_the_answer_stands_in_a_file_that_its_paragraph_links_to():
    path = ROOT / "docs/answer.md"
    assert len(numbers(path.read_text(encoding="utf-8"))) > 100
    assert unlinked_numbers(path) == []


def test_the_readme_repeats_numbers_of_kept_tables():
    path = ROOT / "README.md"
    opening = path.read_text(encoding="utf-8").partition("\n## ")[0]
    assert numbers(opening)
    assert unlinked_numbers(path, opening) == []


def test_a_number_without_its_table_is_found(tmp_path):
    (tmp_path / "table.md").write_text("| joint | 1.2 | -0.5 [-1.0, 0.1] |\n")
    text = tmp_path / "text.md"
    text.write_text("[Here](table.md): 1.2, and 0.5 points worse.\n\n| a |\n|--|\n| −1.0 |\n\nNo link: 0.1.\n")
    assert unlinked_numbers(text) == [("0.1", "No link: 0.1.\n")]
    text.write_text("[Here](table.md): 1.3 points\n")
    assert unlinked_numbers(text) == [("1.3", "[Here](table.md): 1.3 points\n")]
