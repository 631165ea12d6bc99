"""Event streams: an answer as a sequence of messages, written by botocore's service models.

A message is its length and that of its headers, a checksum of both, the headers, a payload, and a checksum
of all that. Numbers are big-endian, the checksums CRC-32.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, Self

from hotfire.errors import ServiceError
from hotfire.region.codec import to_json

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
"""The type of a header whose value is text."""
_BETWEEN = 16
"""Bytes of a message besides its headers and its payload."""
_BLOB = "application/octet-stream"
_JSON = "application/json"


class Flow(Protocol):
    """A body that comes little by little; whoever takes it closes it."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def __anext__(self) -> Any: ...

    async def aclose(self) -> None:
        """Want no more of it."""


class Messages:
    """The messages that events are, each as soon as its event is there.

    An event is the name of a member of the stream's shape and its value, as a mapping of one. A ServiceError
    that is raised in place of an event is the stream's last message.
    """

    def __init__(self, shape: Any, events: Flow) -> None:
        self._shape = shape
        self._events = events
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            ((name, value),) = (await anext(self._events)).items()
        except ServiceError as error:
            self._ended = True
            return _exception(self._shape, error)
        return _event(self._shape.members[name], name, value)

    async def aclose(self) -> None:
        """Want no more of it."""
        self._ended = True
        await self._events.aclose()


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    start = struct.pack(">II", len(head) + len(payload) + _BETWEEN, len(head))
    start += struct.pack(">I", zlib.crc32(start))
    checksum = zlib.crc32(payload, zlib.crc32(head, zlib.crc32(start)))
    return b"".join((start, head, payload, struct.pack(">I", checksum)))


def _header(name: str, value: str) -> bytes:
    short, long = name.encode(), value.encode()
    return struct.pack(">B", len(short)) + short + struct.pack(">BH", _STRING, len(long)) + long


def _event(shape: Any, name: str, value: Mapping[str, Any]) -> bytes:
    headers = {":message-type": "event", ":event-type": name}
    for member, inner in shape.members.items():
        if inner.serialization.get("eventpayload") and inner.type_name == "blob":
            return message({**headers, ":content-type": _BLOB}, value.get(member, b""))
    return message({**headers, ":content-type": _JSON}, _json(shape, value))


def _exception(shape: Any, error: ServiceError) -> bytes:
    """An error that the stream's shape has by its code; any other without more than code and message."""
    inner = shape.members.get(error.code)
    if inner is None:
        headers = {":message-type": "error", ":error-code": error.code, ":error-message": error.message}
        return message(headers, b"")
    headers = {":message-type": "exception", ":exception-type": error.code, ":content-type": _JSON}
    return message(headers, _json(inner, {**error.members, "Message": error.message}))


def _json(shape: Any, value: Mapping[str, Any]) -> bytes:
    return json.dumps(to_json(shape, value)).encode()
