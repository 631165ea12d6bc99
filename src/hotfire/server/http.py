"""The HTTP server: uvicorn, ended by us and not by signals, and with each header's name as it was sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

RAW_HEADERS = "hotfire.raw_headers"
"""The extension of an ASGI scope that holds them; ASGI's own have their names in lower case."""

BREAK_OFF = "hotfire.break_off"
"""The extension that ends the connection in the middle of an answer."""

INVALID = b"""{
  "code": 400,
  "type": "BadRequestException",
  "message": "Invalid HTTP message."
}
"""
"""What a container says to what is no HTTP."""

_SECONDS_KEPT_ALIVE = 75
"""Longer than the common clients keep a connection that they do not use."""
_SECONDS_TO_ANSWER = 30
"""Requests in hand get so long when the region ends; SageMaker gives a container as much."""


class Flow(Protocol):
    """A body that comes little by little."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None:
        """Want no more of it."""


async def read_body(receive: Any, most: int) -> bytes | None:
    """A request's whole body; None if it is longer than `most` bytes. Raises ConnectionError.

    One that is too long is read to its end and not kept: a client that is cut off while it sends may not
    see the answer.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        part = message.get("body", b"")
        size += len(part)
        parts.append(part)
        if size > most:
            parts.clear()
        more = message.get("more_body", False)
    return b"".join(parts) if size <= most else None


async def send_flow(receive: Any, send: Any, flow: Flow, first: bytes = b"") -> None:
    """Send a body of bytes as they come, and close it; a client that leaves has no more of it made.

    To be called when the answer's head is sent and the request's body is read. Raises what the flow raises.
    """
    sending = asyncio.ensure_future(_send_parts(send, flow, first))
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
        await flow.aclose()
    if not sending.cancelled():
        sending.result()


async def _send_parts(send: Any, flow: Flow, first: bytes) -> None:
    if first:
        await send({"type": "http.response.body", "body": first, "more_body": True})
    async for part in flow:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class Server(uvicorn.Server):
    """Serves until it is told to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs the server."""
        yield

    def end(self) -> None:
        """Answer what is in hand, then end."""
        self.should_exit = True


class RawHeadersProtocol(HttpToolsProtocol):
    """Keeps the names of headers as they were sent: handlers look them up by these."""

    _unheeded: tuple[tuple[bytes, bytes], ...] = ()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._raw: list[tuple[bytes, bytes]] = [*self._unheeded]
        self._unheeded = ()
        scope: Any = self.scope
        scope["extensions"] = {RAW_HEADERS: self._raw, BREAK_OFF: self.transport.close}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._raw.append((name, value.strip()))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the client asks for another protocol."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        # What follows a chunked body has the form of headers, and is none.
        self._raw, self.headers = [], []

    def on_message_complete(self) -> None:
        """Know that the body is whole."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _stay(self, rest: bytes) -> None:
        """Read a request again without its wish for another protocol, which its body follows all the same.

        Java's own HTTP client asks for HTTP/2 with each first request.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("")
            return
        lines = [method + b" " + self.url + b" HTTP/1.1"]
        for name, value in self._raw:
            if name.lower() in (b"connection", b"upgrade"):
                self._unheeded += ((name, value),)
            else:
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, after what came before it."""
        if self.cycle is not None and not (self.cycle.response_complete or self.cycle.more_body):
            self.cycle.keep_alive = False
            return
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(INVALID)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + INVALID)
        self.transport.close()


def server(application: Any, *, raw_headers: bool = False) -> Server:
    """A server of an ASGI application, without what neither of ours has use for."""
    config = uvicorn.Config(
        application,
        http=RawHeadersProtocol if raw_headers else HttpToolsProtocol,
        lifespan="off",
        ws="none",
        log_config=None,  # its lines go where ours go
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_SECONDS_KEPT_ALIVE,
        timeout_graceful_shutdown=_SECONDS_TO_ANSWER,
    )
    return Server(config)
