"""Requests and answers between ASGI and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hotfire.region.wire import Request, Response


def head_of(given: Mapping[str, Any]) -> Request:
    """A request whose body is not read yet."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in given["headers"]}
    path, query = given["raw_path"].decode("latin-1"), given["query_string"].decode("latin-1")
    return Request(given["method"], path, query, headers, b"")


async def send_response(send: Any, response: Response) -> None:
    """Send an answer; of one that flows, its head."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers
    ]
    if response.flow is None:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.flow is None:
        await send({"type": "http.response.body", "body": response.body})
