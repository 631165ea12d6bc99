"""A Ray cluster of several nodes on this machine, each with its address of the loopback: program and owner.

As a program it is run by a Python that has Ray. It starts the cluster and Serve, says where they are as
JSON, does what it is told line by line, and ends everything when its input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NODES = 3
_FIRST = 2
"""Of 127.0.0.x: Ray takes 127.0.0.1 for another name of the machine's own address."""
_SECONDS = 240
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A machine that has much to do is no failure.
    "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "120",
    # Nothing is started before it is needed.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


class RayCluster:
    """A cluster that runs; `address` is its dashboard's. The first node is its head."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        assert told, log.read_text()
        self.address, self.nodes = told["address"], told["nodes"]

    def applications(self) -> dict[str, Any]:
        """Serve's, by their names."""
        with urllib.request.urlopen(f"{self.address}/api/serve/applications/", timeout=_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)["applications"]
        return found

    def replicas(self, name: str) -> list[dict[str, Any]]:
        """Those of an application that run."""
        deployments = self.applications()[name]["deployments"].values()
        return [
            one for deployment in deployments for one in deployment["replicas"] if one["state"] == "RUNNING"
        ]

    def kill(self, node: str) -> None:
        """Have a node die, as if its machine had."""
        self._tell(f"kill {self.nodes.index(node)}")

    def add(self) -> None:
        """Have another node, at the address after the last."""
        self._tell("add")
        self.nodes.append(f"127.0.0.{_FIRST + len(self.nodes)}")

    def deploy(self, name: str) -> None:
        """Have an application there that is somebody else's, deployed in Serve's declarative way."""
        one = {"name": name, "route_prefix": f"/{name}", "import_path": "ray_theirs:app"}
        order = {
            "applications": [{**one, "runtime_env": {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}}]
        }
        url = f"{self.address}/api/serve/applications/"
        request = urllib.request.Request(url, json.dumps(order).encode(), method="PUT")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=_SECONDS).close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def running(python: Path) -> Iterator[RayCluster]:
    """A cluster, run by a Python that has Ray."""
    # Ray has sockets in its folder, whose paths must be short; its jobs are run by the Python on the PATH.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    environment = {**os.environ, **_SETTINGS, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    log = Path(folder) / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(python), __file__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=environment,
            start_new_session=True,
        )
    try:
        yield RayCluster(process, log)
    finally:
        try:
            process.communicate(timeout=_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def _main(folder: str) -> None:
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    common = {"num_cpus": 2, "object_store_memory": 80 << 20, "temp_dir": folder}
    dashboard = _free_port()

    def address(index: int) -> str:
        return f"127.0.0.{_FIRST + index}"

    where = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": dashboard}
    nodes = [cluster.add_node(node_ip_address=address(0), **common, **where)]
    nodes += [cluster.add_node(node_ip_address=address(index), **common) for index in range(1, _NODES)]
    ray.init(address=cluster.address, namespace="serve", log_to_driver=False)
    serve.start(proxy_location="EveryNode", http_options={"host": "0.0.0.0", "port": _free_port()})
    told = {"address": f"http://127.0.0.1:{dashboard}", "nodes": [address(index) for index in range(_NODES)]}
    _say(json.dumps(told))
    for line in sys.stdin:
        what, *which = line.split()
        if what == "kill":
            cluster.remove_node(nodes[int(which[0])], allow_graceful=False)
        else:
            nodes.append(cluster.add_node(node_ip_address=address(len(nodes)), **common))
        _say("done")
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(sys.argv[1])
