"""Rows of parity for people: a column a side, a line an example, and below it what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from hotfire.cli.deployment import FAILED, PASSED
from hotfire.cli.output import Output, duration
from hotfire.comparison import shown
from hotfire.errors import Unreachable
from hotfire.parity import Finding, Refused, Reply, Row

_WIDTH = 80
_WIDEST_COLUMN = 20
_NARROWEST_COLUMN = 11
_WIDEST_LABEL = 24
_MOST_FINDINGS = 10
"""How many differences of one example are shown to people; programs are told them all."""
_BEFORE = 12
"""How much of what two long texts have in common is shown before the place where they part."""


class Table:
    """A column a side, a line an example, and below it what differs; 80 columns wide."""

    def __init__(
        self, output: Output, sides: Sequence[str], examples: Sequence[str], called: str = "examples"
    ) -> None:
        self._output, self._sides, self._examples, self._called = output, sides, examples, called
        self._labels = {side: _cut(side.partition("://")[2] or side, _WIDEST_LABEL) for side in sides}
        room = (_WIDTH - 20) // len(sides) - 2
        longest = max(map(len, self._labels.values()))
        self._column = max(_NARROWEST_COLUMN, min(longest, room, _WIDEST_COLUMN))
        left = _WIDTH - 4 - len(sides) * (self._column + 2)
        self._name = min(max(map(len, examples)), max(left, 12))
        self._shown = 0

    def begin(self) -> None:
        """Say which example is under way."""
        if self._output.is_watched and self._shown < len(self._examples):
            self._output.live(f"  {_cut(self._examples[self._shown], _WIDTH - 6)} …")

    def show(self, row: Row) -> None:
        """An example's line, and what differs."""
        if not self._shown:
            self._output.say(self._line(" ", "", [self._labels[side] for side in self._sides]))
        mark = PASSED if row.is_same else FAILED
        style: dict[str, Any] = {"fg": "green"} if row.is_same else {"fg": "red", "bold": True}
        cells = [_cell(row.replies.get(side)) for side in self._sides]
        self._output.say(self._line(self._output.paint(mark, **style), row.example, cells))
        for line in self._details(row):
            self._output.say(f"      {line}")
        self._shown += 1
        self.begin()

    def close(self, rows: Sequence[Row], down: Mapping[str, Unreachable]) -> None:
        """What it comes to, and which sides cannot be reached."""
        if rows:
            same = sum(row.is_same for row in rows)
            left = len(self._examples) - len(rows)
            rest = f"; {left} more could not be compared" if left else ""
            self._output.say(f"{same} of {len(rows)} {self._called} are answered alike{rest}.")
        for name, error in down.items():
            painted = self._output.paint("Error:", fg="red", bold=True)
            self._output.note(f"{painted} {name} cannot be reached: {error.message}")
            if error.advice:
                self._output.note(f"  → {error.advice}")

    def _line(self, mark: str, name: str, cells: Sequence[str]) -> str:
        columns = "".join(f"  {_cut(cell, self._column):>{self._column}}" for cell in cells)
        return f"  {mark} {_cut(name, self._name):<{self._name}}{columns}".rstrip()

    def _details(self, row: Row) -> Iterator[str]:
        for finding in row.findings[:_MOST_FINDINGS]:
            yield from self._told(finding)
        more = len(row.findings) - _MOST_FINDINGS
        if more > 0:
            yield f"and {more} more, which --json tells"
        for side, reply in row.replies.items():
            if isinstance(reply, Refused):
                told = f"{self._labels[side]} does not take this request: {reply.message}"
                yield from wrap(told, _WIDTH - 6, subsequent_indent="  ")
                yield from wrap(reply.advice, _WIDTH - 6, initial_indent="  → ", subsequent_indent="    ")
            elif not reply.is_steady:
                yield f"{self._labels[side]} does not answer the same each time"

    def _told(self, finding: Finding) -> Iterator[str]:
        """A difference on one line, or where that is too long, each side on its own."""
        difference = finding.difference
        place = finding.what if finding.what != "body" else difference.path or "the answer"
        first, other = self._labels[self._sides[0]], self._labels[finding.side]
        by = "" if difference.change is None else f" ({difference.change:+.4g})"
        width = max(len(first), len(other))
        room = _WIDTH - 6 - width - 4
        expected, got = _pair(difference.expected, difference.got, room - len(by))
        expected = "nothing" if difference.kind == "new" else expected
        got = "nothing" if difference.kind == "missing" else got
        line = f"{place}: {first} {expected}, {other} {got}{by}"
        if len(line) <= _WIDTH - 6:
            yield line
        else:
            place = _cut(place, _WIDTH - 6)
            yield from (place, f"  {first:<{width}}  {expected}", f"  {other:<{width}}  {got}{by}")


def _cell(reply: Reply | Refused | None) -> str:
    if reply is None:
        return "-"
    if isinstance(reply, Reply):
        return f"{reply.answer.status or 'failed'} {duration(reply.seconds):>7}"
    return "refused"


def _pair(one: Any, other: Any, width: int) -> tuple[str, str]:
    """Two values as they are shown, long ones from where they part."""
    texts = [shown(value, max(width, _NARROWEST_COLUMN)) for value in (one, other)]
    if texts[0] != texts[1]:
        return texts[0], texts[1]
    whole = [json.dumps(value, ensure_ascii=False) for value in (one, other)]
    pairs = enumerate(zip(*whole, strict=False))
    part = next((place for place, (a, b) in pairs if a != b), min(map(len, whole)))
    begin = max(part - _BEFORE, 0)
    cut = [_cut(f"…{text[begin:]}" if begin else text, width) for text in whole]
    return cut[0], cut[1]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
