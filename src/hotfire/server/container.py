"""The container's contract over one instance: `/ping` and `/invocations`, answered as AWS's image does.

What the image answers was recorded from it; where Hotfire answers otherwise, it says so in docs/parity.md.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from hotfire.errors import DeadlineExceeded, LoadFailed, QueueFull
from hotfire.instances.base import Answer, Instance, Request
from hotfire.server.http import RAW_HEADERS, read_body

MOST_HEADER_BYTES = 8192
"""TorchServe refuses requests whose headers are longer."""
MOST_BYTES = 1024 * 1024 * 1024
"""Bodies beyond any limit that may be set are not kept."""

_NO_LIMIT = 365 * 24 * 3600.0
_HEALTHY = {"status": "Healthy"}
_ON_EVERY_ANSWER = (
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache; no-store, must-revalidate, private"),
    ("Expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
)


class Container:
    """An ASGI application that is what SageMaker expects of a container."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._state = "loading"
        self._failure: Answer | None = None

    async def load(self) -> None:
        """Load the model; what goes wrong is what every request is then told. Raises LoadFailed."""
        try:
            await self._instance.start()
        except LoadFailed as error:
            self._state = "failed"
            body = f"{error.message}\n{error.trace}".rstrip() + "\n"
            self._failure = Answer(500, {}, body.encode())
            raise
        self._state = "healthy"

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer an HTTP request, by ASGI."""
        if scope["type"] != "http":
            return
        headers = scope["extensions"][RAW_HEADERS]
        try:
            body = await read_body(receive, MOST_BYTES)
        except ConnectionError:
            return
        if sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
            answer = _refusal(400, "BadRequestException", "Invalid HTTP message.")
        elif body is None:
            answer = Answer(413, {}, b"")
        else:
            answer = await self._answer(scope, headers, body)
        await _write(send, scope["method"], answer)

    async def _answer(
        self, scope: Mapping[str, Any], headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Answer:
        path = scope["path"].rstrip("/")
        if path == "/ping":
            return self._ping()
        if path != "/invocations":
            return _refusal(404, "ResourceNotFoundException", _NOT_FOUND)
        if self._failure is not None:
            return self._failure
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        query = scope["query_string"].decode("latin-1")
        request = Request(str(uuid.uuid4()), named, body, _NO_LIMIT, query)
        try:
            answer = await self._instance.invoke(request)
        except QueueFull:
            return _refusal(503, "ServiceUnavailableException", _BUSY)
        except DeadlineExceeded as error:
            return _refusal(500, "InternalServerException", error.message)
        return Answer(answer.status, {**answer.headers, "x-request-id": request.id}, answer.body)

    def _ping(self) -> Answer:
        if self._state == "healthy":
            return _json(200, _HEALTHY)
        return _json(503 if self._state == "loading" else 500, {"status": self._state.capitalize()})


_NOT_FOUND = "Requested resource is not found, please refer to API document."
_BUSY = 'Model "model" has no worker to serve inference request. Please use scale workers API to add workers.'


def _json(status: int, value: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, (json.dumps(value, indent=2) + "\n").encode())


def _refusal(status: int, kind: str, message: str) -> Answer:
    return _json(status, {"code": status, "type": kind, "message": message})


async def _write(send: Any, method: str, answer: Answer) -> None:
    pairs = [*answer.headers.items(), *_ON_EVERY_ANSWER, ("content-length", str(len(answer.body)))]
    if answer.status >= 400:
        pairs.append(("connection", "close"))
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
