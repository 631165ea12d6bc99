"""Which host makes an instance."""

from __future__ import annotations

from hotfire.instances.base import Host, Instance, Output, Spec


class Hosts:
    """Processes, or containers where the spec names one."""

    def __init__(self, processes: Host, containers: Host) -> None:
        self._processes, self._containers = processes, containers

    def instance(self, spec: Spec, output: Output) -> Instance:
        """An instance that is not started yet."""
        host = self._processes if spec.container is None else self._containers
        return host.instance(spec, output)

    async def close(self) -> None:
        """End whatever the hosts share among their instances."""
        await self._containers.close()
        await self._processes.close()
