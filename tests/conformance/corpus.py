"""The recorded cases as values: ours, a setup a file, and those beside the repository, a case a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = Path(__file__).parent
SHARED = OURS.parent.parent.parent / "shared" / "conformance"


@dataclass(frozen=True, eq=False)
class Setup:
    """A container: its name, its variables, and its model's files by place."""

    name: str
    environment: Mapping[str, str]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Case:
    """A request, byte for byte, and what was answered."""

    name: str
    setup: Setup
    method: str
    path: str
    sent: bytes
    status: int | None
    """None where there was no answer at all."""
    headers: Mapping[str, str]
    body: bytes
    hotfire: Mapping[str, Any] | None
    """What Hotfire answers instead, on purpose."""
    is_stable: bool
    """Whether AWS's stack answers the same every time."""


def cases() -> Iterator[Case]:
    """Both corpora, setup by setup, as they were asked."""
    for file in sorted(OURS.glob("*.json")):
        recorded = json.loads(file.read_text())
        setup = _setup(recorded)
        for one in recorded["cases"]:
            yield _case(f"{setup.name}:{one['name']}", setup, one)
    found = [(file.stem, json.loads(file.read_text())) for file in SHARED.glob("*.json")]
    setups = {one["setup"]: _setup(one) for _, one in found}
    for name, one in sorted(found, key=lambda pair: (pair[1]["setup"], pair[1].get("order", 0), pair[0])):
        yield _case(name, setups[one["setup"]], one)


def _setup(recorded: Mapping[str, Any]) -> Setup:
    files = {place: base64.b64decode(content) for place, content in recorded["model_files_base64"].items()}
    return Setup(recorded["setup"], recorded["env"], files)


def _case(name: str, setup: Setup, recorded: Mapping[str, Any]) -> Case:
    request, response = recorded["request"], recorded["response"]
    return Case(
        name=name,
        setup=setup,
        method=request["method"],
        path=request.get("path", ""),
        sent=_sent(request),
        status=response["status"],
        headers={key.lower(): value for key, value in response.get("headers", [])},
        body=_body(response) or b"",
        hotfire=recorded.get("hotfire"),
        is_stable=recorded.get("stable_on_rerun", True),
    )


def _sent(request: Mapping[str, Any]) -> bytes:
    """Exactly these headers; the host's and the length where they go without saying."""
    if "raw_base64" in request:
        return base64.b64decode(request["raw_base64"])
    names = {name.lower() for name, _ in request["headers"]}
    lines = [f"{request['method']} {request['path']} HTTP/1.1", "Host: 127.0.0.1:8080"]
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    body = _body(request)
    if body is not None and not names & {"transfer-encoding", "content-length"}:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def _body(message: Mapping[str, Any]) -> bytes | None:
    if "body_repeat" in message:
        repeat = message["body_repeat"]
        prefix, unit, suffix = (
            base64.b64decode(repeat[f"{part}_base64"]) for part in ("prefix", "unit", "suffix")
        )
        return prefix + unit * repeat["count"] + suffix
    if message.get("body_base64") is not None:
        return base64.b64decode(message["body_base64"])
    text = message.get("body_text")
    return None if text is None else text.encode()
