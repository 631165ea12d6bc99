"""What the nodes of a Ray cluster fetch from the region: model data, orders, the program that takes them."""

from __future__ import annotations

import contextlib
import hmac
import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

Content = bytes | Path


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one application may fetch, by its place."""

    contents: Mapping[str, Content]


class RayFiles:
    """A listener on the address that faces the cluster; who does not know the secret is told nothing.

    It has threads of its own: a gigabyte of weights holds up no request.
    """

    def __init__(self, host: str, port: int, secret: str) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._server = _listen(host, port, _handler(self._shelves, secret))
        self.host, self.port = host, self._server.server_address[1]
        self._secret = secret
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="Ray files", daemon=True
        )
        self._thread.start()

    def url(self, name: str) -> str:
        """Where an application's shelf is, or is to be."""
        return f"http://{self.host}:{self.port}/{self._secret}/{name}"

    def put(self, name: str, shelf: Shelf) -> None:
        """Let an application fetch these."""
        self._shelves[name] = shelf

    def drop(self, name: str) -> None:
        """Let it fetch nothing any longer."""
        self._shelves.pop(name, None)

    def close(self) -> None:
        """End, whatever is on its way."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def facing(host: str, port: int) -> str:
    """The address of this machine from which another is reached. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking:
        looking.connect((host, port))  # which sends nothing
        address: str = looking.getsockname()[0]
    return address


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """On that port; on any, if another program has it."""
    with contextlib.suppress(OSError):
        return _Server((host, port), handler)
    return _Server((host, 0), handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A node that hangs up is no affair of the region's log."""


def _handler(shelves: Mapping[str, Shelf], secret: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            _, given, name, place = (*unquote(self.path).split("/", 3), "", "", "")[:4]
            knows = hmac.compare_digest(given.encode(), secret.encode())
            content = shelves[name].contents.get(place) if knows and name in shelves else None
            if content is None:
                self.send_error(404)
            elif isinstance(content, bytes):
                self._head(len(content))
                self.wfile.write(content)
            else:
                with content.open("rb") as file:
                    self._head(content.stat().st_size)
                    self._send(file)

        def _head(self, size: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def _send(self, file: BinaryIO) -> None:
            self.wfile.flush()
            try:
                self.connection.sendfile(file)
            except ValueError:  # what is no regular file
                shutil.copyfileobj(file, self.wfile)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the address holds the secret."""

    return Handler
