"""One input to a model: what may be given for it, as JSON or as the text of a form."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hotfire.comparison import shown
from hotfire.errors import InputError

_SLACK = 1e-9
"""How far a number may be from a step, relative to it: 0.3 is three steps of 0.1."""


class Kind(StrEnum):
    """What an input is."""

    TEXT = "text"
    LONG_TEXT = "long text"
    NUMBER = "number"
    CHOICE = "choice"
    BOOLEAN = "boolean"
    IMAGE = "image"
    FILE = "file"
    JSON = "json"


UPLOADS = frozenset({Kind.IMAGE, Kind.FILE})
"""The kinds whose values are bytes."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An image or a file."""

    data: bytes
    content_type: str = "application/octet-stream"

    @property
    def base64(self) -> str:
        """As JSON carries it."""
        return base64.b64encode(self.data).decode()


@dataclass(frozen=True, slots=True)
class Input:
    """One field of the form. `step` counts from `min`, or from 0; of a `nullable` one without a value null is
    sent. `examples` are values that fill it."""

    name: str
    kind: Kind = Kind.TEXT
    label: str = ""
    description: str = ""
    default: Any = None
    required: bool = True
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    examples: tuple[Any, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        return self.label or self.name.replace("_", " ")

    def checked(self, value: Any, path: str = "") -> Any:
        """The value, if it may be one of this input's; bytes may come as base64. Raises InputError."""
        path = path or self.name
        if value is None and self.nullable and self.kind is not Kind.JSON:
            return None
        if self.kind is Kind.NUMBER:
            return self._number(value, path)
        if self.kind is Kind.CHOICE:
            return self._choice(value, path)
        if self.kind in UPLOADS:
            return self._upload(value, path)
        if self.kind is Kind.BOOLEAN and not isinstance(value, bool):
            raise wrong(path, "true or false", value)
        if self.kind in (Kind.TEXT, Kind.LONG_TEXT) and not isinstance(value, str):
            raise wrong(path, "text", value)
        return value

    def read(self, text: str, path: str = "") -> Any:
        """The value that a form's text stands for. Raises InputError."""
        path = path or self.name
        if self.kind is Kind.NUMBER:
            return self.checked(_number(text, path), path)
        if self.kind is Kind.CHOICE:
            return self.checked(next((one for one in self.choices if self.text(one) == text), text), path)
        if self.kind is Kind.BOOLEAN:
            return text in ("true", "on", "1", "yes")
        if self.kind is Kind.JSON:
            try:
                return json.loads(text)
            except ValueError as error:
                raise InputError(f"{path} is not valid JSON: {error}", path=path) from error
        return self.checked(text, path)

    def text(self, value: Any) -> str:
        """What stands in a form for a value."""
        if value is None and self.kind is not Kind.JSON:
            return ""
        if self.kind is Kind.JSON:
            return json.dumps(value, ensure_ascii=False, indent=2 if _is_deep(value) else None)
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        found: dict[str, Any] = {"title": self.title, **self._shape()}
        if self.nullable and "type" in found:
            found["type"] = [found["type"], "null"]
        if self.description:
            found["description"] = self.description
        if self.default is not None:
            found["default"] = self.default
        if self.examples:
            found["examples"] = list(self.examples)
        return found

    def _shape(self) -> dict[str, Any]:
        if self.kind is Kind.NUMBER:
            limits = {"minimum": self.min, "maximum": self.max}
            kind = "integer" if self._is_whole else "number"
            return {"type": kind, **{name: limit for name, limit in limits.items() if limit is not None}}
        if self.kind is Kind.CHOICE:
            return {"enum": list(self.choices)}
        if self.kind is Kind.BOOLEAN:
            return {"type": "boolean"}
        if self.kind is Kind.JSON:
            return {}
        if self.kind in UPLOADS:
            media = {"contentMediaType": "image/*"} if self.kind is Kind.IMAGE else {}
            return {"type": "string", "contentEncoding": "base64", **media}
        return {"type": "string"}

    @property
    def _is_whole(self) -> bool:
        return self.step is not None and self.step % 1 == 0 and (self.min or 0) % 1 == 0

    def _number(self, value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(path, "a number", value)
        if self.min is not None and value < self.min:
            raise wrong(path, f"{shown(self.min)} or more", value)
        if self.max is not None and value > self.max:
            raise wrong(path, f"{shown(self.max)} or less", value)
        if self.step is not None and not _is_multiple(value - (self.min or 0), self.step):
            start = f" from {shown(self.min)} on" if self.min else ""
            wanted = "a whole number" if self._is_whole and self.step == 1 else None
            raise wrong(path, wanted or f"in steps of {shown(self.step)}{start}", value)
        return value

    def _choice(self, value: Any, path: str) -> Any:
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return choice
        raise wrong(path, f"one of {', '.join(map(shown, self.choices))}", value)

    def _upload(self, value: Any, path: str) -> Upload:
        if isinstance(value, Upload):
            return value
        if not isinstance(value, str):
            raise wrong(path, "bytes in base64", value)
        head, comma, rest = value.partition(",") if value.startswith("data:") else ("", "", value)
        try:
            data = base64.b64decode(rest, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(f"{path} must be bytes in base64: {error}", path=path) from error
        given = head.removeprefix("data:").partition(";")[0] if comma else ""
        return Upload(data, given or kind_of_bytes(data))


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)


def kind_of_bytes(data: bytes) -> str:
    """The content type that bytes have by their beginning."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    found = (kind for start, kind in _MAGIC if data.startswith(start))
    return next(found, "application/octet-stream")


def wrong(path: str, wanted: str, value: Any) -> InputError:
    said = "bytes" if isinstance(value, Upload) else shown(value)
    return InputError(f"{path} must be {wanted}, not {said}", path=path)


def _number(text: str, path: str) -> float:
    """A number as people write it."""
    for kind in (int, float):
        try:
            number = kind(text.strip()) if "_" not in text else None
        except ValueError:
            continue
        if number is not None and math.isfinite(number):
            return number
    raise InputError(f"{path} must be a number, not {shown(text)}", path=path)


def _is_multiple(value: float, step: float) -> bool:
    steps = value / step
    return abs(steps - round(steps)) <= _SLACK * max(1.0, abs(steps))


def _is_deep(value: Any) -> bool:
    return isinstance(value, dict | list) and len(json.dumps(value)) > 60
