"""The region's end of the pipe to which an instance's processes print."""

from __future__ import annotations

import asyncio
import os

from hotfire.instances.base import Output
from hotfire_worker.output import GS, RS, US

_LONGEST_LINE = 1024 * 1024
_SECONDS_TO_END = 1.0


class OutputPipe(asyncio.Protocol):
    """Cuts what the processes print into lines and says during which request each was printed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._partial = b""
        self._begun: dict[bytes, bytes] = {}
        self._ended = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None
        self._write_end = -1

    @property
    def write_end(self) -> int:
        """The descriptor that processes are given."""
        return self._write_end

    async def open(self) -> None:
        """Make the pipe and begin to read it."""
        read_end, self._write_end = os.pipe()
        reader = os.fdopen(read_end, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, reader)

    async def close(self) -> None:
        """Read what is left; to be called when the processes have ended."""
        if self._transport is None or self._write_end < 0:
            return
        os.close(self._write_end)
        self._write_end = -1
        try:
            await asyncio.wait_for(self._ended.wait(), _SECONDS_TO_END)
        except TimeoutError:
            # A program that the handler started lives on and holds the pipe; its output is of no use now.
            self._transport.close()
            await self._ended.wait()

    def say(self, line: str) -> None:
        """Add a line of our own."""
        self._output("", line)

    def data_received(self, data: bytes) -> None:
        """Cut lines."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._partial) > _LONGEST_LINE:
            self._take(self._partial)
            self._partial = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """All processes have closed it."""
        if self._partial:
            self._take(self._partial)
        for tag in list(self._begun):
            self._tell(tag, b"")
        self._ended.set()

    def _take(self, line: bytes) -> None:
        # What precedes a tag was written to the descriptor itself, by a program that ended no line.
        untagged, sign, tagged = line.partition(RS)
        if untagged or not sign:
            self._output("", untagged.decode("utf-8", "replace"))
        if not sign:
            return
        tag, _, text = tagged.partition(US)
        if not text.endswith(GS):
            self._tell(tag, text)
            return
        begun = self._begun[tag] = self._begun.get(tag, b"") + text[:-1]
        if len(begun) >= _LONGEST_LINE:
            self._tell(tag, b"")

    def _tell(self, tag: bytes, rest: bytes) -> None:
        """Pass on a line that has ended."""
        text = self._begun.pop(tag, b"") + rest
        self._output(tag.decode("ascii", "replace"), text.decode("utf-8", "replace"))
