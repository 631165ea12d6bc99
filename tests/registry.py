"""Debian's registry of images on the loopback, which wants the login that AWS's imitation gives."""

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

LOGIN = {"username": "AWS", "password": "123456789012-auth-token"}

_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: '127.0.0.1:{port}'}}
auth: {{htpasswd: {{realm: ecr, path: {folder}/htpasswd}}}}
"""


@contextmanager
def running(program: str, htpasswd: str, folder: Path) -> Iterator[str]:
    """Its address, for as long as it is needed."""
    command = [htpasswd, "-Bbn", LOGIN["username"], LOGIN["password"]]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (folder / "htpasswd").write_text(line)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder, port=port))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/v2/", server)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while server.poll() is None and monotonic() < deadline:
        try:
            urllib.request.urlopen(url).close()
        except urllib.error.HTTPError as error:  # it wants a login
            error.close()
            return
        except OSError:
            sleep(0.02)
    raise AssertionError("the registry does not come up")
