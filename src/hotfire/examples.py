"""Example requests and what is expected of their answers: `examples/NAME.json`."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotfire.bodies import is_json, media_type
from hotfire.comparison import TOLERANCE, Difference, compare, is_tolerance, shown, top_label, top_labels
from hotfire.errors import ProjectError

_BODY_MEMBERS = ("body", "body_base64", "body_file")
_NOT_BOOLEAN = ("status", "top", "tolerance")
_KINDS = ("status", "content_type", "schema", "top", "value")
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\w+)$', re.MULTILINE)
_NAME = re.compile(r"\w[\w. -]*")

_PARAMETERS = {
    "content_type": "ContentType",
    "accept": "Accept",
    "custom_attributes": "CustomAttributes",
    "target_model": "TargetModel",
    "target_variant": "TargetVariant",
    "target_container_hostname": "TargetContainerHostname",
    "inference_id": "InferenceId",
    "inference_component_name": "InferenceComponentName",
    "session_id": "SessionId",
}

_EXPECTED_TYPES: Mapping[str, tuple[Any, str]] = {
    "status": (int, "a whole number"),
    "content_type": (str, "text"),
    "schema": (dict | bool, "a JSON Schema"),
    "top": (str | int | list, "a label or a list of labels"),
    "value": (object, "a JSON value"),
    "tolerance": (int | float, "a finite number of 0 or more"),
    "strict": (bool, "true or false"),
}


MEMBERS = (*_BODY_MEMBERS, *_PARAMETERS, *_EXPECTED_TYPES)
"""Of `request` and `expect`."""


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """What is sent."""

    body: bytes
    content_type: str = "application/json"
    accept: str | None = None
    custom_attributes: str | None = None
    target_model: str | None = None
    target_variant: str | None = None
    target_container_hostname: str | None = None
    inference_id: str | None = None
    inference_component_name: str | None = None
    session_id: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The arguments of boto3's `invoke_endpoint`, but for the endpoint's name."""
        given = {parameter: getattr(self, name) for name, parameter in _PARAMETERS.items()}
        return {"Body": self.body} | {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the answer must be. `kinds` says which of these the example gives; the rest are defaults."""

    status: int = 200
    content_type: str | None = None
    schema: Any = None
    top: str | tuple[str, ...] | None = None
    value: Any = None
    tolerance: float = TOLERANCE
    strict: bool = False
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Example:
    """One file of the examples' folder; its name is the file's, without `.json`."""

    name: str
    path: Path
    request: ExampleRequest
    expect: Expectation


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answered. `status` is the container's own, also where SageMaker makes a 424 of it."""

    status: int
    content_type: str
    body: bytes
    seconds: float = 0.0

    @property
    def value(self) -> Any:
        """The body as a JSON value: of JSON what it says, of other text the text, else `{"base64": …}`."""
        if is_json(self.content_type):
            try:
                return json.loads(self.body)
            except ValueError:
                pass
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(self.body).decode()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer compares: `errors` fail a deploy, `differences` are shown."""

    name: str
    errors: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0
    has_answer: bool = True
    """Whether there was an answer of the status that is expected: nothing else is compared of another."""

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return not self.errors


def load(folder: Path) -> list[Example]:
    """The folder's examples by name; none if there is no such folder. Raises ProjectError."""
    files = sorted(folder.glob("*.json"), key=lambda file: file.stem)
    return [read(file) for file in files if not file.name.startswith(".")]


def read(file: Path) -> Example:
    """One example. Raises ProjectError, which names the file and the member."""
    document = _document(file)
    _only(file, "", document, ("request", "expect"))
    if "request" not in document:
        advice = (
            'Write {"request": {"body": …}}; files that bodies come from belong in a folder of their own.'
        )
        raise ProjectError(f"{file}: there is no `request`", advice)
    request = _members(file, "request", document["request"], (*_BODY_MEMBERS, *_PARAMETERS))
    expect = _members(file, "expect", document.get("expect", {}), _EXPECTED_TYPES)
    return Example(file.stem, file, _request(file, request), _expectation(file, expect))


def check(example: Example, answer: Answer) -> Verdict:
    """Compare an answer with what the example expects.

    A wrong status, and an answer that fails `schema` or `top`, are errors. Another content type or
    `value` is a difference, and an error too if the example is `strict`.
    """
    expect = example.expect
    if answer.status != expect.status:
        message = f"status {answer.status}, expected {expect.status}: {_said(answer.value)}"
        return Verdict(example.name, (message,), seconds=answer.seconds, has_answer=False)
    errors = [*_schema_errors(expect, answer), *_top_errors(expect, answer)]
    differences = (*_type_differences(expect, answer), *_value_differences(expect, answer))
    if expect.strict and differences:
        errors += [f"{one} (the example is strict)" for one in differences]
    return Verdict(example.name, tuple(errors), differences, answer.seconds)


def _said(value: Any) -> str:
    """What an answer of another status says; of a traceback its end, with its place in the handler."""
    if not isinstance(value, str) or "Traceback (most recent call last):" not in value:
        return shown(value, 300)
    frames = list(_FRAME.finditer(value))
    at = next((frame for frame in reversed(frames) if "/code/" in frame["file"]), None)
    last = value.rstrip().splitlines()[-1][:300]
    return f"{last} ({Path(at['file']).name}:{at['line']}, in {at['name']})" if at is not None else last


def record(folder: Path, name: str, request: ExampleRequest, answer: Answer) -> Path:
    """Write a request and its answer as a new example. Raises ProjectError if there is one of that name."""
    if not _NAME.fullmatch(name):
        message = f"{name!r} cannot be an example's name"
        raise ProjectError(message, "Use letters, digits, spaces, dots, hyphens and underscores.")
    file = folder / f"{name}.json"
    if file.exists():
        raise ProjectError(f"{file} is there already", "Choose another name, or delete it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder {folder} cannot be made: {error.strerror}"
        raise ProjectError(message, f"See that you may write in {folder.parent}.") from error
    _write(file, _document_of(request, answer))
    return file


def recorded(request: ExampleRequest, answer: Answer) -> str:
    """What `record` writes."""
    return _text(_document_of(request, answer))


def accept(example: Example, answer: Answer) -> bool:
    """Make the answer what the example expects, by the kinds of expectation that it has (`value` if none).

    Returns whether the file changed: a value within the tolerance stays, and so does a schema; and so do all
    where the model did not answer.
    Raises ProjectError if the example names a `top` and the answer has none.
    """
    if not answer.status:
        return False
    document = _document(example.path)
    expect = dict(document.get("expect", {}))
    given = example.expect.kinds or {"value"}
    if "status" in given or answer.status != example.expect.status:
        expect["status"] = answer.status
    if "content_type" in given:
        expect["content_type"] = answer.content_type
    if "top" in given:
        expect["top"] = _accepted_top(example, answer)
    if "value" in given and _is_other_value(example.expect, answer):
        expect["value"] = answer.value
    if expect == document.get("expect"):
        return False
    _write(example.path, document | {"expect": expect})
    return True


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{file}: this is not UTF-8 text", "Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        message = f"{file}:{error.lineno}:{error.colno}: this is not valid JSON: {error.msg}"
        raise ProjectError(message, "Mend the JSON there or just before.") from error
    return _object(file, "an example", document)


def _object(file: Path, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProjectError(f"{file}: {name} must be an object, not {shown(value)}", 'Write {"request": {…}}.')
    return value


def _members(file: Path, name: str, value: Any, known: Any) -> dict[str, Any]:
    members = _object(file, f"`{name}`", value)
    _only(file, f"{name}.", members, known)
    return members


def _only(file: Path, prefix: str, members: Mapping[str, Any], known: Any) -> None:
    """Refuse a member that is not known: it would silently expect nothing."""
    from difflib import get_close_matches

    for name in members:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"Did you mean `{prefix}{near[0]}`?" if near else f"Known are {', '.join(known)}."
            raise ProjectError(f"{file}: the member `{prefix}{name}` is not known", advice)


def _request(file: Path, members: Mapping[str, Any]) -> ExampleRequest:
    for name in _PARAMETERS:
        if not isinstance(members.get(name, ""), str):
            raise ProjectError(f"{file}: `request.{name}` must be text, not {shown(members[name])}")
    given = [name for name in _BODY_MEMBERS if name in members]
    if len(given) != 1:
        message = f"{file}: `request` must have one body, and has {len(given)}"
        raise ProjectError(message, f"Give one of {', '.join(_BODY_MEMBERS)}.")
    texts = {name: members[name] for name in _PARAMETERS if name in members}
    return ExampleRequest(_body(file, given[0], members[given[0]]), **texts)


def _body(file: Path, kind: str, value: Any) -> bytes:
    if kind == "body":
        is_text = isinstance(value, str)
        text = value if is_text else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return str(text).encode("utf-8", "surrogatepass")
    if not isinstance(value, str):
        raise ProjectError(f"{file}: `request.{kind}` must be text, not {shown(value)}")
    return _decoded(file, value) if kind == "body_base64" else _read_body(file, file.parent / value)


def _decoded(file: Path, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ProjectError(f"{file}: `request.body_base64` is not base64: {error}") from error


def _read_body(file: Path, body: Path) -> bytes:
    try:
        return body.read_bytes()
    except OSError as error:
        message = f"{file}: `request.body_file` {body} cannot be read: {error.strerror}"
        raise ProjectError(message, "Its path is relative to the example's folder.") from error


def _expectation(file: Path, members: Mapping[str, Any]) -> Expectation:
    for name, value in members.items():
        kinds, wanted = _EXPECTED_TYPES[name]
        # In Python `true` is a number.
        wrong = not isinstance(value, kinds) or (name in _NOT_BOOLEAN and isinstance(value, bool))
        if wrong or (name == "tolerance" and not is_tolerance(value)):
            raise ProjectError(f"{file}: `expect.{name}` must be {wanted}, not {shown(value)}")
    given = dict(members) | {"kinds": frozenset(members) & frozenset(_KINDS)}
    if "top" in given:
        given["top"] = _labels(given["top"])
    return Expectation(**given)


def _labels(top: Any) -> str | tuple[str, ...]:
    """Labels as text: that of numbers without labels is their place."""
    return tuple(map(str, top)) if isinstance(top, list) else str(top)


def _schema_errors(expect: Expectation, answer: Answer) -> Iterator[str]:
    if "schema" not in expect.kinds:
        return
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # An empty registry: a schema that refers to an address is an error, not a download.
    validator = validator_for(expect.schema, default=Draft202012Validator)
    registry: Registry[Any] = Registry()
    try:
        validator.check_schema(expect.schema)
        found = list(validator(expect.schema, registry=registry).iter_errors(answer.value))
    except SchemaError as error:
        yield f"`expect.schema` is not a JSON Schema: {error.message}"
    except Unresolvable as error:
        yield f"`expect.schema` refers to what it does not hold: {error}"
    else:
        for one in sorted(found, key=lambda error: error.json_path):
            message = one.message if len(one.message) <= 200 else f"{one.message[:199]}…"
            yield f"schema: {one.json_path}: {message}"


def _top_errors(expect: Expectation, answer: Answer) -> list[str]:
    wanted = expect.top
    if wanted is None:
        return []
    got = _top(wanted, answer)
    if got is None:
        return [f"top: {_no_top(wanted, answer)}"]
    if isinstance(wanted, str):
        return [] if got == wanted else [f"top: {got!r} is the most probable, expected {wanted!r}"]
    if len(got) != len(wanted):
        return [f"top: {len(got)} inputs were answered, expected {len(wanted)}"]
    pairs = enumerate(zip(wanted, got, strict=True))
    return [
        f"top: of input {index} {other!r} is the most probable, expected {label!r}"
        for index, (label, other) in pairs
        if label != other
    ]


def _no_top(wanted: str | tuple[str, ...], answer: Answer) -> str:
    several = top_labels(answer.value) if isinstance(wanted, str) else None
    if several:
        return f"{len(several)} inputs were answered: expect a list of labels, as {list(several)}"
    return f"no labels with their probabilities can be found in {shown(answer.value, 200)}"


def _top(like: str | tuple[str, ...], answer: Answer) -> str | tuple[str, ...] | None:
    """The answer's label for one input, or its labels for a list of them."""
    if isinstance(like, str):
        return top_label(answer.value)
    labels = top_labels(answer.value)
    return None if labels is None else tuple(labels)


def _accepted_top(example: Example, answer: Answer) -> str | list[str]:
    """The answer's label, or its labels, in the form that the example had."""
    like = example.expect.top or ""
    top = _top(like, answer)
    if top is None:
        message = f"{example.path}: `expect.top` cannot be accepted: {_no_top(like, answer)}"
        raise ProjectError(message, "Change `expect.top` by hand, or delete it.")
    return top if isinstance(top, str) else list(top)


def _type_differences(expect: Expectation, answer: Answer) -> Iterator[Difference]:
    wanted = expect.content_type
    if wanted is not None and media_type(wanted) != media_type(answer.content_type):
        yield Difference("content_type", "changed", wanted, answer.content_type)


def _value_differences(expect: Expectation, answer: Answer) -> Iterator[Difference]:
    if "value" in expect.kinds:
        yield from compare(expect.value, answer.value, expect.tolerance)


def _is_other_value(expect: Expectation, answer: Answer) -> bool:
    return "value" not in expect.kinds or any(_value_differences(expect, answer))


def _document_of(request: ExampleRequest, answer: Answer) -> dict[str, Any]:
    expect: dict[str, Any] = {} if answer.status == 200 else {"status": answer.status}
    expect |= {"content_type": answer.content_type, "value": answer.value}
    return {"request": _recorded(request), "expect": expect}


def _recorded(request: ExampleRequest) -> dict[str, Any]:
    """A request as an example writes it, with what is not the default."""
    named = {name: getattr(request, name) for name in _PARAMETERS}
    if request.content_type == ExampleRequest(b"").content_type:
        del named["content_type"]
    return _recorded_body(request) | {name: value for name, value in named.items() if value is not None}


def _recorded_body(request: ExampleRequest) -> dict[str, Any]:
    """The body in the form that reads best and is sent as the same again."""
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(request.body).decode()}
    try:
        value = json.loads(text) if is_json(request.content_type) else text
    except ValueError:
        return {"body": text}
    # A JSON text stands for itself in an example, so one that is sent with its quotes keeps them.
    return {"body": text if isinstance(value, str) else value}


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """Write an example, whole at once, always in the same form."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(_text(document), "utf-8")
        if file.exists():
            shutil.copymode(file, temporary)
        temporary.replace(file)
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise ProjectError(message, f"See that you may write in {file.parent}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
