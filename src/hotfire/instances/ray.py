"""An instance that is an application of Ray Serve, on a cluster of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from hotfire.errors import ClusterAway, ClusterError, HostAway, LoadFailed, QueueFull
from hotfire.instances.base import Answer, Change, Output, Request, failed_load
from hotfire.instances.connections import Connections, Disconnected, NotReached, Reply
from hotfire.instances.ray_site import Order, RaySite
from hotfire.instances.ray_state import Application, Serving
from hotfire.instances.replies import ReplyParts, time_limit
from hotfire_worker.ray_driver import SIGN

MOST_IN_HAND = 1000
"""Requests that an application may have in hand or waiting."""

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


class RayInstance:
    """A model served by an application of Ray Serve; one that somebody else ends is made anew."""

    def __init__(self, address: str, order: Order, patience: float, sites: Sites, output: Output) -> None:
        self._address, self._order, self._patience = address, order, patience
        self._sites, self._output = sites, output
        self._name = ""
        self._site: RaySite | None = None
        self._ways: dict[tuple[str, int], Connections] = {}
        self._turns = itertools.count()
        self._readers: dict[str, list[asyncio.Task[None]]] = {}
        self._from_now_on = False
        self._bringing: asyncio.Future[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ready, self._quiet = asyncio.Event(), asyncio.Event()
        self._failure: LoadFailed | None = None
        self._stopping = False
        self._in_hand = 0

    @property
    def load(self) -> int:
        """How many requests it has in hand or waiting."""
        return self._in_hand

    @property
    def pids(self) -> Sequence[int]:
        """None: they are the cluster's."""
        return ()

    async def start(self) -> None:
        """Have the application, and wait until all its replicas are up; raises LoadFailed."""
        self._bringing = asyncio.ensure_future(self._bring())
        await self._bringing
        self._watching = asyncio.ensure_future(self._watch())

    def successor(self, changes: Sequence[Change]) -> None:
        """None: what runs on a cluster is not edited from here."""

    async def invoke(self, request: Request) -> Answer:
        """Answer a request; raises `DeadlineExceeded` past its limit, `QueueFull` when too many wait."""
        return await self._exchange(request, Reply.read)

    async def stream(self, request: Request) -> Answer:
        """Answer a request as `invoke` does, but in parts as they come."""
        return await self._exchange(request, Reply.part)

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""
        self._stopping = True
        if self._in_hand:
            await self._quiet.wait()
        for task in (self._bringing, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._end()

    async def _exchange(self, request: Request, read: Callable[[Reply], Awaitable[bytes]]) -> Answer:
        until = asyncio.get_running_loop().time() + request.limit
        with contextlib.ExitStack() as hand:
            self._enter()
            hand.callback(self._leave)
            try:
                async with time_limit(until, request.limit):
                    reply = await self._ask(request)
                    hand.callback(reply.close)
                    body = await read(reply)
            except Disconnected as error:
                said = f"The Ray cluster broke off with the request in hand: {error.message}."
                return Answer(500, {"Content-Type": "text/plain"}, said.encode())
            except LoadFailed as error:
                return failed_load(error)
            headers = {name: value for name, value in reply.headers.items() if name.lower() != _SIGN}
            if len(headers) == len(reply.headers):
                return _of_ray(reply.status, body)
            if not body or reply.is_whole:
                return Answer(reply.status, headers, body)
            parts = ReplyParts(reply, until, request.limit, hand.pop_all())
            return Answer(reply.status, headers, body, rest=parts)

    async def _ask(self, request: Request) -> Reply:
        """Send a request by any node that takes it. Raises LoadFailed, Disconnected."""
        await self._ready.wait()
        if self._failure is not None:
            if self._watching is not None and self._watching.done() and not self._stopping:
                self._watching = asyncio.ensure_future(self._watch())
            raise self._failure
        path = f"/{self._name}/invocations" + (f"?{request.query}" if request.query else "")
        ways = list(self._ways.values())
        turn = next(self._turns)
        error: NotReached = NotReached(f"no node of the cluster at {self._address} takes requests now")
        for at in range(len(ways)):
            try:
                return await ways[(turn + at) % len(ways)].ask("POST", path, request.headers, request.body)
            except NotReached as another:
                error = another
        raise error

    def _enter(self) -> None:
        if self._in_hand >= MOST_IN_HAND:
            raise QueueFull(f"{MOST_IN_HAND} requests wait already")
        self._in_hand += 1

    def _leave(self) -> None:
        self._in_hand -= 1
        if self._stopping and not self._in_hand:
            self._quiet.set()

    async def _bring(self) -> None:
        """Have an application that is up. Raises LoadFailed; then nothing is left of it."""
        try:
            self._site = await self._sites.site(self._address)
            claimed = await self._sites.claim(self._address, self._order.prefix)
            self._name = claimed or new_name(self._order.prefix)
            self._from_now_on = claimed is not None
            if claimed is not None:
                self._site.offer(claimed, self._order)
                self._say("the application that was there serves on")
            else:
                self._say(f"the application {self._name} on the Ray cluster at {self._address}")
                await self._site.deploy(self._name, self._order)
            await self._until_up(self._site)
        except ClusterError as error:
            await self._end()
            kind = HostAway if isinstance(error, ClusterAway) else LoadFailed
            raise kind(". ".join(filter(None, (error.message, error.advice)))) from error
        except BaseException:
            await self._end()
            raise
        self._failure = None
        self._ready.set()

    async def _until_up(self, site: RaySite) -> None:
        reason = ""
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    serving = await site.serving()
                    application = serving.applications.get(self._name)
                    if application is not None:
                        self._look_at(site, serving, application)
                        if application.answers and self._ways:
                            return
                        failure = application.failure()
                        if failure is not None:
                            raise failure
                        reason = application.reason
                    await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        except TimeoutError:
            said = f": {reason}" if reason else ""
            message = f"the application was not up within {self._patience:g} s{said}"
            raise LoadFailed(message) from None

    async def _watch(self) -> None:
        """Know where requests go and what is printed; have the application again if it is gone."""
        told = ""
        while self._site is not None:
            try:
                serving = await self._site.serving()
                application = serving.applications.get(self._name)
                if application is None or application.is_lost:
                    self._ready.clear()
                    self._say("the application is gone from the cluster")
                    if not await self._replace():
                        self._ready.set()
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
        self._failure = failure
        return False

    def _look_at(self, site: RaySite, serving: Serving, application: Application) -> None:
        """Take up what has changed: nodes, replicas."""
        ways = set(site.ways(serving))
        for way in ways - set(self._ways):
            self._ways[way] = Connections(way[1], way[0])
        for way in set(self._ways) - ways:
            self._ways.pop(way).close()
        for actor in set(application.actors) - set(self._readers):
            last = 0 if self._from_now_on else -1
            reading = [self._read(site, actor, suffix, last) for suffix in ("out", "err")]
            self._readers[actor] = [asyncio.ensure_future(one) for one in reading]
        self._from_now_on = False

    async def _read(self, site: RaySite, actor: str, suffix: str, last: int) -> None:
        """Put what a replica prints into the log."""
        try:
            async for line in site.cluster.lines(actor, suffix, last):
                if not line.startswith(_OF_RAY):
                    self._output("", line)
        except ClusterError:
            return  # it ended, or its node did: what it printed last is lost

    async def _end(self) -> None:
        """Leave nothing of the application."""
        readers = [one for pair in self._readers.values() for one in pair]
        try:
            if self._site is not None and self._name:
                await self._site.delete(self._name)
                self._name = ""
        except ClusterError as error:
            self._say(f"the application {self._name} may be left: {error.message}")
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


def _of_ray(status: int, body: bytes) -> Answer:
    """What is made of an answer that no replica gave. Raises QueueFull."""
    said = body.decode("utf-8", "replace").strip()
    if status == 503 and "backpressure" in said:
        raise QueueFull("Ray Serve's queue is full")
    message = f"Ray Serve answered {status}: {said}" if said else f"Ray Serve answered {status}"
    return Answer(500 if status < 500 else status, {"Content-Type": "text/plain"}, message.encode())
