"""A Docker daemon of a test's own, which may be ended and started again: `Daemon`.

It has a bridge of its own and touches no firewall, so that nothing of the machine's daemon is disturbed. What
it publishes is reached on the loopback all the same.
"""

import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 30.0


class Daemon:
    """Started on demand; `folder` has a short path, as a socket's must be, and `data` its images."""

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self._folder, self._data = folder, data or folder / "data"
        self._socket = folder / "docker.sock"
        number = secrets.randbelow(200)
        self._bridge = f"hf{secrets.token_hex(4)}"
        self._run("ip", "link", "add", self._bridge, "type", "bridge")
        self._run("ip", "address", "add", f"172.29.{number}.1/24", "dev", self._bridge)
        self._run("ip", "link", "set", self._bridge, "up")
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads a client to it."""
        return {"DOCKER_HOST": f"unix://{self._socket}"}

    def client(self) -> Any:
        """A client of it; whoever asks for one closes it."""
        import docker

        return docker.from_env(environment=dict(self.variables))

    def start(self) -> None:
        """Have it run, and return when it answers."""
        options = {
            "host": self.variables["DOCKER_HOST"],
            "data-root": self._data,
            "exec-root": self._folder / "exec",
            "pidfile": self._folder / "pid",
            "bridge": self._bridge,
            "iptables": "false",
            "ip6tables": "false",
            "ip-masq": "false",
            "containerd-namespace": self._bridge,
            "containerd-plugins-namespace": f"{self._bridge}-plugins",
        }
        (self._folder / "pid").unlink(missing_ok=True)
        command = ["dockerd", *(f"--{name}={value}" for name, value in options.items())]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and its containers with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)
            self._process = None

    def close(self) -> None:
        """Leave nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._process is None:
            self.start()
        client = self.client()
        try:
            for one in client.containers.list(all=True):
                one.remove(force=True)
        finally:
            client.close()
        self.stop()
        self._run("ip", "link", "delete", self._bridge)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in reversed(mounted):
            if path.startswith((f"{self._folder}/", f"{self._data}/")) or path == str(self._data):
                subprocess.run(["umount", path], check=False, capture_output=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(SECONDS)
            try:
                engine.connect(str(self._socket))
                engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in engine.recv(100)
            except OSError:
                return False

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)
