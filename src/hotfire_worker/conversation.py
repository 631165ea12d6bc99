"""pdb over a socket. Imported at the first breakpoint."""

import contextlib
import pdb
import socket
from typing import Callable


class Conversation(pdb.Pdb):
    """One from a breakpoint until the handler goes on, upon which it gives the socket back."""

    def __init__(self, connection: socket.socket, ended: Callable[[], None]) -> None:
        self._connection, self._ended = connection, ended
        self._stream = connection.makefile("rw", encoding="utf-8", errors="replace", newline="\n")
        super().__init__(stdin=self._stream, stdout=self._stream, nosigint=True, readrc=False)

    def set_continue(self) -> None:
        """Go on, to the next breakpoint of the conversation if it has set any."""
        super().set_continue()
        if not self.breaks:
            self.leave()

    def set_quit(self) -> None:
        """Have the request fail."""
        super().set_quit()
        self.leave()

    def leave(self) -> None:
        """End the conversation."""
        if self._connection.fileno() < 0:
            return
        with contextlib.suppress(OSError):  # whoever was there may have left first
            self._stream.close()
        self._connection.close()
        self._ended()
