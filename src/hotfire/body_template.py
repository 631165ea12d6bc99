"""A request's body with holes where a model's inputs go: filled by values, and values read back out of one.

A hole is written `{name}` in a string. A string that is a hole and nothing else becomes the value as it is,
a number for a number; in a longer one it becomes text. `{{` and `}}` stand for the braces themselves.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hotfire.bodies import is_json, media_type, of_lines

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_LINES = ("application/jsonlines", "application/x-ndjson")

Row = Mapping[str, Any]
"""What goes into each hole, as JSON; a hole that is not named here is left empty."""


class Format(Enum):
    """How a body is written."""

    JSON = "json"
    LINES = "lines"
    CSV = "csv"
    TEXT = "text"
    BINARY = "binary"


class _Absent(Enum):
    ABSENT = "absent"


_ABSENT = _Absent.ABSENT


def format_of(content_type: str) -> Format:
    """How a body of this type is written."""
    kind = media_type(content_type).partition(";")[0]
    if is_json(content_type):
        return Format.JSON
    if kind in _LINES:
        return Format.LINES
    if kind == "text/csv":
        return Format.CSV
    return Format.TEXT if kind.startswith("text/") or kind.endswith(("+xml", "/xml")) else Format.BINARY


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value with holes, written in one of the formats; `BINARY` has no template.

    Where `batch` is set and one list holds the single item in which all the holes are, that item is
    repeated for each of several inputs. Of CSV the value is a list of rows, of which those without holes are
    the same in every body; of JSON lines it is a list of the lines.
    """

    value: Any
    format: Format = Format.JSON
    batch: bool = True

    @property
    def holes(self) -> frozenset[str]:
        """The names of its holes."""
        return frozenset(_holes(self.value))

    @property
    def takes_several(self) -> bool:
        """Whether one body can hold several inputs."""
        return self.batch and _place(self.value, self.format) is not None

    def body(self, rows: Sequence[Row]) -> bytes:
        """The body of these inputs, one alone unless it takes several."""
        place = _place(self.value, self.format) if self.batch else None
        if place is None:
            (row,) = rows
            return _encoded(_filled(self.value, row), self.format)
        return _encoded(_with_items(self.value, place, rows), self.format)

    def rows(self, body: bytes) -> list[dict[str, Any]] | None:
        """What is in each hole of a body, for each of its inputs; None if it is not of this shape."""
        try:
            value = decoded(body, self.format)
        except (ValueError, RecursionError):
            return None
        place = _place(self.value, self.format) if self.batch else None
        if place is None:
            row = _matched(self.value, value)
            return None if row is None else [row]
        return _items(self.value, value, place)


def pieces(text: str) -> list[tuple[bool, str]]:
    """A string's parts: the names of its holes, marked True, and the text between them."""
    found: list[tuple[bool, str]] = []
    end = 0
    for match in _PIECE.finditer(text):
        _add_text(found, text[end : match.start()])
        if match[1] is None:
            _add_text(found, match[0][0])
        else:
            found.append((True, match[1]))
        end = match.end()
    _add_text(found, text[end:])
    return found


def hole(name: str) -> str:
    """How a hole is written."""
    return f"{{{name}}}"


def literal(text: str) -> str:
    """Text in which nothing is a hole."""
    return text.replace("{", "{{").replace("}", "}}")


def renamed(template: Any, names: Mapping[str, str]) -> Any:
    """A template whose holes have other names; what is not named keeps its own."""
    if isinstance(template, dict):
        return {key: renamed(item, names) for key, item in template.items()}
    if isinstance(template, list):
        return [renamed(item, names) for item in template]
    if not isinstance(template, str):
        return template
    return "".join(
        _renamed_hole(part, names) if is_hole else literal(part) for is_hole, part in pieces(template)
    )


def _renamed_hole(name: str, names: Mapping[str, str]) -> str:
    base, dot, part = name.rpartition(".")
    if name not in names and base in names:
        return hole(f"{names[base]}{dot}{part}")
    return hole(names.get(name, name))


def _add_text(found: list[tuple[bool, str]], text: str) -> None:
    if text and found and not found[-1][0]:
        found[-1] = (False, found[-1][1] + text)
    elif text:
        found.append((False, text))


def _sole(text: str) -> str | None:
    """The name of the hole that a string consists of."""
    parts = pieces(text)
    return parts[0][1] if len(parts) == 1 and parts[0][0] else None


