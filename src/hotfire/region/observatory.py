"""All that is seen of a region's work: records of requests, figures, and what happens while it does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from hotfire.region.developments import Developments
from hotfire.region.endpoints import Endpoints
from hotfire.region.feed import Feed
from hotfire.region.invocations import Invocations
from hotfire.region.metrics import Metrics
from hotfire.region.queue import Queue
from hotfire.region.quota import Limits
from hotfire.region.sampler import Sampler
from hotfire.region.scribe import Scribe
from hotfire.region.store import Store
from hotfire.region.traffic import Mark, Traffic

_FLUSH_SECONDS = 0.5
"""So much of what was recorded may be lost with the process."""


class Observatory:
    """Has the parts that look on, and the tasks that keep them going.

    Nothing that serves waits for any of them.
    """

    def __init__(self, home: Path, store: Store, queue: Queue, limits: Limits | None = None) -> None:
        self._store = store
        self._endpoints: Endpoints | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.feed = Feed()
        self.traffic = Traffic()
        self.developments = Developments(self.feed)
        self.invocations = Invocations(home / "requests.sqlite", limits)
        self.scribe = Scribe(
            self.invocations, self.traffic, self.feed, lambda name: store.endpoint(name) is not None
        )
        sampler = Sampler(self.traffic, self._workers, self.feed.has_listeners)
        self.metrics = Metrics(store, queue, self.traffic, self.invocations, sampler)
        self._sampler = sampler

    def follow(self, endpoints: Endpoints) -> None:
        """See what becomes of these endpoints from now on."""
        self._endpoints = endpoints
        endpoints.on_change = self._changed

    def open(self) -> None:
        """Begin to look."""
        for endpoint in self._store.endpoints():
            for deploy in self._store.deploys(endpoint.name):
                self.traffic.mark(endpoint.name, Mark(deploy.time, deploy.version))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._flush()), loop.create_task(self._sampler.run())]

    def stop(self) -> None:
        """Let those who listen know that the region ends."""
        self.feed.close()

    async def close(self) -> None:
        """End, when nothing is to be seen any more; what was recorded is written."""
        self.feed.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.invocations.close()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            await self.invocations.flush()

    def _workers(self) -> Mapping[str, Sequence[int]]:
        """The processes that answer, by endpoint."""
        endpoints = self._endpoints
        if endpoints is None:
            return {}
        return {endpoint.name: endpoints.pids(endpoint.name) for endpoint in self._store.endpoints()}

    def _changed(self, name: str) -> None:
        """An endpoint's state is another, or somebody has it for themselves, or no longer."""
        endpoint = self._store.endpoint(name)
        holder = self._endpoints.holder(name) if self._endpoints is not None else ""
        if endpoint is None:
            self.traffic.forget(name)
            self.feed.publish("endpoints", name, {"status": "", "reason": "", "holder": holder})
            return
        if endpoint.status == "InService" and not holder:
            self._note_deploy(name, endpoint.config_name, endpoint.modified)
        told = {"status": endpoint.status, "reason": endpoint.failure_reason, "holder": holder}
        self.feed.publish("endpoints", name, told)

    def _note_deploy(self, name: str, version: str, time: float) -> None:
        """Mark that another config serves than before; a region that is started again deploys nothing."""
        marks = self.traffic.marks(name)
        if not marks or marks[-1].version != version:
            self._store.add_deploy(name, time, version)
            self.traffic.mark(name, Mark(time, version))
