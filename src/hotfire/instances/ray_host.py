"""The Ray clusters of one region: joined when they are needed, and found again by the region after it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hotfire.errors import ClusterAway, ClusterError
from hotfire.instances.base import Cluster, Output, Spec
from hotfire.instances.ray import RayInstance
from hotfire.instances.ray_cluster import RayCluster
from hotfire.instances.ray_files import RayFiles, facing
from hotfire.instances.ray_site import Order, RaySite

_RECORD = "ray.json"
_TOKEN = "RAY_AUTH_TOKEN"
_SECONDS_UNTIL_BACK = 2.0
_log = logging.getLogger("hotfire.region")


@dataclass(frozen=True, slots=True)
class Record:
    """What the next region must know of this one. `ports` are where each cluster's nodes fetch from it.

    `mark` is in the name of every application of this region, `secret` in the address of what they fetch.
    """

    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Record:
        """Of a file; a new one if there is none."""
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def write(self, file: Path) -> None:
        """Into a file, which nobody else may read."""
        part = file.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(asdict(self)))
        part.replace(file)


class RayHost:
    """Makes instances that are applications of a Ray cluster. `variables` may hold the cluster's token."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self._file, self._token = home / _RECORD, variables.get(_TOKEN, "")
        self._record = Record.read(self._file)
        self._joining, self._sorting = asyncio.Lock(), asyncio.Lock()
        self._sites: dict[str, RaySite] = {}
        """By address; two addresses may be those of one cluster."""
        self._instances: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()
        self._kept: dict[RaySite, list[str]] = {}
        """What is left on a cluster that somebody may claim, once it has been looked for."""
        self._searches: dict[str, asyncio.Task[None]] = {}
        self._searched: set[str] = set()
        """Where all that was left has been found."""
        self._errands: dict[str, asyncio.Task[None]] = {}
        """By the application that is to be ended."""

    def open(self) -> None:
        """Look for what a region that was killed has left, once the instances that may claim it are made.

        What none of them will is ended.
        """
        for address in self._record.ports:
            self._searches[address] = asyncio.get_running_loop().create_task(self._search(address))

    def instance(self, spec: Spec, output: Output) -> RayInstance:
        """An instance that is not started yet."""
        cluster = spec.cluster or Cluster("")
        order = _order(spec, cluster, self._record.mark)
        self._instances[cluster.address] += 1
        self._wanted[order.prefix] += 1
        return RayInstance(cluster.address, order, spec.startup_timeout, self, output)

    async def site(self, address: str) -> RaySite:
        """A cluster, by the address of its dashboard. Raises ClusterError."""
        async with self._joining:
            site = self._sites.get(address)
            if site is None:
                site = self._sites[address] = await self._join(address)
            else:
                await site.know_again()
        self._keep(replace(self._record, ports={**self._record.ports, address: site.files.port}))
        return site

    async def claim(self, address: str, prefix: str) -> str | None:
        """The name of an application with this beginning that the region before this one has left."""
        search = self._searches.get(address)
        if search is not None:
            await asyncio.wait([search])
        kept = self._kept.get(await self.site(address), [])
        claimed = next((name for name in kept if _prefix(name) == prefix), None)
        if claimed is not None:
            kept.remove(claimed)
        return claimed

    def unclaim(self, address: str, prefix: str) -> None:
        """An instance on a cluster has stopped; what it may have claimed is wanted no longer."""
        self._instances[address] -= 1
        self._wanted[prefix] -= 1
        self._forget_if_done_with(address)

    def doom(self, address: str, name: str) -> None:
        """End an application when the cluster answers again."""
        self._errands[name] = asyncio.get_running_loop().create_task(self._end(address, name))
        self._instances[address] += 1  # until then the cluster is remembered

    async def close(self) -> None:
        """End what nobody has claimed, and let the clusters go; those with nothing of ours are forgotten."""
        for task in (*self._searches.values(), *self._errands.values()):
            task.cancel()
        for site in set(self._sites.values()):
            if await self._cleared(site):
                for address in [one for one, other in self._sites.items() if other is site]:
                    self._forget(address)
            site.close()

    async def _join(self, address: str) -> RaySite:
        cluster = RayCluster(address, self._token)
        try:
            session = await cluster.session()
            site = next((one for one in self._sites.values() if one.session == session), None)
            if site is None:
                site = RaySite(cluster, await self._files(cluster), session)
            else:
                cluster.close()
        except BaseException:
            cluster.close()
            raise
        return site

    async def _files(self, cluster: RayCluster) -> RayFiles:
        """Where the nodes of a cluster fetch what they serve."""
        try:
            host = await asyncio.to_thread(facing, cluster.host, cluster.port)
            return RayFiles(host, self._record.ports.get(cluster.address, 0), self._record.secret)
        except OSError as error:
            message = f"this machine has no way to the Ray cluster at {cluster.address}: {error}"
            raise ClusterError(message) from error

    async def _search(self, address: str) -> None:
        """Keep what somebody wants, end the rest; however late the cluster is back."""

        async def sort() -> None:
            site = await self.site(address)
            async with self._sorting:
                if site not in self._kept:
                    self._kept[site] = await self._sorted(site)

        if await self._persist(sort):
            self._searched.add(address)
            self._forget_if_done_with(address)

    async def _end(self, address: str, name: str) -> None:
        """End an application, however late the cluster is back."""

        async def end() -> None:
            await (await self.site(address)).delete(name)

        if await self._persist(end):
            del self._errands[name]
            self._instances[address] -= 1
            self._forget_if_done_with(address)

    async def _persist(self, do: Callable[[], Awaitable[None]]) -> bool:
        """Do something on a cluster as soon as it answers; whether it could be done."""
        told = ""
        while True:
            try:
                await do()
            except ClusterError as error:
                if error.message != told:
                    told = error.message
                    _log.warning("applications may be left: %s", told)
                if not isinstance(error, ClusterAway):
                    return False
                await asyncio.sleep(_SECONDS_UNTIL_BACK)
            else:
                return True

    async def _sorted(self, site: RaySite) -> list[str]:
        """The applications that somebody may claim; the others are ended."""
        kept: list[str] = []
        wanted = +self._wanted
        for name, application in (await site.serving()).applications.items():
            if not name.startswith(_beginning(self._record.mark)):
                continue
            if wanted[_prefix(name)] > 0 and application.failure() is None:
                wanted[_prefix(name)] -= 1
                kept.append(name)
            else:
                await site.delete(name)
        return kept

    async def _cleared(self, site: RaySite) -> bool:
        """Whether nothing of this region is left there."""
        try:
            beginning = _beginning(self._record.mark)
            left = [name for name in (await site.serving()).applications if name.startswith(beginning)]
            await asyncio.gather(*(site.delete(name) for name in left))
        except ClusterError as error:
            _log.warning("applications may be left: %s", error.message)
            return False
        return True

    def _forget_if_done_with(self, address: str) -> None:
        """Where nothing of ours can be any more, the next region need not look."""
        is_searched = address not in self._searches or address in self._searched
        if is_searched and not self._instances[address]:
            self._forget(address)

    def _forget(self, address: str) -> None:
        ports = {one: port for one, port in self._record.ports.items() if one != address}
        self._keep(replace(self._record, ports=ports))

    def _keep(self, record: Record) -> None:
        if record != self._record:
            self._record = record
            record.write(self._file)


def clear(home: Path, variables: Mapping[str, str]) -> None:
    """End what a region that had to be killed has left."""

    async def end() -> None:
        host = RayHost(home, variables)
        host.open()
        for search in host._searches.values():
            await asyncio.wait([search], timeout=_SECONDS_UNTIL_BACK * 5)
        await host.close()

    if (home / _RECORD).exists():
        asyncio.run(end())


def _beginning(mark: str) -> str:
    return f"hotfire-{mark}-"


def _prefix(name: str) -> str:
    """Of an application's name: what it was ordered by."""
    return name.rpartition("-")[0]


def _order(spec: Spec, cluster: Cluster, mark: str) -> Order:
    options: dict[str, Any] = dict(cluster.options)
    if "autoscaling_config" not in options:
        options.setdefault("num_replicas", cluster.replicas)
    facts = [str(spec.model_dir), dict(spec.environment), options]
    digits = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    prefix = f"{_beginning(mark)}{spec.endpoint or 'model'}-{digits}"
    return Order(prefix, spec.model_dir, spec.environment, options)
