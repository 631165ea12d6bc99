"""An instance that is an application of Ray Serve, on a cluster of one's own."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import Protocol

from hotfire.errors import ClusterAway, ClusterError, HostAway, LoadFailed, QueueFull
from hotfire.instances.base import Answer, Output, Request
from hotfire.instances.connections import Connections, Disconnected, NotReached, Reply
from hotfire.instances.ray_site import Order, RaySite
from hotfire.instances.ray_state import Application, Serving
from hotfire.instances.remote import RemoteInstance
from hotfire_worker.ray_driver import SIGN
from hotfire_worker.service import refusal_body

_PATIENCE = (0.0, 0.5, 2.0, 5.0, 15.0)
"""Seconds before each new try to replace an application that somebody else has ended."""
_SECONDS_BETWEEN_LOOKS = 0.3
_SECONDS_BETWEEN_LATER_LOOKS = 2.0
_OF_RAY = (":job_id:", ":actor_name:", ":task_name:")
"""What Ray writes into an actor's output by itself."""


class Sites(Protocol):
    """Where the clusters of a region come from."""

    async def site(self, address: str) -> RaySite:
        """One, by the address of its dashboard. Raises ClusterError."""

    async def claim(self, address: str, prefix: str) -> str | None:
        """The name of an application with this beginning that the region before this one has left."""

    def doom(self, address: str, name: str) -> None:
        """One that could not be ended, since the cluster did not answer: it is to be, when that does."""

    def unclaim(self, address: str, prefix: str) -> None:
        """An instance that may have claimed one has stopped."""


