"""A failure as whoever works on the handler wants it told: where, with which values, for which request."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from hotfire.examples import Answer, Example
from hotfire.hints import advice
from hotfire_worker.values import cut, masked

_MOST_MESSAGE_LINES, _MOST_LOCALS, _MOST_PATH = 6, 8, 4
_MOST_BYTES = 400
_CODE = "code/"

LARGEST = 6_291_456
"""Bytes of a request or an answer: `BodyBlob` in botocore's model of SageMaker Runtime."""

DOUBTS: Mapping[str, str] = {
    "training": "The model is in training mode, where dropout and batch norm change its answers: call "
    "`model.eval()` in model_fn.",
    "gradients": "What predict_fn returns carries gradients, which cost time and memory: call the model "
    "under `with torch.inference_mode():`.",
    "not-json": "The answer says that it is JSON, and no strict reader takes it for that: NaN and Infinity "
    "have no form in JSON, so replace them (by None) before json.dumps.",
    "large-request": "The request has over 6 MB, which SageMaker refuses: send less, or take an asynchronous "
    "endpoint (`async:` in config.yml).",
    "large-answer": "The answer has over 6 MB, which SageMaker does not pass on: answer less, or take an "
    "asynchronous endpoint (`async:` in config.yml).",
}
"""What may be wrong with an answer though there is one, and what to do."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in a traceback; `own` is whether the file is the user's, which is then their own path to it."""

    file: Path
    line: int
    function: str
    own: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that failed: `start` is the beginning of its body of `size` bytes.

    `example` is its name, if it has one.
    """

    content_type: str
    accept: str
    start: bytes
    size: int
    example: str = ""

    @classmethod
    def of_example(cls, example: Example) -> Sent:
        """What an example sends."""
        body, request = example.request.body, example.request
        start = body[:_MOST_BYTES]
        return cls(request.content_type, request.accept or "", start, len(body), example.name)

    @classmethod
    def by_client(cls, told: Mapping[str, Any]) -> Sent:
        """What a client has sent, as the region tells of it."""
        headers = {name.lower(): text for name, text in told["headers"].items()}
        start = base64.b64decode(told["body"])[:_MOST_BYTES]
        return cls(headers.get("content-type", ""), headers.get("accept", ""), start, told["size"])


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of it.

    `function` is the handler's in which it happened, empty outside of any; `errors` are the names of the
    exceptions (empty of what is none) and their messages, the last one raised first; `frames` end in the
    innermost; `source` are numbered lines around the one in `focus`, `values` what names stood for there.
    """

    function: str
    errors: tuple[tuple[str, str], ...]
    frames: tuple[Frame, ...] = ()
    focus: Frame | None = None
    source: tuple[tuple[int, str], ...] = ()
    values: Mapping[str, str] | None = None
    sent: Sent | None = None

    @classmethod
    def read(
        cls, findings: Mapping[str, Any], sources: Mapping[str, Path], sent: Sent | None = None
    ) -> Failure:
        """What a worker found, with the user's own files, by their places in the model data."""
        focus = findings["focus"]
        return cls(
            findings["function"],
            tuple((one["type"], one["message"]) for one in findings["errors"]),
            tuple(_frame(one, sources) for one in findings["frames"]),
            _frame(focus, sources) if focus is not None else None,
            tuple((number, text) for number, text in findings["source"]),
            findings["locals"],
            sent,
        )

    @classmethod
    def of(cls, message: str) -> Failure:
        """One of which no more is known."""
        return cls("", (("", message),))

    @property
    def headline(self) -> str:
        """What was raised, as Python prints it."""
        kind, message = self.errors[0]
        return f"{kind}: {message}" if kind and message else kind or message

    @property
    def advice(self) -> str | None:
        """One sentence on what to do, if the failure is a known one."""
        errors = (f"{kind}: {message}" if kind else message for kind, message in self.errors)
        headers = (f"Content-Type: {self.sent.content_type}",) if self.sent else ()
        return advice("\n".join((f"in {self.function}", *errors, *headers)))

    def because(self, cause: str) -> Failure:
        """With what was printed of the reason, before what is known; without any it is the same."""
        return replace(self, errors=(("", cause), *self.errors)) if cause else self

    def is_as(self, other: Failure) -> bool:
        """Whether it is the same as another one, of another request."""
        return (self.function, self.errors, self.focus) == (other.function, other.errors, other.focus)


class Part(Enum):
    """What a line of a failure's text is."""

    ERROR = "error"
    PLACE = "place"
    SOURCE = "source"
    LINE = "line"
    VALUE = "value"
    SENT = "sent"
    ADVICE = "advice"


