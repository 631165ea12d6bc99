"""Where the points of a plot are."""

import re

import pytest

from hotfire.console.formats import duration, figure, size
from hotfire.console.plots import WIDTH, Curve, Plot, plot, spark

TIMES = [1_000_000.0 + 60 * number for number in range(5)]


def drawn(values: list[float | None], marks: list[tuple[float, str]] | None = None) -> Plot:
    return plot("p", "A plot", TIMES, [Curve("one", values)], figure, marks or [])


def test_a_line_goes_through_all_values() -> None:
    path = drawn([0, 1, 2, 3, 4]).lines[0].path
    assert path == "M0.0 150.0L150.0 112.5L300.0 75.0L450.0 37.5L600.0 0.0"


def test_a_line_is_broken_where_there_is_no_value() -> None:
    path = drawn([4, 4, None, 4, None]).lines[0].path
    assert path == "M0.0 0.0L150.0 0.0M448.0 0.0h4"


@pytest.mark.parametrize(
    ("most", "top"), [(0.03, "0.0"), (3, "4"), (17, "20"), (41, "60"), (100, "100"), (101, "200")]
)
def test_the_highest_value_is_below_a_round_number(most: float, top: str) -> None:
    assert drawn([0, most, None, None, None]).heights[-1].text == top


def test_without_values_there_is_only_the_ground() -> None:
    found = drawn([None] * 5)
    assert (found.is_empty, [tick.text for tick in found.heights], found.rows) == (True, ["0"], [])


def test_what_happened_meanwhile_is_marked() -> None:
    marks = [(TIMES[0] - 1, "before"), (TIMES[2], "in the middle"), (TIMES[4] + 30, "just now")]
    found = drawn([1.0] * 5, marks).marks
    assert [(mark.at, mark.text) for mark in found] == [(300.0, "in the middle"), (WIDTH, "just now")]


def test_the_table_says_the_same_and_the_latest_first() -> None:
    rows = drawn([1, 2, 0, None, 5]).rows
    assert [said for _, said in rows] == [["5"], ["2"], ["1"]]
    assert all(re.fullmatch(r"\d\d:\d\d", at) for at, _ in rows)


def test_the_latest_value_is_told() -> None:
    assert drawn([1, 2, 3, None, None]).lines[0].last == "3"


def test_a_spark_fits_its_place() -> None:
    assert spark([0, 5, 10], 100, 20) == "0.0,19.0 50.0,10.0 100.0,1.0"


def test_nothing_makes_no_spark() -> None:
    assert spark([0, 0], 100, 20) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.000_03, "30 µs"),
        (0.0008, "0.8 ms"),
        (0.0421, "42 ms"),
        (0.9999, "1.00 s"),
        (1.239, "1.24 s"),
        (125, "2 min 5 s"),
    ],
)
def test_durations_in_words(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "–"),
        (0, "0 bytes"),
        (1, "1 byte"),
        (812, "812 bytes"),
        (4_100, "4.1 KB"),
        (999_900, "1.0 MB"),
        (5_000_002, "5.0 MB"),
        (170_000_000, "170 MB"),
    ],
)
def test_sizes_in_words(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0"), (0.42, "0.4"), (12.4, "12"), (1840, "1,840")]
)
def test_figures_in_words(value: float | None, text: str) -> None:
    assert figure(value) == text
