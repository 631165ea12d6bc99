"""What a model takes, told from requests that it was sent: the fields that make bodies of their shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotfire.app_inputs import UPLOADS, Input, Kind
from hotfire.app_schema import App, Source
from hotfire.bodies import media_type
from hotfire.body_template import Format, decoded, format_of, hole, literal, renamed

_MOST_FIELDS = 40
"""Of a form; more are written as JSON."""
_MOST_COLUMNS = 16
"""Of a row without names; a longer one is rather an array than a record."""
_DEEPEST = 3
_LONG = 60
"""Characters; a longer text gets more than one line."""
_IMAGE_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""How PNG, JPEG, GIF and WebP begin in base64."""
_DATA = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/]+=*")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{60,}=*")


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that the model has answered, or is to answer."""

    body: bytes
    content_type: str
    accept: str = ""


def completed(declared: App, samples: Sequence[Sample], source: Source) -> App:
    """An app with what its declaration leaves open, as the samples, which come from `source`, have it."""
    inferred = infer(samples, source)
    if not declared.inputs:
        return replace(
            declared,
            inputs=inferred.inputs,
            template=inferred.template,
            batch=inferred.batch,
            content_type=inferred.content_type,
            accept=declared.accept or inferred.accept,
            source=inferred.source,
        )
    app = replace(declared, accept=declared.accept or inferred.accept)
    if declared.template is not None or not samples:
        return app
    content_type = declared.content_type or inferred.content_type
    for candidate in _candidates(replace(app, content_type=content_type), inferred):
        if any(candidate.values_of(one.body, one.content_type) for one in samples):
            return candidate
    return app


def infer(samples: Sequence[Sample], source: Source = Source.EXAMPLES) -> App:
    """The app that the samples are inputs of: what has their shape, or the body as JSON or text if none has.

    Those of another content type than the first are left aside.
    """
    alike = [one for one in samples if _group(one.content_type) == _group(samples[0].content_type)]
    accepts = {one.accept for one in alike}
    accept = accepts.pop() if len(accepts) == 1 else ""
    for some in (alike, alike[:1]):
        app = _of_shape(some)
        if app is not None:
            return replace(app, source=source, accept=accept)
    return raw(alike[0].content_type if alike else "", source if alike else Source.NOTHING, accept)


def raw(content_type: str, source: Source, accept: str = "") -> App:
    """The app whose one input is the body."""
    written = format_of(content_type or "application/json")
    kind = {Format.JSON: Kind.JSON, Format.BINARY: Kind.FILE}.get(written, Kind.LONG_TEXT)
    return App(
        inputs=(Input("body", kind, label="Body"),),
        template=hole("body"),
        content_type=content_type,
        accept=accept,
        source=source,
    )


def _group(content_type: str) -> str:
    """What bodies must have in common to be of one shape."""
    kind = media_type(content_type).partition(";")[0]
    return "image/" if kind.startswith("image/") else kind


def _candidates(app: App, inferred: App) -> Iterable[App]:
    """The declared inputs in the inferred body: by their names, else in their order."""
    if inferred.template is None or len(inferred.inputs) != len(app.inputs):
        return
    given, found = [one.name for one in app.inputs], [one.name for one in inferred.inputs]
    names = (
        {name: name for name in given} if set(given) == set(found) else dict(zip(found, given, strict=True))
    )
    yield replace(app, template=renamed(inferred.template, names), batch=app.batch and inferred.batch)


def _of_shape(samples: Sequence[Sample]) -> App | None:
    """The app that all the samples fit; None if there is none but the raw one."""
    if not samples:
        return None
    content_type = samples[0].content_type
    written = format_of(content_type)
    if written is Format.BINARY:
        return _of_uploads(content_type)
    fields = _Fields()
    try:
        values = [decoded(one.body, written) for one in samples]
        template = fields.body(values, written)
    except (ValueError, RecursionError):
        return None
    app = App(inputs=_alone(fields.inputs), template=template, content_type=content_type)
    if template is None or len(fields.inputs) > _MOST_FIELDS:
        return None
    fits = all(app.values_of(one.body, one.content_type) is not None for one in samples)
    return app if fits else None


def _alone(inputs: Sequence[Input]) -> tuple[Input, ...]:
    """A text that is all of a form gets room, however short those were that were seen."""
    if len(inputs) == 1 and inputs[0].kind is Kind.TEXT:
        return (replace(inputs[0], kind=Kind.LONG_TEXT),)
    return tuple(inputs)


def _of_uploads(content_type: str) -> App:
    if _group(content_type) == "image/":
        return App(inputs=(Input("image", Kind.IMAGE),), template=hole("image"))
    return App(inputs=(Input("file", Kind.FILE),), template=hole("file"), content_type=content_type)


class _Fields:
    """Collects the inputs of a template as it is made; a shape that it has none for is None."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []

    def body(self, values: Sequence[Any], written: Format) -> Any:
        """The template of bodies that say these values."""
        if written is Format.TEXT:
            return self._field("text", values)
        if written is Format.CSV:
            return self._table(values)
        if written is Format.LINES:
            return self._items("", [item for value in values for item in value])
        return self._value(values)

    def _value(self, values: Sequence[Any]) -> Any:
        if _all(values, list):
            return self._list("", values)
        if _all(values, dict):
            return self._wrapped(values) or self._object("", values, 1)
        return self._field("text" if _all(values, str) else "value", values) if _is_plain(values) else None

    def _wrapped(self, values: Sequence[Mapping[str, Any]]) -> Any:
        """A list of inputs as the only member: `{"instances": […]}`."""
        keys = {key for value in values for key in value}
        if len(keys) != 1 or not all(values):
            return None
        (key,) = keys
        lists = [value[key] for value in values]
        if (
            not _all(lists, list)
            or not all(lists)
            or _all([item for one in lists for item in one], int | float)
        ):
            return None
        template = self._list(key, lists)
        return None if template is None else {key: template}

    def _list(self, name: str, values: Sequence[list[Any]]) -> Any:
        """Of lists: one item for each input, or one for each field of the only input."""
        items = [item for value in values for item in value]
        if not items:
            return None
        if _is_plain(items) and _all(items, int | float | bool) and len(values[0]) > 1:
            lengths = {len(value) for value in values}
            return self._row(values) if len(lengths) == 1 else None
        return self._items(name, items)

    def _items(self, name: str, items: Sequence[Any]) -> Any:
        """A list of one item of this shape."""
        one: Any = None
        if _all(items, dict):
            one = self._object("", items, 1)
        elif _all(items, list):
            one = self._row(items) if len({len(item) for item in items}) == 1 else None
        elif items and _is_plain(items):
            one = self._field("text" if _all(items, str) else name or "value", items)
        return None if one is None else [one]

    def _table(self, values: Sequence[list[list[str]]]) -> Any:
        """Rows of CSV; the first is of names, if it is the same everywhere and holds no number."""
        first = values[0][0] if values and values[0] else []
        headed = all(len(rows) > 1 and rows[0] == first for rows in values)
        named = headed and not any(_is_number(cell) for cell in first) and len(set(first)) == len(first)
        named = (
            named
            and all(first)
            and any(_is_number(cell) for rows in values for row in rows[1:] for cell in row)
        )
        rows = [row for one in values for row in one[named:]]
        if not rows or {len(row) for row in rows} != {len(rows[0])}:
            return None
        row = self._row(
            [_numbers(column) for column in zip(*rows, strict=True)], first if named else (), True
        )
        if row is None:
            return None
        return [[literal(cell) for cell in first], row] if named else [row]

    def _row(self, rows: Sequence[Sequence[Any]], names: Sequence[str] = (), columns: bool = False) -> Any:
        """A list of one cell for each column of these rows."""
        found = rows if columns else list(zip(*rows, strict=True))
        if not 1 <= len(found) <= (_MOST_FIELDS if names else _MOST_COLUMNS):
            return None
        if not all(_is_plain(column) for column in found):
            return None
        given = names or [_column_name(column, at, len(found)) for at, column in enumerate(found, 1)]
        return [self._field(name, column) for name, column in zip(given, found, strict=True)]

    def _object(self, prefix: str, values: Sequence[Mapping[str, Any]], depth: int) -> Any:
        keys = dict.fromkeys(key for value in values for key in value)
        if not keys:
            return None
        template: dict[str, Any] = {}
        for key in keys:
            found = [value[key] for value in values if key in value]
            is_everywhere = len(found) == len(values)
            nested = None
            if _all(found, dict) and is_everywhere and depth < _DEEPEST:
                nested = self._object(f"{prefix}{key}.", found, depth + 1)
            template[key] = nested or self._field(prefix + key, found, is_everywhere)
        return template

    def _field(self, name: str, values: Sequence[Any], is_everywhere: bool = True) -> str:
        """The hole of a new input that has had these values."""
        inner = re.sub(r"[{}]", "_", name) or "value"
        taken = {one.name for one in self.inputs}
        unique = next(one for one in (inner, *(f"{inner}_{n}" for n in range(2, 9999))) if one not in taken)
        label = name if name != unique else ""
        known = [value for value in values if value is not None]
        kind, text = _kind(known), hole(unique)
        if len(known) < len(values):
            # Null and nothing are two things, of which a field can only be empty for one.
            kind = kind if is_everywhere and kind not in UPLOADS else Kind.JSON
        if kind is Kind.IMAGE and _all_match(_DATA, known):
            text = f"data:{hole(f'{unique}.type')};base64,{hole(unique)}"
        nullable = kind is not Kind.JSON and len(known) < len(values)
        self.inputs.append(
            Input(unique, kind, label=label, required=is_everywhere and not nullable, nullable=nullable)
        )
        return text


