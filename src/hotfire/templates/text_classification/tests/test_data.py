"""Headlines: read and split."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from text_classification import data, synthetic
from text_classification.data import Headline
from text_classification.errors import UserError


def written(folder: Path, text: str) -> str:
    """A CSV file of that text."""
    file = folder / "headlines.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    source = written(tmp_path, 'category,more,title\nWorld,1,"Peace, at last"\n')
    assert data.read(source) == [Headline("Peace, at last", "World")]


def test_a_row_without_a_title_is_left_out(tmp_path: Path) -> None:
    source = written(tmp_path, "title,category\n,World\nOil falls,Business\n")
    assert data.read(source) == [Headline("Oil falls", "Business")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title,kind\nOil falls,Business\n", "no column category; its columns: title, kind"),
        ("", "no column title and no column category; its columns: none at all"),
        ("title,category\n", "no row with a title and a category"),
        ("title,category\nPeace, at last,World\n", "line 2 has more values than columns"),
        ('title,category\n"Oil falls,Business\n', "line 2: unexpected end of data"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data.read(written(tmp_path, text))


def test_each_part_has_the_same_share_of_each_category() -> None:
    rows = [Headline(f"{number}", "rare" if number % 5 == 0 else "frequent") for number in range(100)]
    parts = data.split(rows, train=0.7, val=0.15, test=0.15, rng=random.Random(1))
    assert [Counter(row.category for row in part) for part in parts] == [
        {"frequent": 56, "rare": 14},
        {"frequent": 12, "rare": 3},
        {"frequent": 12, "rare": 3},
    ]


def test_no_headline_is_in_two_parts() -> None:
    parts = data.split(synthetic.headlines(200), train=0.5, val=0.25, test=0.25, rng=random.Random(1))
    assert len({row.title for part in parts for row in part}) == 200


def test_a_category_of_two_rows_cannot_be_split() -> None:
    rows = [Headline(f"{number}", "rare" if number < 2 else "frequent") for number in range(50)]
    with pytest.raises(UserError, match="rare has too few rows"):
        data.split(rows, train=0.7, val=0.15, test=0.15, rng=None)


def test_a_sample_is_a_share_or_a_number() -> None:
    rows = synthetic.headlines(40)
    assert data.sampled(rows, 0.25, None) == rows[:10]
    assert data.sampled(rows, 30, None) == rows[:30]


def test_more_than_there_is_cannot_be_sampled() -> None:
    with pytest.raises(UserError, match="--data-size is 41, and there are 40 rows"):
        data.sampled(synthetic.headlines(40), 41, None)


def test_generated_headlines_are_the_same_each_time_and_differ_from_each_other() -> None:
    rows = synthetic.headlines(400)
    assert rows == synthetic.headlines(400)
    assert len({row.title for row in rows}) == 400
    assert sorted(Counter(row.category for row in rows).values()) == [100, 100, 100, 100]
