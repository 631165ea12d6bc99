"""`app:` of config.yml: what a model's page says, what it asks for, and how that makes a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from hotfire.app_inputs import UPLOADS, Input, Kind
from hotfire.app_schema import App, Output, Shown
from hotfire.body_template import Format, Template, format_of, hole
from hotfire.config_file import Section, listed, nearest
from hotfire.errors import InputError

_KEYS = (
    *("title", "description", "inputs", "body", "batch", "content_type", "accept", "outputs", "origins"),
)
_INPUT_KEYS = (
    *("name", "type", "label", "description", "default", "required", "nullable"),
    *("min", "max", "step", "choices", "examples"),
)
_OUTPUT_KEYS = ("type", "at", "label")
_OF_NUMBERS = ("min", "max", "step")
_TEXTS = (Kind.TEXT, Kind.LONG_TEXT)
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_ORIGIN = re.compile(r"https?://[^/?#@*\s]+", re.IGNORECASE)
_Word = TypeVar("_Word", bound=StrEnum)


def app_of(section: Section | None) -> App | None:
    """What `app:` says; raises ConfigError for what it cannot say."""
    if section is None:
        return None
    _only(section, "app", _KEYS)
    inputs = _inputs(section)
    content_type, template = _content_type(section), section.values.get("body")
    if template is not None:
        template, content_type = _template(section, template, content_type, inputs)
    app = App(
        title=section.text("title") or "",
        description=section.text("description") or "",
        inputs=inputs,
        template=template,
        batch=section.flag("batch", default=True),
        content_type=content_type,
        accept=section.text("accept") or "",
        outputs=tuple(_outputs(section)),
        origins=tuple(_origins(section)),
    )
    if not inputs:
        for key in ("body", "batch", "content_type"):
            if key in section.values:
                message = f"app.{key} says how inputs make a request, and there are no `inputs`"
                raise section.error(message, "List them, or leave it to the examples.", key=key)
    return app


def _inputs(section: Section) -> tuple[Input, ...]:
    found = [_input(one) for one in section.sections("inputs")]
    names = [one.name for one in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise section.error(f"the input {name!r} is there twice", "Rename one.", key="inputs", at=index)
    return tuple(found)


def _input(section: Section) -> Input:
    _only(section, "an input", _INPUT_KEYS)
    name = section.text("name")
    if name is None:
        raise section.error("an input needs a `name`", "Add `name:`, by which `body` and programs call it.")
    if not _NAME.fullmatch(name):
        advice = "Use letters, digits, `_` and `-`; what people read is its `label`."
        raise section.error(f"{name!r} cannot be an input's name", advice, key="name")
    kind = _word(section, "type", Kind, Kind.TEXT)
    _fits_kind(section, kind)
    bare = Input(
        name,
        kind,
        label=section.text("label") or "",
        description=section.text("description") or "",
        required=section.flag("required", default=True),
        nullable=section.flag("nullable", default=False),
        choices=_choices(section) if kind is Kind.CHOICE else (),
        min=_number(section, "min"),
        max=_number(section, "max"),
        step=_number(section, "step"),
    )
    if bare.min is not None and bare.max is not None and bare.min > bare.max:
        raise section.error(f"min is {bare.min:g}, more than max, {bare.max:g}", key="min")
    default = _value(section, bare, "default")
    if default is None and kind is Kind.BOOLEAN and bare.required:
        default = False
    return replace(bare, default=default, examples=_examples(section, bare))


def _fits_kind(section: Section, kind: Kind) -> None:
    """Refuse keys that say nothing of this kind."""
    foreign = dict.fromkeys(_OF_NUMBERS, Kind.NUMBER) | {"choices": Kind.CHOICE}
    for key, owner in foreign.items():
        if key in section.values and kind is not owner:
            raise section.error(f"`{key}` is of inputs of the type {owner}; this is {kind}", key=key)
    for key in ("default", "examples"):
        if key in section.values and kind in UPLOADS:
            advice = "The project's examples fill it."
            raise section.error(f"an input of the type {kind} has no `{key}`", advice, key=key)


def _number(section: Section, key: str) -> float | None:
    value = section.values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or (key == "step" and not value > 0):
        raise section.wrong_type(key, "a number above 0" if key == "step" else "a number")
    return value


def _choices(section: Section) -> tuple[Any, ...]:
    choices = section.values.get("choices")
    if not isinstance(choices, list) or not choices:
        message, advice = "an input of the type choice needs `choices`", "Add `choices: [one, another]`."
        raise section.error(message, advice, key="choices")
    texts: list[str] = []
    for index, choice in enumerate(choices):
        if not isinstance(choice, str | int | float):
            raise section.wrong_type("choices", "a list of texts, numbers, or true and false", at=index)
        text = choice if isinstance(choice, str) else json.dumps(choice)
        if text in texts:
            raise section.error(f"{text!r} is there twice", "Delete one.", key="choices", at=index)
        texts.append(text)
    return tuple(choices)


def _value(section: Section, one: Input, key: str) -> Any:
    """A value for the input; a text as it is written."""
    value = section.values.get(key)
    if value is None:
        return None
    try:
        return one.checked(
            section.texts.get((*section.path, key), value) if one.kind in _TEXTS else value, key
        )
    except InputError as error:
        raise section.error(error.message, key=key) from error


def _examples(section: Section, one: Input) -> tuple[Any, ...]:
    values = section.values.get("examples")
    if values is None:
        return ()
    if not isinstance(values, list):
        raise section.wrong_type("examples", "a list")
    found = []
    for index, value in enumerate(values):
        try:
            text = section.texts.get((*section.path, "examples", index), value)
            found.append(one.checked(text if one.kind in _TEXTS else value, "an example"))
        except InputError as error:
            raise section.error(error.message, key="examples", at=index) from error
    return tuple(found)


def _content_type(section: Section) -> str:
    text = section.text("content_type") or ""
    if text and "/" not in text:
        raise section.error(
            f"{text!r} is no content type", "It is like `application/json`.", key="content_type"
        )
    return text


def _template(section: Section, value: Any, content_type: str, inputs: Sequence[Input]) -> tuple[Any, str]:
    """The body with holes, in the form of its content type, and that type."""
    names = [one.name for one in inputs]
    _refuse_bare(section, value, names)
    is_upload = len(inputs) == 1 and inputs[0].kind in UPLOADS and value == hole(inputs[0].name)
    if not content_type and not is_upload:
        content_type = "application/json"
    value = _in_format(value, Format.BINARY if is_upload else format_of(content_type))
    holes = Template(value).holes
    for name in sorted(holes):
        base = name.removesuffix(".type")
        if name not in names and not (base in names and inputs[names.index(base)].kind in UPLOADS):
            near = nearest(name, names)
            advice = f"Did you mean {hole(near)}?" if near else "`{{` and `}}` are how to write braces."
            raise section.error(f"body has {hole(name)}, and there is no such input", advice, key="body")
    for name in names:
        if name not in holes:
            raise section.error(f"body has no {hole(name)}", "Each input must have its place.", key="body")
    return value, content_type


def _in_format(value: Any, written: Format) -> Any:
    """A body as its format has it: JSON may be written as text, one row or line alone."""
    if written is Format.JSON and isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"'):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, str):
        return value
    if written is Format.LINES and not isinstance(value, list):
        return [value]
    if written is Format.CSV and isinstance(value, list) and not all(isinstance(row, list) for row in value):
        return [value]
    return value


def _refuse_bare(section: Section, value: Any, names: Sequence[str]) -> None:
    """`{text}` without quotes is a mapping to YAML."""
    if isinstance(value, Mapping):
        if len(value) == 1 and next(iter(value)) in names and next(iter(value.values())) is None:
            name = next(iter(value))
            message = f"body has {hole(name)} without quotes, which YAML reads as a mapping"
            raise section.error(message, f'Write "{hole(name)}".', key="body")
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        _refuse_bare(section, item, names)


def _outputs(section: Section) -> Iterator[Output]:
    value = section.values.get("outputs")
    if isinstance(value, str):
        yield Output(_word(section, "outputs", Shown, Shown.JSON))
        return
    for one in section.sections("outputs"):
        _only(one, "an output", _OUTPUT_KEYS)
        if "type" not in one.values:
            raise one.error("an output needs a `type`", f"It is {listed(map(str, Shown), 'or')}.")
        kind = _word(one, "type", Shown, Shown.JSON)
        yield Output(kind, one.text("at") or "", one.text("label") or "")


def _origins(section: Section) -> Iterator[str]:
    for index, text in enumerate(section.text_list("origins")):
        if not _ORIGIN.fullmatch(text):
            advice = "It is like `https://news.example` or `http://localhost:3000`: scheme, host and port."
            at = index if isinstance(section.values["origins"], list) else None
            raise section.error(f"{text!r} is no origin of a web page", advice, key="origins", at=at)
        yield text.lower()


def _word(section: Section, key: str, words: type[_Word], default: _Word) -> _Word:
    """One of the words, however its case is and whether it is joined by a space, `_` or `-`."""
    text = section.text(key)
    if text is None:
        return default
    known = [str(word) for word in words]
    plain = re.sub(r"[\s_-]+", " ", text.strip().lower())
    if plain in known:
        return words(plain)
    near = nearest(plain, known)
    advice = f"Did you mean {near!r}?" if near else ""
    raise section.error(f"{key} must be {listed(known, 'or')}, not {text!r}", advice, key=key)


def _only(section: Section, what: str, known: Sequence[str]) -> None:
    """Refuse a key that would say nothing."""
    for key in section.values:
        if key not in known:
            near = nearest(key, known)
            advice = f"Did you mean {near!r}?" if near else f"It has {listed(known)}."
            raise section.error(f"{what} has no key {key!r}", advice, key=key)
