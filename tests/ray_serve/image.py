"""A stand-in for a container of AWS's Ray Serve image, on ports and in folders of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
SECONDS = 180.0
_MARK = "RAY_IMAGE"
_OF_THE_USER = ("AWS_", "HOTFIRE_", "RAY_", "SAGEMAKER_")


class Image:
    """Ray Serve as it runs in the image, over one model folder."""

    def __init__(self, python: Path, model: Path, variables: Mapping[str, str]) -> None:
        self._python = python
        self._mark = secrets.token_hex(8)
        # Sockets lie in it, whose paths must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._servers: list[subprocess.Popen[bytes]] = []
        self.port, self.serve_port, self._ray_port, client_port = free_ports(4)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)},
            **variables,
            # Every process of Ray's inherits it, so that none of them can hide.
            _MARK: self._mark,
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
            "RAY_TMPDIR": str(self._folder),
        }
        self.log = self._folder / "container.log"
        ports = {"--port": self.port, "--serve-port": self.serve_port, "--ray-port": self._ray_port}
        command = [str(python), str(HERE / "entry_point.py"), str(model), "--folder", str(self._folder)]
        command += ["--client-port", str(client_port)]
        command += [part for name, port in ports.items() for part in (name, str(port))]
        command += ["--pip", sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
        self._start(command)
        self._wait(self.port, "/ping")

    @property
    def url(self) -> str:
        """Where SageMaker would reach it."""
        return f"http://127.0.0.1:{self.port}"

    def printed(self) -> str:
        """All that the container has printed."""
        return self.log.read_text(errors="replace")

    def deploy(self, applications: Sequence[Mapping[str, Any]], named: Sequence[str]) -> dict[str, Any]:
        """Have Serve run these applications; what has become of those named, once that is settled."""
        config = self._folder / "applications.yaml"
        config.write_text(json.dumps({"applications": applications}))  # JSON is YAML, too
        serve = self._python.with_name("serve")
        self._told([str(serve), "run", "--non-blocking", str(config)])
        told: dict[str, Any] = json.loads(
            self._told([str(self._python), str(HERE / "states.py"), *named]).splitlines()[-1]
        )
        return told

    def proxy(self, prefix: str) -> int:
        """The port of a server as the image has it before Ray Serve, before one of the applications."""
        (port,) = free_ports(1)
        backend = f"http://127.0.0.1:{self.serve_port}{prefix}"
        uvicorn = [str(self._python.with_name("uvicorn")), "--app-dir", str(HERE), "proxy:app"]
        self._start([*uvicorn, f"--port={port}"], BACKEND=backend)
        self._wait(port, "/ping")
        return port

    def close(self) -> None:
        """End all that runs for it, and remove its folder."""
        for server in self._servers:
            server.terminate()
        mine = [process for process in psutil.process_iter() if self._is_mine(process)]
        for process in mine:
            process.kill()
        psutil.wait_procs(mine, timeout=30)
        for server in self._servers:
            server.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except (psutil.Error, OSError):
            return False

    def _start(self, command: Sequence[str], **variables: str) -> None:
        with ExitStack() as stack:
            log = stack.enter_context(self.log.open("ab"))
            self._servers.append(
                subprocess.Popen(
                    command,
                    env=self._environment | variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                )
            )

    def _told(self, command: Sequence[str]) -> str:
        environment = self._environment | {"RAY_ADDRESS": f"127.0.0.1:{self._ray_port}"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _wait(self, port: int, path: str) -> None:
        from http.client import HTTPConnection

        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert self._servers[-1].poll() is None, self.printed()
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        raise AssertionError(self.printed())


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
