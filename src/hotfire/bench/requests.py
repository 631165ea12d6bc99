"""Requests as the bytes that go over the wire, signed by botocore beforehand."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hotfire.examples import ExampleRequest

SIGNED_SECONDS = 60.0
"""After so long they are signed anew: AWS takes a signature for five minutes."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the requests go."""

    host: str
    port: int
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """Requests to one target, each with head and body."""

    target: Target
    wires: tuple[bytes, ...]


Prepare = Callable[[], Prepared]
"""Signs them now."""


def preparing(client: Any, endpoint: str, requests: Sequence[ExampleRequest]) -> Prepare:
    """Of a `sagemaker-runtime` client: what it would send for these requests, with nothing sent."""
    return lambda: _prepared([_signed(client, endpoint, request) for request in requests])


def _signed(client: Any, endpoint: str, request: ExampleRequest) -> Any:
    """The request as botocore would send it: its last word before it does is ours."""
    from botocore.awsrequest import AWSResponse

    caught: list[Any] = []

    def catch(request: Any, **_: Any) -> Any:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, io.BytesIO())

    event = "before-send.sagemaker-runtime.InvokeEndpoint"
    client.meta.events.register_first(event, catch)
    try:
        client.invoke_endpoint(EndpointName=endpoint, **request.parameters())
    finally:
        client.meta.events.unregister(event, catch)
    return caught[-1]


def _prepared(signed: Sequence[Any]) -> Prepared:
    url = urlsplit(signed[0].url)
    is_encrypted = url.scheme == "https"
    target = Target(url.hostname or "", url.port or (443 if is_encrypted else 80), is_encrypted)
    return Prepared(target, tuple(_wire(request) for request in signed))


def _wire(request: Any) -> bytes:
    url = urlsplit(request.url)
    lines = [f"{request.method} {url.path}{'?' if url.query else ''}{url.query} HTTP/1.1"]
    headers = {name: _text(value) for name, value in request.headers.items()}
    headers.setdefault("Host", url.netloc)
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (request.body or b"")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