def _holes(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (name for is_hole, name in pieces(value) if is_hole)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _holes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _holes(item)


_Place = tuple[str | int, ...]


def _place(value: Any, format_: Format, path: _Place = ()) -> _Place | None:
    """Where the item is that is repeated: the keys that lead to it, the last one its place in its list."""
    if isinstance(value, list):
        at = [index for index, item in enumerate(value) if any(True for _ in _holes(item))]
        if len(at) == 1 and (len(value) == 1 or (format_ is not Format.JSON and at[0] == len(value) - 1)):
            return (*path, at[0])
        return None
    if isinstance(value, dict):
        inner = [key for key, item in value.items() if any(True for _ in _holes(item))]
        return _place(value[inner[0]], format_, (*path, inner[0])) if len(inner) == 1 else None
    return None


def _filled(template: Any, row: Row) -> Any:
    """A copy with its holes filled. A member that is an empty hole is left out, an item is null."""
    if isinstance(template, str):
        name = _sole(template)
        if name is not None:
            return row.get(name, _ABSENT)
        return "".join(_as_text(row.get(part)) if is_hole else part for is_hole, part in pieces(template))
    if isinstance(template, dict):
        filled = {key: _filled(item, row) for key, item in template.items()}
        return {key: item for key, item in filled.items() if item is not _ABSENT}
    if isinstance(template, list):
        items = [_filled(item, row) for item in template]
        return [None if item is _ABSENT else item for item in items]
    return template


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_items(template: Any, place: _Place, rows: Sequence[Row]) -> Any:
    first, *rest = place
    if rest:
        constant = {key: _filled(item, {}) for key, item in template.items() if key != first}
        inner = _with_items(template[first], tuple(rest), rows)
        return {key: inner if key == first else constant[key] for key in template}
    before = [_filled(item, {}) for item in template[:first]]
    items = [_filled(template[first], row) for row in rows]
    return [*before, *(None if item is _ABSENT else item for item in items)]


def _items(template: Any, value: Any, place: _Place) -> list[dict[str, Any]] | None:
    """The rows of a value whose repeated item is at that place of its template."""
    first, *rest = place
    if rest:
        if not isinstance(value, dict) or value.keys() != template.keys():
            return None
        if any(_matched(template[key], value[key]) is None for key in template if key != first):
            return None
        return _items(template[first], value[first], tuple(rest))
    assert isinstance(first, int)
    if not isinstance(value, list) or len(value) <= first:
        return None
    if any(_matched(one, other) is None for one, other in zip(template[:first], value, strict=False)):
        return None
    rows = [_matched(template[first], item) for item in value[first:]]
    return [row for row in rows if row is not None] if None not in rows else None


def _matched(template: Any, value: Any) -> dict[str, Any] | None:
    """What fills the template's holes to make this value; None if nothing does."""
    if isinstance(template, str):
        return _matched_text(template, value)
    if isinstance(template, dict):
        return _matched_object(template, value)
    if isinstance(template, list):
        if not isinstance(value, list) or len(value) != len(template):
            return None
        return _merged(_matched(one, other) for one, other in zip(template, value, strict=True))
    return {} if type(template) is type(value) and template == value else None


def _matched_object(template: Mapping[str, Any], value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict) or not value.keys() <= template.keys():
        return None
    missing = (item for key, item in template.items() if key not in value)
    if not all(isinstance(item, str) and _sole(item) is not None for item in missing):
        return None
    return _merged(_matched(template[key], item) for key, item in value.items())


def _matched_text(template: str, value: Any) -> dict[str, Any] | None:
    name = _sole(template)
    if name is not None:
        return {name: value}
    if not isinstance(value, str):
        return None
    parts = pieces(template)
    pattern = "".join("(.*?)" if is_hole else re.escape(part) for is_hole, part in parts)
    match = re.fullmatch(pattern, value, re.DOTALL)
    if match is None:
        return None
    names = [part for is_hole, part in parts if is_hole]
    return _merged({name: text} for name, text in zip(names, match.groups(), strict=True))


def _merged(rows: Iterator[dict[str, Any] | None]) -> dict[str, Any] | None:
    """All of them together; None if one is, or if two fill a hole by different values."""
    merged: dict[str, Any] = {}
    for row in rows:
        if row is None or any(name in merged and not _agree(merged[name], row[name]) for name in row):
            return None
        # Where a value stands alone and in a text too, it is what it is alone.
        merged |= {name: value for name, value in row.items() if isinstance(merged.get(name, ""), str)}
    return merged


def _agree(one: Any, other: Any) -> bool:
    """Whether two values are the same, or one is the other's text."""
    return bool(one == other) or _as_text(one) == _as_text(other)


def dumped(value: Any) -> str:
    """A JSON value as it is sent."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can name and UTF-8 cannot write
        return json.dumps(value)
    return text


def _encoded(value: Any, format_: Format) -> bytes:
    if format_ is Format.JSON:
        return dumped(None if value is _ABSENT else value).encode()
    if format_ is Format.LINES:
        return "".join(f"{dumped(item)}\n" for item in value).encode()
    if format_ is Format.CSV:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([map(_as_text, row) for row in value])
        return text.getvalue().encode("utf-8", "surrogatepass")
    return _as_text(None if value is _ABSENT else value).encode("utf-8", "surrogatepass")


def decoded(body: bytes, format_: Format) -> Any:
    """What a body says, of CSV in rows of texts; raises ValueError."""
    if format_ is Format.JSON:
        return json.loads(body)
    if format_ is Format.LINES:
        return of_lines(body)
    text = body.decode()
    if format_ is Format.CSV:
        try:
            return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error as error:
            raise ValueError(str(error)) from error
    return text
