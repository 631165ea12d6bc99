"""HTTP to a container: connections that are kept, answers whole or in parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

from hotfire.errors import InstanceError

_BLOCK = 64 * 1024
_MOST_AT_ONCE = 128
"""Connections to one container; what is more waits."""
_MOST_IDLE = 16


class Disconnected(InstanceError):
    """The container closed the connection, or did not take one."""


class NotReached(Disconnected):
    """Nothing takes connections there: what was to be sent was not."""


class Connections:
    """To one port, of the loopback if no host is named."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port, self._host = port, host
        self._idle: deque[_Connection] = deque()
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Send a request; its answer as far as its headers, which is to be closed. Raises Disconnected."""
        await self._turn.acquire()
        connection: _Connection | None = None
        try:
            head = _head(method, path, headers or {}, body)
            connection = self._kept()
            if connection is not None:
                with contextlib.suppress(_Stale):
                    return Reply(self, connection, await connection.ask(head, body, is_kept=True))
                connection.abort()
            connection = await _Connection.open(self._host, self._port)
            return Reply(self, connection, await connection.ask(head, body))
        except BaseException:
            if connection is not None:
                connection.abort()
            self._turn.release()
            raise

    def close(self) -> None:
        """Let the idle ones go."""
        while self._idle:
            self._idle.pop().abort()

    def give_back(self, connection: _Connection, *, is_whole: bool) -> None:
        """An answer has been read, or is not wanted any more."""
        self._turn.release()
        if is_whole and connection.is_open and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.abort()

    def _kept(self) -> _Connection | None:
        """The one that was used last, of those that are still open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.abort()
        return None


class Reply:
    """An answer whose body is still to be read."""

    def __init__(self, connections: Connections, connection: _Connection, message: _Message) -> None:
        self._connections, self._connection, self._message = connections, connection, message
        self._closed = False
        self.status = message.status
        self.headers: Mapping[str, str] = message.headers

    async def read(self) -> bytes:
        """The whole body. Raises Disconnected if it breaks off."""
        parts = []
        while part := await self.part():
            parts.append(part)
        return b"".join(parts)

    async def part(self) -> bytes:
        """What has come of the body, empty at its end. Raises Disconnected if it breaks off."""
        return await self._connection.part(self._message)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more comes than what has been read."""
        return self._message.is_complete and not self._message.parts

    def close(self) -> None:
        """Want no more of it."""
        if not self._closed:
            self._closed = True
            is_whole = self._message.is_complete and self._message.keeps_alive
            self._connections.give_back(self._connection, is_whole=is_whole)


class _Stale(Exception):
    """A kept connection was closed at the other end before the request got there."""


class _Message:
    """Takes what httptools reads of one answer."""

    def __init__(self) -> None:
        import httptools

        self.parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.parts: deque[bytes] = deque()
        self.status = 0
        self.has_head = self.is_complete = False
        self.keeps_alive = True

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()
        self.has_head = self.status >= 200

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        if self.status < 200:  # what is informative comes before the answer
            self._begin()
        else:
            self.is_complete = True

    @property
    def ends_with_connection(self) -> bool:
        """Whether the answer says in no other way where its body ends."""
        names = {name.lower() for name in self.headers}
        return self.has_head and not names & {"content-length", "transfer-encoding"}


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int) -> _Connection:
        try:
            reader, writer = await asyncio.open_connection(host, port, limit=_BLOCK)
        except OSError as error:
            raise NotReached(str(error)) from error
        return cls(reader, writer)

    @property
    def is_open(self) -> bool:
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def ask(self, head: bytes, body: bytes, *, is_kept: bool = False) -> _Message:
        message = _Message()
        # An answer may come before all of the request is read: so what is sent is not waited for.
        self._writer.write(head)
        self._writer.write(body)
        while not message.has_head:
            data = await self._read()
            if not data:
                raise _Stale if is_kept else Disconnected("it closed the connection without an answer")
            is_kept = False
            self._feed(message, data)
        return message

    async def part(self, message: _Message) -> bytes:
        while not message.parts:
            if message.is_complete:
                return b""
            data = await self._read()
            if not data:
                if not message.ends_with_connection:
                    raise Disconnected("it closed the connection in the middle of an answer")
                message.is_complete, message.keeps_alive = True, False
                return b""
            self._feed(message, data)
        part = b"".join(message.parts)
        message.parts.clear()
        return part

    def _feed(self, message: _Message, data: bytes) -> None:
        import httptools

        try:
            message.parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise Disconnected("it answered with another protocol") from error
        except httptools.HttpParserError as error:
            raise Disconnected(f"it answered with what is not HTTP: {error}") from error

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_BLOCK)
        except OSError:
            return b""

    def abort(self) -> None:
        self._writer.transport.abort()


def _head(method: str, path: str, headers: Mapping[str, Any], body: bytes) -> bytes:
    given = {name.lower() for name in headers}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if "host" not in given:
        lines.append("Host: 127.0.0.1:8080")
    if "content-length" not in given and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    # A line end in a value would begin another header.
    clean = [line.replace("\r", " ").replace("\n", " ") for line in lines]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *clean, "", ""]).encode("latin-1", "replace")
