"""The form of a model's page: what stands in it, and the inputs that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hotfire.app_inputs import UPLOADS, Input, Kind, Upload
from hotfire.app_schema import App, Body, Source
from hotfire.console.form_data import FormData
from hotfire.errors import InputError
from hotfire.region.apps import PageExample

MOST_BYTES = 6_291_456
"""Of a request's body: `BodyBlob` in botocore's model of SageMaker Runtime."""

_JSON = "application/json"
_MOST_ROWS = 100
_TEXTS = (Kind.TEXT, Kind.LONG_TEXT)

Find = Callable[[str], Upload | None]
"""Gives the file that a token names, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one field: text, or a file, with the token by which it is sent again."""

    text: str = ""
    upload: Upload | None = None
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in a form: the fields of each input to the model or, if it is `raw`, the body itself."""

    rows: Sequence[Mapping[str, Cell]] = ()
    is_raw: bool = False
    body: Cell = field(default_factory=Cell)
    content_type: str = ""
    accept: str = ""
    attributes: str = ""
    variant: str = ""
    example: str = ""

    @property
    def with_another(self) -> Draft:
        """With one more input, like the first without what was filled in."""
        return replace(self, rows=[*self.rows, {}][:_MOST_ROWS])

    def without(self, at: int) -> Draft:
        """Without an input, unless it is the only one."""
        rows = [row for index, row in enumerate(self.rows) if index != at]
        return replace(self, rows=rows or self.rows)

    def values(self, app: App) -> list[dict[str, Any]]:
        """The inputs that its fields mean. Raises InputError."""
        several = len(self.rows) > 1
        return [_values(app, row, f"[{index}]." if several else "") for index, row in enumerate(self.rows)]

    def sent(self, app: App) -> Body:
        """The body that it makes. Raises InputError."""
        if self.is_raw:
            made = Body(_bytes(self.body), self.content_type or app.content_type or _JSON)
        else:
            made = app.body_of(self.values(app))
        if len(made.body) > MOST_BYTES:
            message = f"this makes a request of {len(made.body):,} bytes; SageMaker takes {MOST_BYTES:,}"
            raise InputError(message, "Send less.")
        return made


def blank(app: App) -> Draft:
    """A form with the inputs' defaults."""
    row = {one.name: Cell(one.text(one.default)) for one in app.inputs if one.default is not None}
    return Draft([row], accept=app.accept)


def of_example(app: App, example: PageExample) -> Draft:
    """A form that makes the example's request: by its fields, or as it is where they cannot."""
    common = Draft(
        content_type=example.content_type,
        accept=example.accept,
        attributes=example.custom_attributes,
        example=example.name,
    )
    values = app.values_of(example.body, example.content_type)
    if values is not None and len(values) <= _MOST_ROWS:
        rows = [
            {
                one.name: _cell(one, row[one.name], token(example, index, one))
                for one in app.inputs
                if one.name in row
            }
            for index, row in enumerate(values)
        ]
        return replace(common, rows=rows)
    return replace(common, is_raw=True, body=_raw(example))


def as_raw(app: App, draft: Draft) -> Draft:
    """The same request as a body to be edited; an empty body where the fields do not make one."""
    try:
        body, content_type = draft.sent(app)
    except InputError:
        body, content_type = b"", app.content_type or _JSON
    try:
        cell = Cell(body.decode())
    except UnicodeDecodeError:
        cell = Cell(upload=Upload(body, content_type))
    return replace(draft, is_raw=True, body=cell, content_type=content_type)


def of_post(app: App, data: FormData, find: Find) -> Draft:
    """A form as it was sent."""
    fields = data.fields
    common = Draft(
        is_raw=fields.get("mode") == "raw",
        content_type=fields.get("raw.type", "").strip(),
        accept=fields.get("accept", "").strip(),
        attributes=fields.get("attributes", "").strip(),
        variant=fields.get("variant", ""),
        example=fields.get("example", ""),
    )
    if common.is_raw:
        return replace(common, body=_sent_cell("raw.body", data, find))
    count = int(fields["rows"]) if fields.get("rows", "").isdecimal() else 1
    rows = [
        {one.name: _sent_cell(f"{index}.{one.name}", data, find) for one in app.inputs}
        for index in range(min(max(count, 1), _MOST_ROWS))
    ]
    return replace(common, rows=rows)


def token(example: PageExample, row: int, one: Input) -> str:
    """The token of a file of an example."""
    return f"example/{row}/{one.name}/{example.name}"


def of_token(app: App, examples: Sequence[PageExample], given: str) -> Upload | None:
    """The file of an example that a token names."""
    kind, _, rest = given.partition("/")
    if kind == "body":
        return next((Upload(one.body, one.content_type) for one in examples if one.name == rest), None)
    row, _, rest = rest.partition("/")
    field_name, _, name = rest.partition("/")
    example = next((one for one in examples if one.name == name), None)
    if kind != "example" or example is None or not row.isdecimal():
        return None
    values = app.values_of(example.body, example.content_type) or []
    found = values[int(row)].get(field_name) if int(row) < len(values) else None
    return found if isinstance(found, Upload) else None


def _raw(example: PageExample) -> Cell:
    try:
        return Cell(example.body.decode())
    except UnicodeDecodeError:
        return Cell(upload=Upload(example.body, example.content_type), kept=f"body/{example.name}")


def _cell(one: Input, value: Any, given: str) -> Cell:
    return Cell(upload=value, kept=given) if isinstance(value, Upload) else Cell(one.text(value))


def _sent_cell(name: str, data: FormData, find: Find) -> Cell:
    if name in data.files:
        return Cell(data.fields.get(name, ""), data.files[name])
    kept = data.fields.get(f"{name}.kept", "")
    upload = find(kept) if kept else None
    return Cell(data.fields.get(name, ""), upload, kept if upload else "")


def _bytes(cell: Cell) -> bytes:
    return cell.upload.data if cell.upload is not None else cell.text.encode()


def _values(app: App, row: Mapping[str, Cell], path: str) -> dict[str, Any]:
    """The values of one row, which leaves out what is empty and may be. Raises InputError."""
    found: dict[str, Any] = {}
    for one in app.inputs:
        cell = row.get(one.name, Cell())
        if _is_filled(one, cell):
            found[one.name] = cell.upload or one.read(cell.text, path + one.name)
        elif one.kind in _TEXTS and one.required and app.source is not Source.CONFIG:
            found[one.name] = ""  # as a model may take it that was seen to take texts
        elif one.required:
            what = f"{one.title}: choose a file" if one.kind in UPLOADS else f"{one.title} is missing"
            raise InputError(what, path=path + one.name)
        elif one.nullable:
            found[one.name] = None
    return found


def _is_filled(one: Input, cell: Cell) -> bool:
    if one.kind in UPLOADS:
        return cell.upload is not None
    # A box that is not ticked says no; spaces are a text.
    return one.kind is Kind.BOOLEAN or bool(cell.text if one.kind in _TEXTS else cell.text.strip())
