"""What a model takes and answers, for its page and its public API: the inputs, and how they make a body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

from hotfire.app_inputs import UPLOADS, Input, Kind, Upload, kind_of_bytes
from hotfire.bodies import is_json, media_type, value_of
from hotfire.body_template import Format, Template, format_of, hole
from hotfire.comparison import shown
from hotfire.errors import InputError

MOST_INPUTS = 1000
"""Inputs of one request."""

_JSON = "application/json"
_LISTS = ("predictions", "outputs", "results")
"""The members under which answers to several inputs are listed."""

Values = Mapping[str, Any]
"""One input to the model: a value for each field, JSON or an `Upload`, by its name."""


class Shown(StrEnum):
    """How an answer, or a part of it, is shown."""

    LABEL = "label"
    TEXT = "text"
    TABLE = "table"
    IMAGE = "image"
    JSON = "json"


class Source(StrEnum):
    """Whence the inputs are known."""

    CONFIG = "config"
    EXAMPLES = "examples"
    REQUESTS = "requests"
    NOTHING = "nothing"


class Body(NamedTuple):
    """What is sent."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Output:
    """How a part of an answer is shown: the member `at`, whose path is dotted; all of it if that is empty."""

    kind: Shown
    at: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class App:
    """A model as people and programs meet it.

    Without `inputs` nothing is known of them yet. `template` is what the body looks like, by default
    `usual_template`. `content_type` is that of the body, or empty where it is the
    upload's own. `origins` are the web pages that may ask the public API.
    """

    title: str = ""
    description: str = ""
    inputs: tuple[Input, ...] = ()
    template: Any = None
    batch: bool = True
    content_type: str = ""
    accept: str = ""
    outputs: tuple[Output, ...] = ()
    origins: tuple[str, ...] = ()
    source: Source = Source.CONFIG

    @property
    def format(self) -> Format:
        """How its bodies are written."""
        if len(self.inputs) == 1 and self.inputs[0].kind in UPLOADS and not is_json(self.content_type):
            return Format.BINARY
        written = format_of(self.content_type or _JSON)
        # A string is no rows and no lines: it is the whole body.
        return Format.TEXT if isinstance(self.template, str) and written is not Format.JSON else written

    @property
    def takes_several(self) -> bool:
        """Whether one request can hold several inputs to the model."""
        return self.format is not Format.BINARY and self._template.takes_several

    @property
    def is_body(self) -> bool:
        """Whether the one input is the whole body."""
        if len(self.inputs) != 1:
            return False
        return self.format is Format.BINARY or self._template.value == hole(self.inputs[0].name)

    def body_of(self, values: Values | Sequence[Values]) -> Body:
        """The body of one input to the model, or of several where it takes several. Raises InputError."""
        several = not isinstance(values, Mapping)
        given = list(values) if not isinstance(values, Mapping) else [values]
        if not given or len(given) > MOST_INPUTS:
            raise InputError(f"there are {len(given)} inputs; a request has 1 to {MOST_INPUTS:,}")
        if len(given) > 1 and not self.takes_several:
            raise InputError("this model takes one input in a request", "Send them one by one.")
        paths = [f"[{index}]." if several else "" for index in range(len(given))]
        rows = [self.checked(one, path) for one, path in zip(given, paths, strict=True)]
        if self.format is Format.BINARY:
            upload: Upload = rows[0][self.inputs[0].name]
            return Body(upload.data, self.content_type or upload.content_type)
        return Body(self._template.body([_row(row) for row in rows]), self.content_type or _JSON)

    def bodies_of(self, inputs: Sequence[Values]) -> list[Body]:
        """The bodies that bring these inputs to the model: one where it takes several, else one for each."""
        if self.takes_several or len(inputs) == 1:
            return [self.body_of(inputs)]
        return [self.body_of(one) for one in inputs]

    def values_of(self, body: bytes, content_type: str = "") -> list[dict[str, Any]] | None:
        """The inputs that a body brings, which make the same body again; None where the form has no such."""
        if self.format is Format.BINARY:
            return self._uploaded(body, content_type)
        if content_type and not _is_same_type(content_type, self.content_type or _JSON):
            return None
        rows = self._template.rows(body)
        if not rows or len(rows) > MOST_INPUTS:
            return None
        try:
            found = [self._values(row) for row in rows]
            again = self.body_of(found)
        except InputError:
            return None
        return found if _said(again) == _said(Body(body, again.content_type)) else None

    def checked(self, values: Values, path: str = "") -> dict[str, Any]:
        """The values, each of which may be its input's. Raises InputError.

        `path` is what stands before an input's name in an error.
        """
        if not isinstance(values, Mapping):
            what = path.rstrip(".") or "an input"
            message = f"{what} must be an object with the model's inputs, not {shown(values)}"
            raise InputError(message, path=path.rstrip("."))
        names = [one.name for one in self.inputs]
        for name in values:
            if name not in names:
                raise InputError(f"{path}{name} is no input; there are {', '.join(names)}", path=path + name)
        found: dict[str, Any] = {}
        for one in self.inputs:
            if one.name in values:
                found[one.name] = one.checked(values[one.name], path + one.name)
            elif one.required:
                raise InputError(f"{path}{one.name} is missing", path=path + one.name)
            elif one.nullable:
                found[one.name] = None
        return found

    def read(self, value: Any) -> tuple[list[dict[str, Any]], bool]:
        """The inputs that a JSON value means, and whether it is a list of them. Raises InputError.

        It is an object with the inputs' names, or a list of such; of a model with one input the value
        alone will do. Where that input is the whole body as JSON, the value is it. What is not given is
        its default.
        """
        if self.is_body and self.inputs[0].kind is Kind.JSON:
            return [{self.inputs[0].name: value}], False
        if not isinstance(value, list):
            return [self.checked(self._completed(value))], False
        if not 1 <= len(value) <= MOST_INPUTS:
            raise InputError(f"the list has {len(value)} inputs; it may have 1 to {MOST_INPUTS:,}")
        return [self.checked(self._completed(one), f"[{index}].") for index, one in enumerate(value)], True

    def answers_of(self, value: Any, count: int) -> list[Any] | None:
        """What an answer says to each of `count` inputs of one request; None where that cannot be told."""
        items = value
        if isinstance(value, dict):
            items = next((value[key] for key in _LISTS if key in value and len(value) == 1), None)
        if self.takes_several and isinstance(items, list) and len(items) == count:
            return items
        return [value] if count == 1 else None

    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of one input to the model."""
        if self.is_body and self.inputs[0].kind is Kind.JSON:
            return {"title": self.inputs[0].title}
        required = [one.name for one in self.inputs if one.required and one.default is None]
        found: dict[str, Any] = {
            "type": "object",
            "properties": {one.name: one.schema() for one in self.inputs},
            "additionalProperties": False,
        }
        if required:
            found["required"] = required
        return found

    def answer_schema(self) -> dict[str, Any]:
        """The JSON Schema of what is answered to one input, as far as it is declared."""
        return _answer_schema(self.outputs)

    def as_json(self) -> dict[str, Any]:
        """What `of_json` reads: the members that are not the default."""
        found = {name: value for name, value in _given(self).items() if name not in ("inputs", "outputs")}
        lists = {
            "inputs": [_given(one) for one in self.inputs],
            "outputs": [_given(one) for one in self.outputs],
        }
        return found | {name: items for name, items in lists.items() if items}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> App:
        """The app that `as_json` has told of."""
        inputs = tuple(Input(**_input_members(one)) for one in value.get("inputs", ()))
        outputs = tuple(Output(**{**one, "kind": Shown(one["kind"])}) for one in value.get("outputs", ()))
        given = {**value, "inputs": inputs, "outputs": outputs}
        given["source"] = Source(value.get("source", Source.CONFIG))
        given["origins"] = tuple(value.get("origins", ()))
        return cls(**given)

    @property
    def _template(self) -> Template:
        value = usual_template(self.inputs, self.format) if self.template is None else self.template
        return Template(value, self.format, self.batch)

    def _completed(self, value: Any) -> Any:
        """What was given of an input, with its name if it is the only one, and the defaults of others."""
        named = value
        if len(self.inputs) == 1:
            only = self.inputs[0]
            # An object is meant to have the names, unless it may be the value.
            if not (
                isinstance(value, Mapping) and (value.keys() == {only.name} or only.kind is not Kind.JSON)
            ):
                named = {only.name: value}
        if not isinstance(named, Mapping):
            return named
        return {one.name: one.default for one in self.inputs if one.default is not None} | dict(named)

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs whose row this is. Raises InputError."""
        found: dict[str, Any] = {}
        for one in self.inputs:
            if one.name not in row:
                continue
            value = row[one.name]
            if isinstance(value, str) and not self._is_value(one):
                value = one.read(value)
            value = one.checked(value)
            if isinstance(value, Upload) and f"{one.name}.type" in row:
                value = replace(value, content_type=row[f"{one.name}.type"])
            found[one.name] = value
        return found

    def _is_value(self, one: Input) -> bool:
        """Whether an input stands in the body as its value, not as text."""
        if one.kind in (Kind.TEXT, Kind.LONG_TEXT, *UPLOADS):
            return True
        return self.format in (Format.JSON, Format.LINES) and _is_alone(self._template.value, one.name)

    def _uploaded(self, body: bytes, content_type: str) -> list[dict[str, Any]] | None:
        if self.content_type and not _is_same_type(content_type, self.content_type):
            return None
        only = self.inputs[0]
        if only.kind is Kind.IMAGE and not content_type.startswith("image/"):
            return None
        return [{only.name: Upload(body, content_type or kind_of_bytes(body))}]


