"""What a handler prints, a line at a time, tagged with the request in hand.

A tagged line is `RS tag US text LF`; one that goes on in the next ends in `GS LF`. A write is at most
PIPE_BUF bytes, which a pipe takes whole, so that lines of several processes do not mix. Lines without a
tag come from programs that write to the descriptors themselves.
"""

import io
import os
import sys
from typing import Any

RS, US, GS = b"\x1e", b"\x1f", b"\x1d"
_LIMIT = 3800
_DESCRIPTOR = 1


class TaggedOutput(io.RawIOBase):
    """The raw stream under `sys.stdout` and `sys.stderr` of a holder and its workers."""

    def __init__(self) -> None:
        super().__init__()
        self.tag = b""
        self._partial = b""

    def writable(self) -> bool:
        """It is only written to."""
        return True

    def fileno(self) -> int:
        """Where programs that the handler starts write to."""
        return _DESCRIPTOR

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # anything that holds bytes
        """Take bytes, pass on the lines that are complete."""
        taken = bytes(data)
        lines = (self._partial + taken).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._emit(line)
        return len(taken)

    def finish(self) -> None:
        """Pass on a line that has no end yet; called at the end of a request."""
        if self._partial:
            partial, self._partial = self._partial, b""
            self._emit(partial)

    def _emit(self, line: bytes) -> None:
        head = RS + self.tag + US
        while len(line) > _LIMIT:
            os.write(_DESCRIPTOR, head + line[:_LIMIT] + GS + b"\n")
            line = line[_LIMIT:]
        os.write(_DESCRIPTOR, head + line + b"\n")


def redirect(descriptor: int) -> TaggedOutput:
    """Send this process's output, tagged, to a pipe; consumes the descriptor."""
    for target in (1, 2):
        os.dup2(descriptor, target)
    if descriptor > 2:
        os.close(descriptor)
    output = TaggedOutput()
    raw: Any = output  # unbuffered, as under `python -u`: what precedes a crash is seen
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
        setattr(sys, name, stream)
        setattr(sys, "__" + name + "__", stream)
    return output
