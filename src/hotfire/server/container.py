"""The container's contract over one instance: `/ping` and `/invocations`, answered as AWS's image does.

What the image answers was recorded from it; where Hotfire answers otherwise, it says so in docs/parity.md.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hotfire.errors import DeadlineExceeded, InstanceError, LoadFailed, QueueFull
from hotfire.instances.base import LOAD_FAILED, Answer, Instance, Request, failed_load
from hotfire.instances.desk import FOUND_HEADER
from hotfire.instances.settings import MAX_BYTES
from hotfire.server.http import BREAK_OFF, INVALID, RAW_HEADERS, read_body, send_flow
from hotfire_worker.fields import BadRequest, read_query, unescape

MOST_HEADER_BYTES = 8191
"""TorchServe refuses requests whose header lines, their ends not counted, are longer together."""
MOST_LINE_BYTES = 4095
"""And those whose first line is."""

LOOK = "hotfire.look"
"""The extension of an ASGI scope that holds the `Look` of whoever may have one."""

_NO_LIMIT = 365 * 24 * 3600.0
_MODEL, _VERSION = "model", "1.0"
"""What the inference toolkit calls the one model that it serves."""
_ON_EVERY_ANSWER = {
    "pragma": "no-cache",
    "cache-control": "no-cache; no-store, must-revalidate, private",
    "expires": "Thu, 01 Jan 1970 00:00:00 UTC",
}
_OURS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that say how an answer is sent, which is not the handler's affair."""
_WITHOUT_BODY = (204, 205, 304)


@dataclass(frozen=True, slots=True)
class Look:
    """What a developer asks for besides an answer: as `Request` has it, and whether it may come in chunks."""

    examined: bool = False
    streams: bool = False


class Container:
    """An ASGI application that is what SageMaker expects of a container.

    One that `streams` answers in chunks where the handler returns an iterator. A request does not say which
    of SageMaker's operations it is for, so this is asked for once, for all requests; AWS's image answers 503.
    """

    def __init__(self, instance: Instance, most_bytes: int = MAX_BYTES, *, streams: bool = False) -> None:
        self._instance = instance
        self._most = most_bytes
        self._streams = streams
        self._state = "loading"
        self._failure: Answer | None = None
        self._reason = ""
        self._settled = asyncio.Event()

    async def load(self) -> None:
        """Load the model; what goes wrong is what every request is then told. Raises LoadFailed."""
        try:
            await self._instance.start()
        except LoadFailed as error:
            self._state = "failed"
            self._failure, self._reason = failed_load(error), error.message
            raise
        else:
            self._state = "healthy"
        finally:
            if self._state == "loading":
                self._failure = _refusal(503, "ServiceUnavailableException", "The server ends.")
            self._settled.set()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer an HTTP request, by ASGI."""
        if scope["type"] != "http":
            return
        answer = self._refuse(scope)
        if answer is None:
            try:
                body = await read_body(receive, self._most)
            except ConnectionError:
                return
            answer = await self._answer(scope, body) if body is not None else Answer(413, {}, b"")
        await _write(send, scope["method"], answer)
        if answer.rest is not None:
            await _write_rest(scope, receive, send, answer)

    def _refuse(self, scope: Mapping[str, Any]) -> Answer | None:
        """What is said of a request before its body is read, if it can be said already."""
        raw = scope["extensions"][RAW_HEADERS]
        line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
        line += len("  HTTP/1.1") + bool(scope["query_string"])
        if (
            line > MOST_LINE_BYTES
            or sum(len(name) + len(value) + 2 for name, value in raw) > MOST_HEADER_BYTES
        ):
            return Answer(400, _JSON, INVALID)
        headers = dict(scope["headers"])
        if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
            return Answer(417, {}, b"")
        if int(headers.get(b"content-length", b"0")) > self._most:
            return Answer(413, {}, b"")
        return None

    async def _answer(self, scope: Mapping[str, Any], body: bytes) -> Answer:
        raw_path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        target = f"{raw_path}?{query}" if query else raw_path
        try:
            path = unescape(target, 0, raw_path, plus="+")
            parameters = dict(reversed(read_query(target)))
        except BadRequest as error:
            return _refusal(error.status, error.kind, error.message)
        place = path.rstrip("/").split("/")
        asked = _asked(place, parameters.get("model_name", ""))
        if asked is None:
            return self._elsewhere(scope["method"], place)
        if asked.name != _MODEL:
            return _refusal(404, "ModelNotFoundException", f"Model not found: {asked.name}")
        if asked.version not in ("", _VERSION):
            message = f"Model version: {asked.version} does not exist for model: {asked.name}"
            return _refusal(404, "ModelVersionNotFoundException", message)
        if scope["method"] == "OPTIONS":
            return _json(200, _DESCRIPTION)
        # TorchServe's newer addresses leave the query out of the request's fields.
        return await self._invoke(scope, body, "" if asked.added else query, asked.added)

    def _elsewhere(self, method: str, place: list[str]) -> Answer:
        """What is said at an address that is not one of the model's."""
        match place:
            case [""] if method != "OPTIONS":
                return _refusal(405, "MethodNotAllowedException", _NOT_ALLOWED)
            case [""] | ["", "api-description"]:
                return _json(200, _DESCRIPTION)
            case ["", "ping", *_]:
                return self._ping()
            case ["", "metrics"]:
                return Answer(200, {"content-type": "text/plain; version=0.0.4; charset=utf-8"}, b"")
            case ["", "models"] if method == "GET":
                return _json(200, {"models": [{"modelName": _MODEL, "modelUrl": "/opt/ml/model"}]})
            case ["", "models"]:
                return _refusal(405, "MethodNotAllowedException", _NOT_ALLOWED)
        return _refusal(404, "ResourceNotFoundException", _NOT_FOUND)

    async def _invoke(
        self, scope: Mapping[str, Any], body: bytes, query: str, added: Mapping[str, str]
    ) -> Answer:
        await self._settled.wait()
        if self._failure is not None:
            return self._failure
        headers = {**_headers(scope, len(body)), **added}
        look = scope["extensions"].get(LOOK, Look(streams=self._streams))
        request = Request(str(uuid.uuid4()), headers, body, _NO_LIMIT, query, look.examined)
        streams = look.streams and scope["method"] != "HEAD" and scope["http_version"] != "1.0"
        try:
            answer = await (self._instance.stream if streams else self._instance.invoke)(request)
        except QueueFull:
            return _refusal(503, "ServiceUnavailableException", _BUSY)
        except DeadlineExceeded as error:
            return _refusal(500, "InternalServerException", error.message)
        if answer.rest is not None and answer.status in _WITHOUT_BODY:
            await answer.rest.aclose()
            answer = replace(answer, rest=None)
        found = _found(answer) if LOOK in scope["extensions"] else {}
        return replace(answer, headers={**answer.headers, "x-request-id": request.id, **found})

    def _ping(self) -> Answer:
        if self._state == "healthy":
            return _json(200, {"status": "Healthy"})
        if self._state == "loading":
            return _json(503, {"status": "Loading"})
        return _json(500, {"status": LOAD_FAILED, "reason": self._reason})


