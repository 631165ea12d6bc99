"""What a recording is made of: containers, and the requests that each of them gets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"
FORM = "application/x-www-form-urlencoded"

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Repeated:
    """A body that is too large to be written down."""

    unit: bytes
    count: int
    prefix: bytes = b""
    suffix: bytes = b""


@dataclass(frozen=True)
class Ask:
    """One request, by its parts or, as it stands, by `raw`."""

    name: str
    body: bytes | Repeated | None = b"[1]"
    headers: Headers = (("Content-Type", JSON), ("Accept", JSON))
    method: str = "POST"
    path: str = "/invocations"
    raw: bytes | None = None
    hotfire: int | None = None
    """The status that Hotfire answers, where it answers otherwise on purpose."""


@dataclass(frozen=True)
class Setup:
    """A container, by the name of its handler's file if it has one, and what it is asked, in order."""

    name: str
    asks: Sequence[Ask]
    handler: str = ""
    place: str = "code/inference.py"
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    """Further files, which are empty."""
    scripted: str = ""
    """Where a TorchScript model lies that computes x * 2 + 1."""


def kinds(content_type: str | None = JSON, accept: str | None = JSON, *more: tuple[str, str]) -> Headers:
    """Headers with these types, without those that are None."""
    given = [("Content-Type", content_type), ("Accept", accept)]
    return [(name, value) for name, value in given if value is not None] + list(more)


def say(name: str, value: Any = None, headers: Headers | None = None, hotfire: int | None = None) -> Ask:
    """A request with a JSON value: its own name, if there is no other."""
    body = json.dumps(name if value is None else value).encode()
    return Ask(name, body, kinds() if headers is None else headers, hotfire=hotfire)


def get(name: str, path: str, hotfire: int | None = None) -> Ask:
    """A request without a body or headers."""
    return Ask(name, None, (), "GET", path, hotfire=hotfire)


def numbered(name: str, text: str) -> list[tuple[str, str]]:
    """The items of a list that bars divide, each with a name that counts."""
    return [(f"{name}_{number}", item) for number, item in enumerate(text.strip("\n").split("|"))]
