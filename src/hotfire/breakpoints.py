"""Where `breakpoint()` of a handler leads: a Unix socket of whoever works on it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

Converse = Callable[[socket.socket], None]
"""Talks with the debugger of one request until it has closed its end."""


class Breakpoints:
    """Listens for the debuggers of requests that have come to a breakpoint; one talks at a time."""

    def __init__(self, converse: Converse) -> None:
        self._converse = converse
        self._folder = Path(mkdtemp(prefix="hotfire-"))  # for this user alone
        self.path = self._folder / "breakpoints"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.path))
        self._socket.listen()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(ConnectionError):
                    self._converse(connection)
