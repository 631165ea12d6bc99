"""The folder of experiments."""

from __future__ import annotations

from pathlib import Path

import pytest

from text_classification import experiments
from text_classification.errors import UserError


def finished(root: Path, name: str) -> str:
    """The id of a new experiment."""
    with experiments.new(root, name) as draft:
        (draft.folder / "config.json").write_text("{}", encoding="utf-8")
    return draft.id


def test_the_newest_is_latest(tmp_path: Path) -> None:
    finished(tmp_path, "a")
    newest = finished(tmp_path, "b")
    assert experiments.find(tmp_path).id == newest
    assert (tmp_path / "latest").readlink() == Path(newest)


def test_two_of_one_name_in_one_second_are_two(tmp_path: Path) -> None:
    ids = {finished(tmp_path, "a") for _ in range(3)}
    assert {one.id for one in experiments.every(tmp_path)} == ids
    assert len(ids) == 3


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), experiments.new(tmp_path, "a") as draft:
        (draft.folder / "config.json").write_text(str(1 / 0), encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_id_is_answered_with_those_there_are(tmp_path: Path) -> None:
    first = finished(tmp_path, "a")
    with pytest.raises(UserError, match=f"no experiment 'b'. There are: {first}"):
        experiments.find(tmp_path, "b")


def test_before_the_first_run_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run train\.py first"):
        experiments.find(tmp_path)


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the name '\.\./a'"):
        finished(tmp_path, "../a")
