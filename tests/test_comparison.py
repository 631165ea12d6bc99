"""Values compared, and the label at the top of an answer."""

import math
from typing import Any

import pytest

from hotfire.comparison import Difference, compare, probabilities, shown, top_label, top_labels

NAN = math.nan


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (1, 1.0),
        (0.5, 0.50005),
        (10_000.0, 10_000.9),
        (NAN, NAN),
        (math.inf, math.inf),
        ([], []),
        (None, None),
        (10**400, 10**400),
        ({"a": [{"b": "c"}]}, {"a": [{"b": "c"}]}),
    ],
)
def test_what_is_the_same(one: Any, other: Any) -> None:
    assert list(compare(one, other)) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 2, Difference("", "changed", 1, 2, 1.0)),
        (100_000, 100_001, Difference("", "changed", 100_000, 100_001, 1.0)),
        (True, 1, Difference("", "changed", True, 1)),
        (1, "1", Difference("", "changed", 1, "1")),
        (None, False, Difference("", "changed", None, False)),
        (math.inf, -math.inf, Difference("", "changed", math.inf, -math.inf)),
        ([1], {"a": 1}, Difference("", "changed", [1], {"a": 1})),
        ([1, 2], [1], Difference("[1]", "missing", expected=2)),
        ([1], [1, 2], Difference("[1]", "new", got=2)),
        ({"a": 1}, {}, Difference("a", "missing", expected=1)),
        ({}, {"a": None}, Difference("a", "new", got=None)),
        ([{"s": {"b": 0.5}}], [{"s": {"b": 0.75}}], Difference("[0].s.b", "changed", 0.5, 0.75, 0.25)),
    ],
)
def test_what_differs(one: Any, other: Any, expected: Difference) -> None:
    assert list(compare(one, other)) == [expected]


def test_a_number_and_nan_differ() -> None:
    (difference,) = compare(0.5, NAN)
    assert difference.change is None


def test_a_whole_number_too_large_for_a_float_differs_from_a_fraction() -> None:
    (difference,) = compare(10**400, 0.5)
    assert (difference.got, difference.change) == (0.5, None)


def test_the_tolerance_is_absolute_or_relative() -> None:
    assert list(compare(0.0, 0.09, tolerance=0.1)) == []
    assert list(compare(1000.0, 1090.0, tolerance=0.1)) == []
    assert len(list(compare(0.5, 0.5000001, tolerance=0))) == 1


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (Difference("[0].a", "changed", 0.5, 0.25, -0.25), "[0].a was 0.5, now 0.25 (-0.25)"),
        (Difference("", "changed", "x", None), 'the answer was "x", now null'),
        (Difference("a", "missing", expected=True), "a is missing, expected true"),
        (Difference("a", "new", got=[1]), "a is new: [1]"),
    ],
)
def test_a_difference_reads_as_a_sentence(difference: Difference, text: str) -> None:
    assert str(difference) == text


def test_a_long_value_is_cut() -> None:
    assert shown("x" * 100, 10) == '"xxxxxxxx…'


@pytest.mark.parametrize(
    "value",
    [
        {"a": 0.9, "b": 0.1},
        {"probabilities": {"a": 0.9, "b": 0.1}, "top_n_grams": [["x"]]},
        {"scores": {"a": 0.9, "b": 0.1}},
        [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}],
        [{"class": "a", "probability": 0.9}, {"class": "b", "probability": 0.1}],
        {"predictions": [{"name": "a", "score": 0.9}, {"name": "b", "score": 0.1}]},
        {"labels": ["a", "b"], "scores": [0.9, 0.1]},
    ],
)
def test_where_probabilities_are_found(value: Any) -> None:
    assert probabilities(value) == {"a": 0.9, "b": 0.1}


def test_numbers_alone_are_labelled_by_their_places() -> None:
    assert probabilities([0.1, 0.9]) == {"0": 0.1, "1": 0.9}


@pytest.mark.parametrize(
    "value", [None, "a", 1, [], {}, ["a"], {"a": "b"}, {"a": True}, [{"label": "a"}], [[0.1]]]
)
def test_where_no_probabilities_are_found(value: Any) -> None:
    assert probabilities(value) is None


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ({"a": 0.1, "b": 0.9}, "b"),
        ([{"probabilities": {"a": 0.1, "b": 0.9}}], "b"),
        ({"predictions": [{"a": 0.1, "b": 0.9}]}, "b"),
        ([{"label": "a", "score": 0.2}, {"label": "b", "score": 0.8}], "b"),
        ([[0.1, 0.9]], "1"),
        ({"a": 0.1, "b": NAN}, "a"),
        ({"a": NAN}, None),
        ([{"a": 0.9}, {"b": 0.9}], None),
        ([], None),
        ("b", None),
    ],
)
def test_the_label_of_one_input(value: Any, label: str | None) -> None:
    assert top_label(value) == label


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ([{"probabilities": {"a": 0.1, "b": 0.9}}, {"probabilities": {"a": 0.8, "b": 0.2}}], ["b", "a"]),
        ([{"label": "a", "score": 0.9}, {"label": "b", "score": 0.6}], ["a", "b"]),
        ({"predictions": [[0.1, 0.9], [0.7, 0.3]]}, ["1", "0"]),
        ([[{"label": "a", "score": 0.2}, {"label": "b", "score": 0.8}]], ["b"]),
        ([{"a": 0.9}, {}], None),
        ({"a": 0.9}, None),
        ([], None),
    ],
)
def test_the_labels_of_several_inputs(value: Any, labels: list[str] | None) -> None:
    assert top_labels(value) == labels