def lines(failure: Failure, base: Path, width: int = 74) -> Iterator[tuple[Part, str]]:
    """A failure in lines of at most this width; files that lie below `base` are named from there."""
    yield from ((Part.ERROR, line) for line in _message(failure.headline, width))
    yield from ((Part.PLACE, line) for line in _places(failure, base, width))
    yield from _source(failure, width)
    yield from ((Part.VALUE, line) for line in _values(failure, width))
    if failure.sent is not None:
        yield Part.SENT, cut(f"sent: {sent_text(failure.sent)}", width)
    sentence = failure.advice
    if sentence:
        wrapped = textwrap.wrap(
            f"→ {sentence}", width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        yield from ((Part.ADVICE, line) for line in wrapped)


def sent_text(sent: Sent) -> str:
    """A request on one line: what it is, and how its body begins."""
    kinds = sent.content_type or "no content type"
    if sent.accept:
        kinds += f", accept {sent.accept}"
    try:
        text = sent.start.decode()
    except UnicodeDecodeError as error:
        # A letter that the cut has split does not make it bytes.
        is_text = error.end == len(sent.start) and error.start > len(sent.start) - 4
        text = sent.start[: error.start].decode() if is_text else repr(sent.start)
    start = masked(" ".join(text.split()))
    name = f"{sent.example} · " if sent.example else ""
    return f"{name}{kinds} · {sent.size:,} bytes · {start}"


def doubts(found: Mapping[str, Any] | None, answer: Answer, size: int = 0) -> tuple[str, ...]:
    """The names of what may be wrong with an answer to a request of that size.

    It is what its worker found, and what can be seen of it.
    """
    names = list((found or {}).get("doubts", ()))
    if not _is_strict_json(answer):
        names.append("not-json")
    if size > LARGEST:
        names.append("large-request")
    if len(answer.body) > LARGEST:
        names.append("large-answer")
    return tuple(names)


def _frame(value: Mapping[str, Any], sources: Mapping[str, Path]) -> Frame:
    place = value["place"]
    # A model that consists of `code` alone is at home there.
    source = sources.get(place) or sources.get(f"{_CODE}{place}")
    return Frame(source or Path(value["file"]), value["line"], value["function"], place is not None)


def _message(headline: str, width: int) -> list[str]:
    """A message of several lines keeps them; one of many ends in an ellipsis."""
    wrapped = [
        part
        for line in headline.strip().splitlines()
        for part in textwrap.wrap(line.expandtabs(2), width, subsequent_indent="  ", drop_whitespace=True)
    ]
    if len(wrapped) <= _MOST_MESSAGE_LINES:
        return wrapped
    return [*wrapped[: _MOST_MESSAGE_LINES - 1], f"… and {len(wrapped) - _MOST_MESSAGE_LINES + 1} lines more"]


def _places(failure: Failure, base: Path, width: int) -> Iterator[str]:
    """Where it happened: the user's own functions on the way there, and what they called at last."""
    if failure.focus is None:
        if failure.function:
            yield f"in {failure.function}"
        return
    own = [frame for frame in failure.frames if frame.own]
    if not failure.focus.own:
        yield f"in {failure.function}, which the toolkit provides"
    elif not own or own[-1] != failure.focus:
        yield _named(failure.focus, base)
    else:
        yield from _way(own, base, width)
    last = failure.frames[-1] if failure.frames else failure.focus
    if last not in (failure.focus, *own) and not str(last.file).startswith("<"):
        yield cut(f"  raised in {_package_path(last.file)}:{last.line}", width)


def _way(own: list[Frame], base: Path, width: int) -> Iterator[str]:
    names = [_named(frame, base) for frame in own[-_MOST_PATH:]]
    text = " → ".join(names)
    if len(text) <= width:
        yield text
        return
    yield names[0]
    yield from (f"  → {name}" for name in names[1:])


def _named(frame: Frame, base: Path) -> str:
    path = frame.file.relative_to(base) if frame.file.is_relative_to(base) else frame.file
    function = "" if frame.function in ("", "<module>") else f" in {frame.function}"
    return f"{path}:{frame.line}{function}"


def _package_path(file: Path) -> str:
    """A file of an installed package or of Python's own, from the package on."""
    return re.sub(r"^.*/(?:(?:site|dist)-packages|lib/python3\.\d+)/", "", str(file))


def _source(failure: Failure, width: int) -> Iterator[tuple[Part, str]]:
    if failure.focus is None or not failure.source:
        return
    numbers = [number for number, _ in failure.source]
    texts = textwrap.dedent("\n".join(text.expandtabs(4) for _, text in failure.source)).split("\n")
    places = len(str(max(numbers)))
    for number, text in zip(numbers, texts, strict=True):
        if number == failure.focus.line:
            yield from ((Part.LINE, line) for line in _whole(f"▸ {number} │ ", text, width))
        else:
            yield Part.SOURCE, cut(f"  {number:{places}} │ {text}".rstrip(), width)


def _whole(head: str, text: str, width: int) -> Iterator[str]:
    """The line in question, which is not cut: what is wrong may be at its end."""
    room = width - len(head)
    for start in range(0, min(len(text), room * 3), room):
        yield (head if not start else " " * (len(head) - 2) + "│ ") + text[start : start + room]


def _values(failure: Failure, width: int) -> Iterator[str]:
    values = list((failure.values or {}).items())
    longest = max((len(name) for name, _ in values[:_MOST_LOCALS]), default=0)
    for name, value in values[:_MOST_LOCALS]:
        yield cut(f"  {name:{min(longest, 20)}} = {value}", width)
    if len(values) > _MOST_LOCALS:
        yield f"  and {len(values) - _MOST_LOCALS} more"


def _is_strict_json(answer: Answer) -> bool:
    """Whether a good answer that says that it is JSON is: Python's reader takes more than JSON for it."""
    if answer.status != 200 or answer.content_type.partition(";")[0].strip() != "application/json":
        return True
    if not any(word in answer.body for word in (b"NaN", b"Infinity")):
        return True
    try:
        json.loads(answer.body, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)
