"""The fields of a model's form, as its template draws them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hotfire.app_inputs import UPLOADS, Input, Kind, Upload
from hotfire.app_schema import App
from hotfire.console.model_form import Cell, Draft
from hotfire.console.results import IMAGES
from hotfire.errors import InputError

_MOST_PREVIEW = 4_000_000
_ROWS = {Kind.LONG_TEXT: 4, Kind.JSON: 5}
_MOST_ROWS = 16
_SHORT_EXAMPLE = 60

Keep = Callable[[Upload], str]
"""Keeps a file for the next time that the form is sent; gives its token."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `id` is unique on the page, `name` what is sent; `rows` are the lines of a larger one.

    Of a file that is there already, `kept` is its token, `file` says what it is, `preview` shows it.
    """

    input: Input
    id: str
    name: str
    text: str = ""
    rows: int = 0
    options: Sequence[tuple[str, bool]] = ()
    kept: str = ""
    file: str = ""
    preview: str = ""
    wrong: str = ""

    @property
    def is_required(self) -> bool:
        """Whether a browser insists on it. What only was seen so far may be empty next time."""
        return self.input.required and not self.kept

    @property
    def step(self) -> str:
        """As HTML has it."""
        return "any" if self.input.step is None else f"{self.input.step:g}"

    @property
    def fills(self) -> Sequence[tuple[str, str]]:
        """Values that fill it: in short, and whole."""
        texts = [self.input.text(value) for value in self.input.examples]
        return [
            (text if len(text) <= _SHORT_EXAMPLE else f"{text[:_SHORT_EXAMPLE]}…", text) for text in texts
        ]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form makes no request, and the field that is wrong, if it is one."""

    message: str
    advice: str = ""
    field: str = ""


def fields(app: App, draft: Draft, keep: Keep, problem: InputError | None = None) -> list[list[Field]]:
    """The fields of each input to the model."""
    at = _place(problem.path) if problem is not None else None
    several = len(draft.rows) > 1
    found = []
    for number, row in enumerate(draft.rows):
        place = number if several else 0
        found.append(
            [
                _field(one, number, index, row.get(one.name, Cell()), keep, _wrong(problem, at, place, one))
                for index, one in enumerate(app.inputs)
            ]
        )
    return found


def problem_of(rows: Sequence[Sequence[Field]], error: InputError) -> Problem:
    """What is wrong, with the field."""
    wrong = next((field.id for row in rows for field in row if field.wrong), "")
    return Problem(_sentence(error.message), error.advice, wrong)


def file_of(upload: Upload) -> tuple[str, str]:
    """A file in words, and as a data address if it is an image that can be shown."""
    size = f"{len(upload.data):,} bytes"
    preview = ""
    if upload.content_type in IMAGES and len(upload.data) <= _MOST_PREVIEW:
        preview = f"data:{upload.content_type};base64,{base64.b64encode(upload.data).decode()}"
    return f"{upload.content_type}, {size}", preview


def _field(one: Input, row: int, index: int, cell: Cell, keep: Keep, wrong: str) -> Field:
    id_, name = f"field-{row}-{index}", f"{row}.{one.name}"
    if one.kind in UPLOADS:
        if cell.upload is None:
            return Field(one, id_, name, wrong=wrong)
        file, preview = file_of(cell.upload)
        kept = cell.kept or keep(cell.upload)
        return Field(one, id_, name, kept=kept, file=file, preview=preview, wrong=wrong)
    if one.kind is Kind.CHOICE:
        texts = [one.text(choice) for choice in one.choices]
        return Field(
            one, id_, name, cell.text, options=[(text, text == cell.text) for text in texts], wrong=wrong
        )
    least = _ROWS.get(one.kind, 0)
    lines = cell.text.count("\n") + 1 + len(cell.text) // 70
    return Field(one, id_, name, cell.text, rows=least and min(max(least, lines), _MOST_ROWS), wrong=wrong)


def _place(path: str) -> tuple[int, str]:
    """The row and the name in a path like `[1].text`."""
    number, bracket, name = path.removeprefix("[").partition("].") if path.startswith("[") else ("", "", path)
    return (int(number) if bracket and number.isdecimal() else 0), name


def _wrong(problem: InputError | None, at: tuple[int, str] | None, row: int, one: Input) -> str:
    return _sentence(problem.message) if problem is not None and at == (row, one.name) else ""


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
