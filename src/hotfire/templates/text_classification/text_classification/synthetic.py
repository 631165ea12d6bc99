"""Headlines for the first minutes, before there is data: generated, varied, and not free of doubt."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from pathlib import Path

from text_classification.data import Headline

_GRAMMAR = Path(__file__).with_name("headlines.txt")
_SEED = 20
_DOUBTFUL = 0.15
_MISSPELLED = 0.02
_SOURCES = ("(AP)", "(Reuters)", "(AFP)", "- report", "- source")
_OPENINGS = ("Update:", "Report:", "Exclusive:", "Breaking:")


class Grammar:
    """Sentence frames by category, and the entries of their slots."""

    def __init__(self, text: str) -> None:
        self.frames: dict[str, list[str]] = defaultdict(list)
        self.doubtful: dict[str, list[str]] = defaultdict(list)
        self.entries: dict[str, list[str]] = {}
        for block in text.split("\n\n")[1:]:
            heading, *lines = block.strip().splitlines()
            mark, _, name = heading.partition(" ")
            if mark == "#":
                self.entries[name] = [entry.strip() for entry in ",".join(lines).split(",")]
                continue
            categories = name.split(", ")
            frames = self.frames if len(categories) == 1 else self.doubtful
            for category in categories:
                frames[category] += lines

    def filled(self, frame: str, rng: random.Random) -> str:
        """The frame with an entry for each slot, chosen by chance."""
        return re.sub(r"{(\w+)}", lambda slot: self.filled(rng.choice(self.entries[slot[1]]), rng), frame)


def headlines(count: int = 4000) -> list[Headline]:
    """The same ones at each call: no title twice, as many of each category.

    One in seven is of a kind that two categories share, and a few words are misspelled, so that no classifier
    gets all of them right.
    """
    grammar, rng = Grammar(_GRAMMAR.read_text(encoding="utf-8")), random.Random(_SEED)
    categories = sorted(grammar.frames)
    titles: dict[str, str] = {}
    while len(titles) < count:
        category = categories[len(titles) % len(categories)]
        frames = grammar.doubtful if rng.random() < _DOUBTFUL else grammar.frames
        titles.setdefault(_written(grammar.filled(rng.choice(frames[category]), rng), rng), category)
    return [Headline(title, category) for title, category in titles.items()]


def _written(text: str, rng: random.Random) -> str:
    words = [_misspelled(word, rng) if rng.random() < _MISSPELLED else word for word in text.split()]
    if rng.random() < 0.05:
        words.insert(0, rng.choice(_OPENINGS))
    if rng.random() < 0.1:
        words.append(rng.choice(_SOURCES))
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _misspelled(word: str, rng: random.Random) -> str:
    """Two neighbouring letters the wrong way round."""
    if len(word) < 4:
        return word
    at = rng.randrange(1, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
