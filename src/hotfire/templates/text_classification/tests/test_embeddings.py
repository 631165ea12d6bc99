"""GloVe vectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from text_classification.embeddings import read_glove
from text_classification.errors import UserError


@pytest.fixture
def glove(tmp_path: Path) -> str:
    """A file of vectors of two numbers."""
    file = tmp_path / "glove.txt"
    file.write_text("oil 0.5 -1\nnew york 2 3\ngold 4 5\n", encoding="utf-8")
    return str(file)


def test_only_tokens_of_the_training_data_are_read(glove: str) -> None:
    vectors = read_glove(glove, {"gold": 7, "new york": 8, "tin": 9}, 2)
    assert {place: vector.tolist() for place, vector in vectors.items()} == {7: [4, 5], 8: [2, 3]}


@pytest.mark.parametrize("dim", [1, 3])
def test_another_size_of_vectors_is_refused(glove: str, dim: int) -> None:
    with pytest.raises(UserError, match=f"vectors of 2 numbers, not of {dim}: add --embedding-dim 2"):
        read_glove(glove, {"gold": 7}, dim)


def test_a_file_without_any_of_the_tokens_is_refused(glove: str) -> None:
    with pytest.raises(UserError, match="none of the 1 tokens"):
        read_glove(glove, {"tin": 9}, 2)
