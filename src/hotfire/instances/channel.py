"""The region's ends of the sockets to its processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from hotfire.errors import InstanceError
from hotfire_worker import wire

Receive = Callable[[wire.Header, bytearray], None]


class FrameProtocol(asyncio.Protocol):
    """Hands each frame to `receive`, and the end of the connection to `lost`."""

    def __init__(self, receive: Receive, lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._parser = wire.Parser()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Cut frames."""
        for header, body in self._parser.feed(data):
            self._receive(header, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone, or we closed."""
        self._lost()

    def send(self, header: wire.Header, body: bytes = b"") -> None:
        """Send a frame."""
        self.write(wire.encode(header, body))

    def write(self, data: bytes) -> None:
        """Send what is a frame, or the rest of one."""
        if self._transport is not None and data:
            self._transport.write(data)

    def hold(self) -> None:
        """Read nothing for now: the process waits when it has written what the socket takes."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close our end."""
        if self._transport is not None:
            self._transport.close()


async def connect(sock: socket.socket, receive: Receive, lost: Callable[[], None]) -> FrameProtocol:
    """Read frames from our end of a socket pair; the socket is the protocol's from now on."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    # Not to be given up half way: the socket would be nobody's to close.
    opening = asyncio.ensure_future(
        loop.create_unix_connection(lambda: FrameProtocol(receive, lost), sock=sock)
    )
    try:
        _, protocol = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    return protocol


def _close(opening: asyncio.Future[tuple[asyncio.Transport, FrameProtocol]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


class ControlChannel:
    """Commands to a process that forks others, one at a time; its reports go to `on_event`."""

    def __init__(self, on_event: Callable[[wire.Header], None], on_lost: Callable[[], None]) -> None:
        self._on_event = on_event
        self._on_lost = on_lost
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Any] | None = None
        self._protocol: FrameProtocol | None = None
        self._sender: socket.socket | None = None

    async def open(self, sock: socket.socket) -> None:
        """Use our end of a socket pair."""
        # Descriptors are sent past the transport, whose socket does not let them through.
        self._sender = sock.dup()
        self._protocol = await connect(sock, self._received, self._lost)

    async def call(self, command: wire.Header, descriptors: list[int]) -> Any:
        """Send a command with descriptors; the process's answer. Raises InstanceError if it is gone."""
        async with self._turn:
            if self._sender is None or self._protocol is None:
                raise InstanceError("the process that forks has ended")
            self._answer = asyncio.get_running_loop().create_future()
            try:
                self._protocol.write(wire.send_command(self._sender, command, descriptors))
                return await self._answer
            except OSError as error:
                raise InstanceError("the process that forks has ended") from error
            finally:
                self._answer = None

    def close(self) -> None:
        """Close our end, upon which the process ends."""
        if self._protocol is not None:
            self._protocol.close()
        self._release()

    def _received(self, header: wire.Header, _: bytearray) -> None:
        if "answer" not in header:
            self._on_event(header)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(header["answer"])

    def _lost(self) -> None:
        self._release()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(InstanceError("the process that forks has ended"))
        self._on_lost()

    def _release(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None
