"""An image that keeps SageMaker's contract, made of this machine's own Python: no registry is needed.

`build(client)` takes a second and gives its name; `serve` is the program below, which calls a handler as the
inference toolkit does, as far as a test needs it.
"""

import io
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "hotfire-tests/tiny:2"

_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "ensurepip",
    "tkinter",
    "lib2to3",
    "pydoc_data",
}

SERVE = """
import importlib, inspect, json, os, signal, sys, traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
sys.path.insert(0, "/opt/ml/model/code")
os.chdir("/opt/ml/model")
print("serving", flush=True)
handler = importlib.import_module(os.environ.get("SAGEMAKER_PROGRAM", "inference.py").removesuffix(".py"))
model = handler.model_fn("/opt/ml/model")


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(getattr(handler, "PING", 200) if self.path == "/ping" else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            data = handler.input_fn(body, self.headers.get("Content-Type"))
            output = handler.output_fn(handler.predict_fn(data, model), self.headers.get("Accept"))
        except Exception:
            traceback.print_exc()
            return self.answer(500, traceback.format_exc().encode())
        if inspect.isgenerator(output):
            return self.stream(output)
        told = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amzn")}
        self.answer(200, output.encode(), Content_Type="application/json", **told)

    def stream(self, parts):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part.encode()))
            self.wfile.write(b"0\\r\\n\\r\\n")
        except Exception:
            self.close_connection = True


Server.disable_nagle_algorithm = True
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", 8080), Server).serve_forever()
"""


def build(client: Any) -> str:
    """Have it in the engine that a client of Docker's leads to."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(NAME)
    except ImageNotFound:
        changes = ["ENV PYTHONUNBUFFERED=1", "ENV PYTHONDONTWRITEBYTECODE=1"]
        # Podman takes no tag here.
        told = client.api.import_image_from_data(tree(SERVE), changes=changes)
        client.images.get(json.loads(told.splitlines()[-1])["status"]).tag(*NAME.split(":"))
    return NAME


def tree(serve: str | None) -> bytes:
    """A root file system with this Python, as a tar; with the program `serve`, if there is one."""
    python = Path(os.path.realpath(sys.executable))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for path in dict.fromkeys(_files(python)):
            tar.add(path.resolve(), str(path), recursive=False)
        if serve is not None:
            _add(tar, "usr/bin/serve", f"#!{python}\n{serve}".encode(), 0o755)
        _add(tar, "tmp/empty", b"", 0o644)
    return written.getvalue()


def _files(python: Path) -> Iterator[Path]:
    yield python
    library = Path(sysconfig.get_path("stdlib"))
    objects = [python]
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and not _LEFT_OUT & set(parts) and not parts[0].startswith("config-"):
            yield path
            if path.suffix == ".so":
                objects.append(path)
    yield from _libraries(objects)


def _libraries(objects: list[Path]) -> Iterator[Path]:
    """What the loader needs, by the names under which it looks for it."""
    said = subprocess.run(["ldd", *map(str, objects)], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        words = [word for word in line.split() if word.startswith("/") and not word.endswith(":")]
        yield from map(Path, words)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
