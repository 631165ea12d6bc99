"""Podman's socket, for as long as a test wants it: `running(program, folder)` gives what leads to it.

Images and containers are in the folder; nothing of the machine's own Podman is touched.
"""

import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECONDS = 30.0


@contextmanager
def running(program: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """A service over storage of its own; `folder` has a short path, as a socket's must be."""
    settings = folder / "containers.conf"
    settings.write_text(f"[containers]\ndefault_ulimits = [{', '.join(_limits())}]\n")
    environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
    own = [program, f"--root={folder / 'root'}", f"--runroot={folder / 'run'}"]
    address = folder / "podman.sock"
    with (folder / "log").open("ab") as log:
        command = [*own, "system", "service", "--time=0", f"unix://{address}"]
        # Beside itself it leaves a file for each container that lacked memory.
        service = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        deadline = time.monotonic() + SECONDS
        while not address.exists():
            assert service.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield {"DOCKER_HOST": f"unix://{address}"}
    finally:
        service.terminate()
        service.wait(SECONDS)
        for rest in (["rm", "--all", "--force"], ["rmi", "--all", "--force"]):
            subprocess.run([*own, *rest], env=environment, check=True, capture_output=True)
        subprocess.run(["umount", str(folder / "root" / "overlay")], check=False, capture_output=True)


def _limits() -> Iterator[str]:
    """Podman asks for more than a machine of CI may have; these it has."""
    for name, limit in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        most = min(number for number in (*resource.getrlimit(limit), 4096) if number > 0)
        yield f'"{name}={most}:{most}"'
