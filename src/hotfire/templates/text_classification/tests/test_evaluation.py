"""Precision, recall, F1."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from text_classification.evaluation import Evaluation

#                                          a  a  a  b  b  c
EVALUATION = Evaluation.of("abc", true=[0, 0, 0, 1, 1, 2], predicted=[0, 0, 1, 1, 0, 1])


def test_the_matrix_counts_true_by_predicted() -> None:
    assert EVALUATION.matrix.tolist() == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]


def test_each_category_has_its_own_quality() -> None:
    quality = {label: astuple(one) for label, one in EVALUATION.by_category.items()}
    assert quality["a"] == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert quality["b"] == pytest.approx((1 / 3, 1 / 2, 2 / 5, 2))
    assert quality["c"] == (0, 0, 0, 1)


def test_overall_is_the_mean_over_categories() -> None:
    assert astuple(EVALUATION.overall) == pytest.approx((1 / 3, 7 / 18, 16 / 45, 6))


def test_accuracy_is_the_share_of_right_ones() -> None:
    assert EVALUATION.accuracy == 0.5


def test_the_matrix_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    EVALUATION.draw(tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")
