"""Vectors of words that were learned elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from text_classification.errors import UserError


def read_glove(file: str, places: Mapping[str, int], dim: int) -> dict[int, Tensor]:
    """The vectors of the tokens in `places`, as far as a GloVe text file holds them, by place.

    A line of such a file is a word and its numbers, with a space between.
    """
    vectors = {}
    for number, line in enumerate(_lines(file), 1):
        # From the right: the larger files hold words with spaces in them.
        word, *values = line.rstrip().rsplit(" ", dim)
        if number == 1 and (len(values) != dim or " " in word):
            there = line.count(" ")
            raise UserError(
                f"{file} holds vectors of {there} numbers, not of {dim}: add --embedding-dim {there}"
            )
        if word in places:
            try:
                vectors[places[word]] = torch.tensor([float(value) for value in values])
            except ValueError as error:
                raise UserError(f"{file}, line {number}: {error}") from error
    if not vectors:
        raise UserError(f"{file} holds none of the {len(places)} tokens of the training data")
    return vectors


def _lines(file: str) -> Iterator[str]:
    try:
        # Only a line feed ends a line here: some words hold other characters that Python takes for one.
        with Path(file).open(encoding="utf-8", newline="\n") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text") from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