def _kind(values: Sequence[Any]) -> Kind:
    """What takes all these values."""
    if not values:
        return Kind.JSON
    if _all(values, bool):
        return Kind.BOOLEAN
    if _all(values, int | float) and not any(isinstance(value, bool) for value in values):
        return Kind.NUMBER
    if not _all(values, str):
        return Kind.JSON
    if _all_match(_DATA, values) or all(
        one.startswith(_IMAGE_STARTS) and _BASE64.fullmatch(one) for one in values
    ):
        return Kind.IMAGE
    return Kind.LONG_TEXT if any(len(one) > _LONG or "\n" in one for one in values) else Kind.TEXT


def _all(values: Iterable[Any], kind: Any) -> bool:
    values = list(values)
    return bool(values) and all(isinstance(value, kind) for value in values)


def _all_match(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    return bool(values) and all(isinstance(one, str) and pattern.fullmatch(one) for one in values)


def _is_plain(values: Iterable[Any]) -> bool:
    """Whether they are values that a field holds, all of one kind."""
    found = [value for value in values if value is not None]
    return bool(found) and _kind(found) is not Kind.JSON


def _column_name(values: Sequence[Any], at: int, count: int) -> str:
    kind = _kind([value for value in values if value is not None])
    name = {Kind.NUMBER: "x", Kind.BOOLEAN: "x", Kind.IMAGE: "image"}.get(kind, "text")
    return f"{name}{at}" if count > 1 else {"x": "value"}.get(name, name)


def _numbers(cells: Sequence[str]) -> Sequence[Any]:
    """The cells of a column as numbers, if they all are."""
    return [json.loads(cell) for cell in cells] if all(map(_is_number, cells)) else cells


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", cell) is not None
