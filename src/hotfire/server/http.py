"""The HTTP server: uvicorn, ended by the region and not by signals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import uvicorn


class Server(uvicorn.Server):
    """Serves until it is told to end; signals are the region's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def end(self) -> None:
        """Answer what is in hand, then end."""
        self.should_exit = True
