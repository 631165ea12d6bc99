"""Which host makes an instance."""

from __future__ import annotations

import asyncio
from typing import Protocol

from hotfire.instances.base import Host, Instance, Leasable, Output, Spec


class Containers(Host, Leasable, Protocol):
    """Makes containers; for a lease, in another way."""


class Hosts:
    """Processes, or containers or applications of a Ray cluster where the spec names one."""

    def __init__(self, processes: Host, containers: Containers, clusters: Host) -> None:
        self._processes, self._containers, self._clusters = processes, containers, clusters

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is not started yet."""
        if spec.cluster is not None:
            return self._clusters.instance(spec, output)
        host = self._processes if spec.container is None else self._containers
        return host.instance(spec, output)

    def workshop(self) -> Workshop:
        """A host for one lease."""
        return Workshop(self._processes, self._containers.workshop())

    async def close(self) -> None:
        """End whatever the hosts share among their instances."""
        await asyncio.gather(self._clusters.close(), self._containers.close())
        await self._processes.close()


class Workshop:
    """Hosts what one lease has: processes as they are, and containers of its own."""

    def __init__(self, processes: Host, containers: Host) -> None:
        self._processes, self._containers = processes, containers

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is not started yet."""
        host = self._processes if spec.container is None else self._containers
        return host.instance(spec, output)

    async def close(self) -> None:
        """End the containers; the processes' host is not the lease's."""
        await self._containers.close()
