"""One address at which a debugger finds whichever worker answers, across reloads.

A debugger speaks DAP, the Debug Adapter Protocol, to debugpy in a worker. Each worker has a port of its own
and ends with the next reload, and its code lies in a folder of its own: so the debugger is given an address
that stays, and what it asks for when it attaches is completed here by where the files come from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hotfire.errors import HotfireError, UsageError

_HOST = "127.0.0.1"
_LENGTH = "content-length:"


@dataclass(frozen=True, slots=True)
class Debuggee:
    """A worker in which debugpy listens. `folders` are pairs: where files come from, where they lie there."""

    port: int
    folders: Sequence[tuple[str, str]]


Find = Callable[[], Awaitable[Debuggee]]
"""Has debugpy listen in the worker that answers now; raises HotfireError where none does."""


class Relay:
    """Leads whoever attaches to the worker that answers at that moment."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def open(self, port: int) -> int:
        """Listen, at a free port if it is 0; the port. Raises UsageError where it is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, _HOST, port)
        except OSError as error:
            message = f"no debugger can be listened for at port {port}: {error.strerror}"
            raise UsageError(message, "Name another: --debug-port.") from error
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more; a debugger that is attached lets go of its worker."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(HotfireError, OSError, asyncio.IncompleteReadError, ValueError):
                await self._join(reader, writer)
        except asyncio.CancelledError:
            return  # by `close`: nobody waits for it
        finally:
            self._serving.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = await self._find()
        there, back = await asyncio.open_connection(_HOST, found.port)
        session = _Session(found)
        ways = [
            asyncio.ensure_future(_pass_on(reader, back, session.asked)),
            asyncio.ensure_future(_pass_on(there, writer, session.told)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.close()


class _Session:
    """What is changed in the messages of one debugger and its worker."""

    def __init__(self, found: Debuggee) -> None:
        self._found = found
        self._leaves = False

    def asked(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message of the debugger's: that it attaches, with the folders of this worker."""
        self._leaves |= message.get("command") in ("disconnect", "terminate")
        if message.get("command") != "attach":
            return message
        mappings = [{"localRoot": local, "remoteRoot": remote} for local, remote in self._found.folders]
        return {**message, "arguments": {**(message.get("arguments") or {}), "pathMappings": mappings}}

    def told(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message of the worker's: that it has ended, and that the debugger is to attach to the next."""
        if message.get("event") != "terminated" or self._leaves:
            return message
        return {**message, "body": {"restart": True}}


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    while True:
        body = json.dumps(change(await _message(reader))).encode()
        writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


async def _message(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower().split("\r\n")
    length = next(line.removeprefix(_LENGTH) for line in head if line.startswith(_LENGTH))
    value = json.loads(await reader.readexactly(int(length)))
    return dict(value)