class RayInstance(RemoteInstance):
    """A model served by an application of Ray Serve; one that somebody else ends is made anew."""

    def __init__(self, address: str, order: Order, patience: float, sites: Sites, output: Output) -> None:
        super().__init__()
        self._address, self._order, self._patience = address, order, patience
        self._sites, self._output = sites, output
        self._name = ""
        self._site: RaySite | None = None
        self._ways: dict[tuple[str, int], Connections] = {}
        self._turns = itertools.count()
        self._readers: dict[str, list[asyncio.Task[None]]] = {}
        self._from_now_on = False

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        await super().stop()
        self._sites.unclaim(self._address, self._order.prefix)

    async def _ask(self, request: Request) -> Reply:
        """Send a request by any node that takes it."""
        path = f"/{self._name}/invocations" + (f"?{request.query}" if request.query else "")
        ways = list(self._ways.values())
        turn = next(self._turns)
        error = NotReached("none is known")
        for at in range(len(ways)):
            try:
                return await ways[(turn + at) % len(ways)].ask("POST", path, request.headers, request.body)
            except NotReached as another:
                error = another
        raise error

    async def _broken(self, error: Disconnected) -> Answer:
        said = f"The Ray cluster broke off with the request in hand: {error.message}."
        if isinstance(error, NotReached):
            said = f"No node of the Ray cluster at {self._address} takes requests: {error.message}."
        return Answer(500, {"Content-Type": "text/plain"}, said.encode())

    def _answer(self, reply: Reply, body: bytes) -> Answer:
        headers = {name: value for name, value in reply.headers.items() if name.lower() != _SIGN}
        if len(headers) < len(reply.headers):
            return Answer(reply.status, headers, body)
        said = body.decode("utf-8", "replace").strip()
        if reply.status == 500:
            self._say(f"a replica gave no answer: it has ended, it seems (Ray Serve says: {said})")
        return _of_ray(reply.status, said)

    async def _bring(self) -> None:
        try:
            self._site = await self._sites.site(self._address)
            claimed = await self._sites.claim(self._address, self._order.prefix)
            if claimed is None or not await self._take_over(self._site, claimed):
                await self._deploy(self._site)
        except ClusterError as error:
            await self._end()
            kind = HostAway if isinstance(error, ClusterAway) else LoadFailed
            raise kind(". ".join(filter(None, (error.message, error.advice)))) from error
        except BaseException:
            await self._end()
            raise
        self._is_up()

    async def _take_over(self, site: RaySite, name: str) -> bool:
        """Whether an application that is there already serves."""
        self._name, self._from_now_on = name, True
        site.offer(name, self._order)
        try:
            await self._until_up(site, is_there=True)
        except LoadFailed as error:
            self._say(f"the application that was there serves no more: {error.message}")
            await self._end()
            return False
        self._say("the application that was there serves on")
        return True

    async def _deploy(self, site: RaySite) -> None:
        self._name, self._from_now_on = new_name(self._order.prefix), False
        self._say(f"the application {self._name} on the Ray cluster at {self._address}")
        await site.deploy(self._name, self._order)
        await self._until_up(site, is_there=False)

    async def _until_up(self, site: RaySite, *, is_there: bool) -> None:
        """Raises LoadFailed where it does not come up, or somebody has ended it."""
        reason = ""
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    serving = await site.serving()
                    application = serving.applications.get(self._name)
                    if application is not None:
                        is_there = True
                        if self._is_well(site, serving, application):
                            return
                        if application.reason not in ("", reason):
                            reason = application.reason
                            self._say(reason)
                    elif is_there:
                        raise LoadFailed("the application is gone from the cluster")
                    await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        except TimeoutError:
            said = f": {reason}" if reason else ""
            message = f"the application was not up within {self._patience:g} s{said}"
            raise LoadFailed(message) from None

    def _is_well(self, site: RaySite, serving: Serving, application: Application) -> bool:
        """Whether it is up. Raises LoadFailed where it will not be."""
        self._look_at(site, serving, application)
        if application.answers and self._ways:
            return True
        failure = application.failure()
        if failure is not None:
            raise failure
        return False

    async def _watch(self) -> None:
        # Besides, know where requests go and what is printed.
        told = ""
        while self._site is not None:
            try:
                serving = await self._site.serving()
                application = serving.applications.get(self._name)
                if application is None or application.is_lost:
                    self._ready.clear()
                    self._say("the application is gone from the cluster")
                    if not await self._replace():
                        return
                else:
                    self._look_at(self._site, serving, application)
                told = ""
            except ClusterError as error:
                if error.message != told:
                    told = error.message
                    self._say(told)
            await asyncio.sleep(_SECONDS_BETWEEN_LATER_LOOKS)

    async def _replace(self) -> bool:
        """Whether there is such an application again; each new try is more patient."""
        failure = LoadFailed("the application ended")
        for pause in _PATIENCE:
            await asyncio.sleep(pause)
            await self._end()
            try:
                await self._bring()
            except LoadFailed as error:
                self._say(f"the application could not be made anew: {error.message}")
                failure = error
            else:
                return True
        self._has_failed(failure)
        return False

    def _look_at(self, site: RaySite, serving: Serving, application: Application) -> None:
        """Take up what has changed: nodes, replicas."""
        ways = set(site.ways(serving))
        for way in ways - set(self._ways):
            self._ways[way] = Connections(way[1], way[0])
        for way in set(self._ways) - ways:
            self._ways.pop(way).close()
        for actor in set(application.actors) - set(self._readers):
            reading = [self._read(site, actor, suffix, self._from_now_on) for suffix in ("out", "err")]
            self._readers[actor] = [asyncio.ensure_future(one) for one in reading]
        self._from_now_on = False

    async def _read(self, site: RaySite, actor: str, suffix: str, from_now_on: bool) -> None:
        """Put what a replica prints into the log."""
        try:
            async for line in site.cluster.lines(actor, suffix, from_now_on=from_now_on):
                if not line.startswith(_OF_RAY):
                    self._output("", line)
        except ClusterError:
            return  # it ended, or its node did: what it printed last is lost

    async def _end(self) -> None:
        readers = [one for pair in self._readers.values() for one in pair]
        try:
            if self._site is not None and self._name:
                await self._site.delete(self._name)
        except ClusterError as error:
            self._say(f"the application {self._name} may be left: {error.message}")
            self._sites.doom(self._address, self._name)
        self._name = ""
        for reader in readers:
            reader.cancel()
        if readers:
            await asyncio.wait(readers)
        self._readers.clear()
        for connections in self._ways.values():
            connections.close()
        self._ways.clear()

    def _say(self, line: str) -> None:
        self._output("", f"hotfire: {line}")


def new_name(prefix: str) -> str:
    """Of an application: no other has it, though it be of the same order."""
    return f"{prefix}-{secrets.token_hex(3)}"


_SIGN = SIGN[0].decode()


def _of_ray(status: int, said: str) -> Answer:
    """What is made of an answer that no replica gave. Raises QueueFull."""
    if status == 503 and "backpressure" in said:
        raise QueueFull("Ray Serve's queue is full")
    if status == 500:
        return Answer(500, {"Content-Type": "application/json"}, refusal_body(500, "Worker died."))
    message = f"Ray Serve answered {status}: {said}" if said else f"Ray Serve answered {status}"
    return Answer(500 if status < 500 else status, {"Content-Type": "text/plain"}, message.encode())
