"""Text to numbers and back: preprocessing, tokens, labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

PAD, UNKNOWN = 0, 1
_SPECIAL = ("<PAD>", "<UNK>")


@dataclass(frozen=True)
class Preprocessor:
    """What is done to a text before it is cut into tokens."""

    lower: bool
    filters: str

    @cached_property
    def _blanks(self) -> dict[int, str]:
        return str.maketrans(dict.fromkeys(self.filters, " "))

    def __call__(self, text: str) -> str:
        """The text, in lower case if `lower`, with one space for each run of blanks and `filters`."""
        if self.lower:
            text = text.lower()
        return " ".join(text.translate(self._blanks).split())


class Tokenizer:
    """Words, or characters, and their numbers."""

    def __init__(self, tokens: Sequence[str], *, char_level: bool) -> None:
        self.tokens = tuple(tokens)
        self.char_level = char_level
        # Without the special ones: a text that spells "<PAD>" is not padding.
        self.numbers = {token: number for number, token in enumerate(tokens) if number >= len(_SPECIAL)}

    @classmethod
    def fit(cls, texts: Iterable[str], *, char_level: bool) -> Tokenizer:
        """The tokens of `texts`, the most frequent first."""
        tokenizer = cls(_SPECIAL, char_level=char_level)
        counts = Counter(token for text in texts for token in tokenizer.split(text))
        known = sorted(counts, key=lambda token: (-counts[token], token))
        return cls([*_SPECIAL, *known], char_level=char_level)

    def __len__(self) -> int:
        return len(self.tokens)

    def split(self, text: str) -> list[str]:
        """The tokens of a preprocessed text, known or not."""
        return list(text) if self.char_level else text.split()

    def join(self, tokens: Sequence[str]) -> str:
        """The inverse of `split`."""
        return ("" if self.char_level else " ").join(tokens)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token."""
        numbers = self.numbers
        return [numbers.get(token, UNKNOWN) for token in tokens]

    def save(self, file: Path) -> None:
        """Write JSON that `load` reads. A token's number is its place in the list."""
        _write_json(file, {"char_level": self.char_level, "tokens": self.tokens})

    @classmethod
    def load(cls, file: Path) -> Tokenizer:
        """The tokenizer that `save` wrote."""
        saved = json.loads(file.read_text(encoding="utf-8"))
        return cls(saved["tokens"], char_level=saved["char_level"])


class LabelEncoder:
    """The categories and their numbers."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._numbers = {label: number for number, label in enumerate(labels)}

    @classmethod
    def fit(cls, labels: Iterable[str]) -> LabelEncoder:
        """The different labels, in alphabetical order."""
        return cls(sorted(set(labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def encode(self, labels: Iterable[str]) -> list[int]:
        """The number of each label."""
        return [self._numbers[label] for label in labels]

    def save(self, file: Path) -> None:
        """Write JSON that `load` reads. A label's number is its place in the list."""
        _write_json(file, {"labels": self.labels})

    @classmethod
    def load(cls, file: Path) -> LabelEncoder:
        """The encoder that `save` wrote."""
        return cls(json.loads(file.read_text(encoding="utf-8"))["labels"])


def padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Token numbers as one tensor (sequences, longest), short ones padded at their end."""
    longest = max(1, max(map(len, sequences)))
    return torch.tensor([[*sequence, *[PAD] * (longest - len(sequence))] for sequence in sequences])


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
