"""Headlines: read from a CSV, split, made into batches."""

from __future__ import annotations

import csv
import io
import logging
import random
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from text_classification.encoding import padded
from text_classification.errors import UserError

log = logging.getLogger(__name__)

_COLUMNS = ("title", "category")
_DOWNLOAD_SECONDS = 60


@dataclass(frozen=True)
class Headline:
    """A text and what it is about."""

    title: str
    category: str


class Split(NamedTuple):
    """The headlines of each purpose."""

    train: list[Headline]
    val: list[Headline]
    test: list[Headline]


class Batch(NamedTuple):
    """Token numbers (texts, tokens) and class numbers (texts)."""

    tokens: Tensor
    classes: Tensor


def read(source: str) -> list[Headline]:
    """The rows of a CSV file or URL. A row without a title or category is left out, and said."""
    headlines, empty = [], 0
    for title, category in _rows(source):
        if title and category:
            headlines.append(Headline(title, category))
        else:
            empty += 1
    if empty:
        log.warning("%s: left out %d rows without a title or a category", source, empty)
    if not headlines:
        raise UserError(f"{source} has no row with a title and a category")
    return headlines


def _rows(source: str) -> Iterator[tuple[str, str]]:
    rows = csv.DictReader(io.StringIO(_text(source), newline=""), strict=True)
    try:
        missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            there = " ".join(", ".join(rows.fieldnames or ["none at all"]).split())
            lacks = " and no column ".join(missing)
            raise UserError(f"{source} has no column {lacks}; its columns: {there:.80}")
        for row in rows:
            if any(row.get(None, ())):
                place = f"{source}, line {rows.line_num}"
                raise UserError(f"{place} has more values than columns: put a text with commas in quotes")
            yield (row["title"] or "").strip(), (row["category"] or "").strip()
    except csv.Error as error:
        raise UserError(f"{source}, row at line {rows.line_num + 1}: {error}") from error


def _text(source: str) -> str:
    try:
        if source.startswith(("http://", "https://", "file://")):
            with urllib.request.urlopen(source, timeout=_DOWNLOAD_SECONDS) as answer:
                content: bytes = answer.read()
        else:
            content = Path(source).read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is not UTF-8 text (byte {error.start})") from error
    except (OSError, HTTPException) as error:
        raise UserError(f"cannot read {source}: {getattr(error, 'strerror', None) or error}") from error


def sampled(headlines: Sequence[Headline], size: float, rng: random.Random | None) -> list[Headline]:
    """A share (`size` up to 1) or a number of the headlines: by chance, or the first ones without `rng`."""
    if size > len(headlines):
        raise UserError(f"--data-size is {size:g}, and there are {len(headlines)} rows")
    wanted = max(1, round(len(headlines) * size)) if size <= 1 else int(size)
    return rng.sample(headlines, wanted) if rng else list(headlines[:wanted])


def split(
    headlines: Sequence[Headline], *, train: float, val: float, test: float, rng: random.Random | None
) -> Split:
    """Each part with the same share of each category, by chance, or in the rows' order without `rng`."""
    by_category = defaultdict(list)
    for row, headline in enumerate(headlines):
        by_category[headline.category].append(row)
    if len(by_category) < 2:
        raise UserError(f"all rows are of the category {min(by_category)}; a classifier needs two or more")
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for category, rows in by_category.items():
        if rng:
            rng.shuffle(rows)
        for part, cut in zip(parts, _cut(rows, (train, val, test)), strict=True):
            if not cut:
                raise UserError(f"the category {category} has too few rows to split: {len(rows)}")
            part += cut
    return Split(*([headlines[row] for row in sorted(part)] for part in parts))


def _cut(rows: Sequence[int], shares: tuple[float, float, float]) -> tuple[Sequence[int], ...]:
    used = round(len(rows) * sum(shares))
    val, test = (max(1, round(len(rows) * share)) for share in shares[1:])
    train = max(0, used - val - test)
    return rows[:train], rows[train : train + val], rows[train + val : used]


def batches(
    encoded: Sequence[tuple[list[int], int]], size: int, shuffle: torch.Generator | None = None
) -> DataLoader[Batch]:
    """Encoded texts with their classes as padded batches, in the order of `shuffle` if it is given."""
    return DataLoader(
        encoded,  # type: ignore[arg-type]  # a list has all that DataLoader uses of a Dataset
        batch_size=size,
        shuffle=shuffle is not None,
        generator=shuffle,
        collate_fn=_collate,
    )


def _collate(rows: Sequence[tuple[list[int], int]]) -> Batch:
    tokens, classes = zip(*rows, strict=True)
    return Batch(padded(tokens), torch.tensor(classes))