def usual_template(inputs: Sequence[Input], written: Format) -> Any:
    """What a body looks like of which nothing is said: an object, or what its format has in place of one."""
    names = [one.name for one in inputs]
    if written is Format.CSV:
        return [[hole(name) for name in names]]
    if written is Format.TEXT:
        return "\n".join(map(hole, names))
    members = {name: hole(name) for name in names}
    return [members] if written is Format.LINES else members


def member(value: Any, at: str) -> Any:
    """The member of an answer at a dotted path; None if it has none."""
    for key in at.split(".") if at else ():
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _row(values: Values) -> dict[str, Any]:
    """What goes into a template's holes."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Upload):
            row |= {name: value.base64, f"{name}.type": value.content_type}
        else:
            row[name] = value
    return row


def _said(body: Body) -> str:
    """What a body says, such that `1` and `true` are two things."""
    return json.dumps(value_of(body.content_type, body.body), sort_keys=True)


def _given(value: Any) -> dict[str, Any]:
    """The members of a dataclass that are not the default, as JSON has them."""
    found = {one.name: getattr(value, one.name) for one in fields(value)}
    defaults = {one.name: one.default for one in fields(value)}
    return {name: one for name, one in found.items() if one != defaults[name]}


def _input_members(value: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(value.get(name, ())) for name in ("choices", "examples")}
    return {**value, **lists, "kind": Kind(value.get("kind", Kind.TEXT))}


def _answer_schema(outputs: Sequence[Output]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for output in outputs:
        if not output.at or "." in output.at:
            return {}
        properties[output.at] = {"type": "string"} if output.kind is Shown.TEXT else {}
        if output.label:
            properties[output.at] = {**properties[output.at], "title": output.label}
    return {"type": "object", "properties": properties} if properties else {}


def _is_same_type(one: str, other: str) -> bool:
    return media_type(one).partition(";")[0] == media_type(other).partition(";")[0]


def _is_alone(template: Any, name: str) -> bool:
    """Whether a hole is nowhere but in a string of its own."""
    if isinstance(template, str):
        return template == hole(name) or hole(name) not in template
    inner = template.values() if isinstance(template, dict) else template
    return not isinstance(template, dict | list) or all(_is_alone(one, name) for one in inner)
