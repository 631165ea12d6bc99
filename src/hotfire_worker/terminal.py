"""`breakpoint()` in a handler: pdb, in the terminal of whoever works on the handler.

It listens on a Unix socket there. A conversation lasts from a breakpoint until the handler goes on, so that
one steps in it; meanwhile the region is told that the request in hand is held, and may take its time.
"""

import os
import socket
import sys
from types import FrameType
from typing import Any, Optional

from hotfire_worker.wire import Channel

VARIABLE = "HOTFIRE_TERMINAL"
"""The socket's path, of a handler that somebody works on; empty if nobody is at the terminal."""


class Terminal:
    """Stands in for `sys.breakpointhook` in a worker, unless PYTHONBREAKPOINT names another."""

    def __init__(self, path: Optional[str], channel: Channel) -> None:
        """Without a path breakpoints are left to Python."""
        self._path, self._channel = path or "", channel
        self._debugger: Any = None
        if path is not None and "PYTHONBREAKPOINT" not in os.environ:
            sys.breakpointhook = self

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Stop where `breakpoint()` was called."""
        frame = sys._getframe(1)
        if self._debugger is None:
            self._debugger = self._begin(frame)
        if self._debugger is not None:
            self._debugger.set_trace(frame)

    def finish(self) -> None:
        """The request is answered: breakpoints that were set in the conversation end with it."""
        if self._debugger is not None:
            sys.settrace(None)
            self._debugger.leave()

    def _left(self) -> None:
        """The conversation has ended."""
        self._debugger = None
        self._channel.send({"event": "released"})

    def _begin(self, frame: FrameType) -> Any:
        from hotfire_worker.conversation import Conversation

        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            place = os.path.basename(frame.f_code.co_filename) + ":" + str(frame.f_lineno)
            sys.stdout.write("hotfire: breakpoint() in " + place + " passed over: nobody is at a terminal\n")
            return None
        self._channel.send({"event": "held"})
        return Conversation(connection, self._left)