_JSON = {"content-type": "application/json"}
_NOT_FOUND = "Requested resource is not found, please refer to API document."
_NOT_ALLOWED = "Requested method is not allowed, please refer to API document."
_BUSY = (
    'Model "model" has no worker to serve inference request. Please use scale workers API to add workers. '
    "If this is a sequence inference, please check if it is closed, or expired; "
    "or exceeds maxSequenceJobQueueSize"
)
_DESCRIPTION = {
    "openapi": "3.0.1",
    "info": {"title": "A SageMaker container", "version": _VERSION},
    "paths": {
        "/ping": {"get": {"operationId": "ping", "responses": {"200": {"description": "It serves."}}}},
        "/invocations": {
            "post": {
                "operationId": "invoke",
                "requestBody": {"content": {"*/*": {}}},
                "responses": {
                    "default": {"description": "What the handler answers.", "content": {"*/*": {}}}
                },
            }
        },
    },
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """The model and the version that are asked for a prediction, and what the address adds to the headers."""

    name: str
    version: str = ""
    added: Mapping[str, str] = field(default_factory=dict)


def _asked(place: list[str], model_name: str) -> _Asked | None:
    """What an address asks for; None if it is not one of a model's."""
    match place:
        case ["", "ping" | "api-description", *_]:
            return None
        case ["", "invocations"]:
            return _Asked(model_name or _MODEL)
        case ["", "predictions" | "explanations" as kind, name, *rest]:
            added = {"explain": str(kind == "explanations"), "url_path": "/".join(rest[1:])}
            return _Asked(name, "".join(rest[:1]), added)
        case ["", "models", name, "invoke"]:
            return _Asked(name)
        case ["", "models" | "invocations" | "predictions", *_]:
            return None
        case ["", name, "predict"]:
            return _Asked(name)
        case ["", name, version, "predict"]:
            return _Asked(name, version)
    return None


def _headers(scope: Mapping[str, Any], length: int) -> dict[str, str]:
    """The request's headers as they reach a handler: those of its transport are gone, its length is there."""
    named = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["extensions"][RAW_HEADERS]
    }
    lower = dict(scope["headers"])
    if b"expect" in lower or b"transfer-encoding" in lower:
        named = {
            name: value
            for name, value in named.items()
            if name.lower() not in ("expect", "transfer-encoding")
        }
    if b"content-length" not in lower:
        named["content-length"] = str(length)
    return named


def _found(answer: Answer) -> dict[str, str]:
    return {FOUND_HEADER: json.dumps({"times": dict(answer.times), "findings": answer.findings})}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, _JSON, (json.dumps(value, indent=2) + "\n").encode())


def _refusal(status: int, kind: str, message: str) -> Answer:
    return _json(status, {"code": status, "type": kind, "message": message})


async def _write(send: Any, method: str, answer: Answer) -> None:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    headers = {name: value for name, value in headers.items() if name not in _OURS} | _ON_EVERY_ANSWER
    body = answer.body
    if answer.status in _WITHOUT_BODY:
        body = b""
    if answer.rest is None and answer.status not in (204, 304):
        headers["content-length"] = str(len(body))
    if answer.status >= 400 and answer.status != 413:
        headers["connection"] = "close"
    pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    if answer.rest is None:
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _write_rest(scope: Mapping[str, Any], receive: Any, send: Any, answer: Answer) -> None:
    """Send an answer in chunks as its parts come; one that breaks off has no last chunk."""
    assert answer.rest is not None
    try:
        await send_flow(receive, send, answer.rest, answer.body)
    except InstanceError:
        scope["extensions"][BREAK_OFF]()
        while (await receive())["type"] != "http.disconnect":
            pass
