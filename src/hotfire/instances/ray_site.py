"""One Ray cluster as a region uses it: its applications there, and the files that their replicas fetch.

Applications are made and ended by jobs, not by Serve's declarative API: that replaces whatever else was
deployed in its way, and what it needs of code lies in the head node's memory only while a replica runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotfire.errors import ClusterError
from hotfire.instances.ray_cluster import RayCluster
from hotfire.instances.ray_files import Content, RayFiles, Shelf
from hotfire.instances.ray_state import Serving

_PROGRAM = "driver"
_PAUSE = 0.2
_FRESH = 0.15
"""Seconds for which what the cluster said of Serve may be told again."""


@dataclass(frozen=True, slots=True)
class Order:
    """A model that is to be an application. `options` are its deployment's, in Serve's words."""

    prefix: str
    model_dir: Path
    environment: Mapping[str, str] = field(repr=False)
    options: Mapping[str, Any]


class RaySite:
    """The applications that one region has on a cluster. Every call raises ClusterError."""

    def __init__(self, cluster: RayCluster, files: RayFiles, session: str) -> None:
        self.cluster, self.files, self.session = cluster, files, session
        self._deploying: dict[str, asyncio.Task[None]] = {}
        self._doomed: set[str] = set()
        self._ending, self._looking = asyncio.Lock(), asyncio.Lock()
        self._seen = Serving()
        self._seen_at = float("-inf")
        files.put("hotfire", Shelf({_PROGRAM: _program("ray_driver").read_bytes()}))

    async def know_again(self) -> None:
        """Whether the cluster answers; it has another session if it was started anew."""
        self.session = await self.cluster.session()

    async def serving(self) -> Serving:
        """Serve as it is now, or was a moment ago: several look at once."""
        async with self._looking:
            now = asyncio.get_running_loop().time
            if now() - self._seen_at > _FRESH:
                self._seen = await self.cluster.serving()
                self._seen_at = now()
            return self._seen

    def ways(self, serving: Serving) -> tuple[tuple[str, int], ...]:
        """Where Serve takes requests, as this machine reaches it."""
        if not serving.is_on_loopback:
            return serving.proxies
        if not _is_loopback(self.cluster.host):
            message = (
                f"Ray Serve on the cluster at {self.cluster.address} listens on its nodes' loopback alone"
            )
            advice = "Start it so that others reach it: `serve shutdown`, `serve start --http-host 0.0.0.0`."
            raise ClusterError(message, advice)
        return tuple({("127.0.0.1", port) for _, port in serving.proxies})

    async def deploy(self, name: str, order: Order) -> None:
        """Have an application made; Serve then brings it up. It goes on when this is given up."""
        self.offer(name, order, await self._how_to_start())
        task = asyncio.ensure_future(self._run("deploy", self.files.url(name)))
        self._deploying[name] = task
        await asyncio.shield(task)

    def offer(self, name: str, order: Order, starts_serve: Mapping[str, Any] | None = None) -> None:
        """Let an application's replicas fetch what they serve."""
        contents = dict(_contents(order.model_dir))
        files = [(place, os.access(path, os.X_OK)) for place, path in contents.items()]
        told = {
            "name": name,
            "session": self.session,
            "key": _key(contents),
            "files": files,
            "environment": dict(order.environment),
            "options": dict(order.options),
            "starts_serve": starts_serve,
        }
        shelf: dict[str, Content] = {**contents, "order": json.dumps(told).encode()}
        self.files.put(name, Shelf(shelf))

    async def delete(self, name: str) -> None:
        """Have an application end, and return when nothing of it is left; it goes along with others'."""
        deploying = self._deploying.pop(name, None)
        if deploying is not None:
            await asyncio.wait([deploying])
        self._doomed.add(name)
        async with self._ending:
            if name not in self._doomed:
                return
            names = sorted(self._doomed)
            there = (await self.cluster.serving()).applications
            if any(one in there for one in names):
                await self._run("delete", self.session, *names)
            for one in names:
                self.files.drop(one)
            self._doomed -= set(names)

    def close(self) -> None:
        """Let the connections and the listener go."""
        self.cluster.close()
        self.files.close()

    async def _how_to_start(self) -> dict[str, Any] | None:
        """How Serve is started, if it does not run yet; beyond the loopback only if the cluster is."""
        if (await self.cluster.serving()).is_there:
            return None
        if _is_loopback(self.cluster.host):
            return {}
        return {"proxy_location": "EveryNode", "http_options": {"host": "0.0.0.0"}}

    async def _run(self, *arguments: str) -> None:
        """Have the head node run the program that is ours, to its end."""
        url = f"{self.files.url('hotfire')}/{_PROGRAM}"
        # Straight to the region, whatever proxy the cluster has for the world.
        fetch = f"import urllib.request as u; exec(u.build_opener(u.ProxyHandler({{}})).open({url!r}).read())"
        job = await self.cluster.submit(shlex.join(["python3", "-c", fetch, *arguments]))
        while not (state := await self.cluster.job(job)).is_over:
            await asyncio.sleep(_PAUSE)
        if state.status != "SUCCEEDED":
            raise ClusterError(*self._explained(await self.cluster.output(job) or state.message))

    def _explained(self, printed: str) -> tuple[str, str]:
        """A message and an advice for a job that failed."""
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        last = lines[-1] if lines else "it printed nothing"
        at = self.cluster.address
        if "python3: not found" in last or "No module named 'ray'" in last:
            message = f"jobs of the Ray cluster at {at} have no Python with Ray: {last}"
            return message, "Start its head node with the Python on PATH that has Ray: `ray start --head …`."
        if "URLError" in last or "does not reach the region" in last:
            message = f"the Ray cluster at {at} does not reach this region at {self.files.host}: {last}"
            return (
                message,
                "Let no firewall stand between; the region must be reached as it reaches the head.",
            )
        return f"the Ray cluster at {at} could not do it: {last}", ""


def _program(name: str) -> Path:
    import hotfire_worker

    return Path(hotfire_worker.__file__).parent / f"{name}.py"


def _contents(model_dir: Path) -> Iterator[tuple[str, Path]]:
    """What a replica has: the model data, and the program that calls a handler."""
    for folder, _, names in os.walk(model_dir, followlinks=True):
        for path in (Path(folder, name) for name in sorted(names)):
            yield f"model/{path.relative_to(model_dir).as_posix()}", path
    package = _program("__init__").parent
    for path in sorted(package.glob("*.py")):
        yield f"program/{package.name}/{path.name}", path


def _key(contents: Mapping[str, Path]) -> str:
    """By what nodes know the same files again: a tree never changes, nor does what is in it."""
    facts = [
        (place, str(path), path.stat().st_size, path.stat().st_mtime_ns) for place, path in contents.items()
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
