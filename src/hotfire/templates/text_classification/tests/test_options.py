"""The command line's options."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from text_classification import options
from text_classification.errors import UserError
from text_classification.options import Options


def parsed(*words: str) -> Options:
    """The options of a command line like train.py's."""
    parser = argparse.ArgumentParser()
    options.add_options(parser)
    return options.from_options(parser.parse_args(words))


def test_without_words_it_is_the_defaults() -> None:
    assert parsed() == Options()


def test_filter_sizes_are_given_with_commas_or_blanks() -> None:
    assert parsed("--filter-sizes", "2", "3").filter_sizes == (2, 3)
    assert parsed("--filter-sizes", "2,3").filter_sizes == (2, 3)


def test_a_switch_has_two_sides() -> None:
    assert parsed("--char-level", "--no-lower") == Options(char_level=True, lower=False)


def test_data_url_is_another_name_of_data() -> None:
    assert parsed("--data-url", "http://a/b.csv").data == "http://a/b.csv"


def test_options_come_back_from_json() -> None:
    chosen = Options(filter_sizes=(3, 5), use_glove="glove.txt")
    assert Options.from_json(json.loads(json.dumps(chosen.as_json()))) == chosen


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_filters": 0}, "--num-filters must be 1 or more, and is 0"),
        ({"dropout_p": 1.0}, "--dropout-p must be 0 or more and below 1, and is 1.0"),
        ({"filter_sizes": (0, 2)}, "--filter-sizes must be 1 or more, and is 0,2"),
        ({"train_size": 0.9}, "add up to 1.2"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Options(**wrong)


def test_a_grid_is_every_combination() -> None:
    parser = argparse.ArgumentParser()
    options.add_grid(parser)
    words = ["--lower", "yes", "no", "--filter-sizes", "1,2", "3", "--seed", "5"]
    combinations = list(options.from_grid(parser.parse_args(words)))
    assert [varied for varied, _ in combinations] == [
        {"lower": True, "filter_sizes": (1, 2)},
        {"lower": True, "filter_sizes": (3,)},
        {"lower": False, "filter_sizes": (1, 2)},
        {"lower": False, "filter_sizes": (3,)},
    ]
    assert combinations[3][1] == Options(lower=False, filter_sizes=(3,), seed=5)
