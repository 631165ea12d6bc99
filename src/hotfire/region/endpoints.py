"""An endpoint's life: the sole owner of instances."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Protocol

from hotfire.errors import HostAway, HotfireError, InstanceError, LoadFailed, ValidationError
from hotfire.instances.base import Host, Leasable
from hotfire.region.blueprints import DEFAULT_STARTUP_SECONDS, Blueprint, Blueprints, tree_urls
from hotfire.region.fleet import Fleet, FleetPlan, Variant
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.resources import Endpoint

_SECONDS_UNTIL_BACK = 1.0
"""Between two looks whether what an endpoint runs on answers again."""
_log = logging.getLogger("hotfire.region")

Print = Callable[[str, str, str, str], None]
"""Takes an endpoint's name, a log stream, the id of the request in hand and a line."""


class Lent(Protocol):
    """What answers for an endpoint while somebody has it for itself."""

    def variant(self, name: str | None) -> Variant:
        """The variant named, or one by weight."""

    @property
    def pids(self) -> list[int]:
        """The processes that answer."""

    async def stop(self) -> None:
        """End, after the requests in hand are answered."""


class _Life:
    """What an endpoint has at this moment besides its record."""

    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.lent: Lent | None = None
        """What stands in for the fleet while somebody has the endpoint for itself."""
        self.holder = ""
        self.workshop: Host | None = None
        """What hosts the holder's fleets, where that is not what hosts all others."""
        self.task: asyncio.Task[None] | None = None
        self.settled = asyncio.Event()
        self.is_empty_for_now = False
        """Whether an update has ended the old fleet, and requests wait for what comes in its place."""


class Endpoints:
    """Brings endpoints up, moves them to other configs and takes them down.

    A broken model never looks healthy: an endpoint whose handler cannot load is Failed, and one that is
    updated to such a handler goes on with the fleet that it had. An update starts the new fleet beside the
    old, but where one of them is too large for that; then requests wait.
    """

    def __init__(
        self,
        store: Store,
        trees: Trees,
        host: Host,
        blueprints: Blueprints,
        output: Print,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._trees, self._host = store, trees, host
        self._blueprints, self._print, self._clock = blueprints, output, clock
        self._lives: dict[str, _Life] = {}
        self._background: set[asyncio.Task[None]] = set()
        self.on_delete: Callable[[str], None] = lambda name: None
        self.on_change: Callable[[str], None] = lambda name: None
        """Is told the name of an endpoint whose record or holder is another, or that is gone."""

    def create(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        """Store an endpoint, whose state is Creating, and begin to bring it up."""
        self._store.put_endpoint(endpoint, tags)
        self.on_change(endpoint.name)
        plan = self._blueprints.draw(endpoint.config_name)
        self._begin(endpoint.name, self._bring_up(endpoint.name, plan))

    def update(self, name: str, config_name: str) -> None:
        """Begin to move an endpoint to another config; its state is Updating from now on."""
        self._record(name, status="Updating", failure_reason="")
        blueprint = self._blueprints.draw(config_name)
        self._begin(name, self._move(name, config_name, blueprint))

    def delete(self, name: str) -> None:
        """Begin to take an endpoint down; its state is Deleting from now on."""
        self._record(name, status="Deleting")
        self.on_delete(name)
        self._begin(name, self._take_down(name))

    async def settled(self, name: str, wait: float) -> None:
        """Return when an endpoint's state does not move any more, or after `wait` seconds."""
        life = self._lives.get(name)
        if life is None:
            return
        try:
            await asyncio.wait_for(life.settled.wait(), wait)
        except TimeoutError:
            return

    def variants(self, name: str) -> list[dict[str, Any]]:
        """The ProductionVariantSummary of every variant that serves."""
        life = self._lives.get(name)
        return life.fleet.summaries() if life and life.fleet else []

    def pids(self, name: str) -> list[int]:
        """The processes that answer for an endpoint."""
        life = self._lives.get(name)
        serving = life and (life.lent or life.fleet)
        return list(serving.pids) if serving else []

    async def variant(self, name: str, target: str | None) -> Variant:
        """The variant that is to answer an invocation; raises ValidationError if none can."""
        life = self._lives.get(name)
        if life is not None:
            serving = life.lent or life.fleet
            if serving is not None:
                return serving.variant(target)
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise ValidationError(f"Endpoint {name} of account 000000000000 not found.")
        is_coming = endpoint.status == "SystemUpdating" and not endpoint.failure_reason
        if life is not None and (is_coming or life.is_empty_for_now):
            # The region was started again, or one fleet takes another's place: something serves in a moment.
            await self.settled(name, DEFAULT_STARTUP_SECONDS)
            if life.fleet is not None:
                return life.fleet.variant(target)
            endpoint = self._store.endpoint(name) or endpoint
        reason = f" {endpoint.failure_reason}" if endpoint.failure_reason else ""
        raise ValidationError(f"Endpoint {name} is not in service: its state is {endpoint.status}.{reason}")

    async def prepare(self, name: str, plan: Blueprint) -> Fleet:
        """A fleet that has started and does not serve yet; raises HotfireError, the traceback in the log."""
        try:
            return await self._start(name, plan, self._lives[name].workshop)
        except HotfireError as error:
            self._why(name, error)
            raise

    def hold(self, name: str, holder: str) -> None:
        """Let somebody have an endpoint for itself; `holder` says who."""
        life = self._lives.setdefault(name, _Life())
        life.holder = holder
        life.workshop = self._host.workshop() if isinstance(self._host, Leasable) else None
        self.on_change(name)

    def holder(self, name: str) -> str:
        """Who has the endpoint for itself meanwhile; empty if nobody."""
        life = self._lives.get(name)
        return life.holder if life is not None else ""

    def lend(self, name: str, fleet: Lent) -> None:
        """Let the holder's fleet answer for its endpoint."""
        life = self._lives[name]
        old, life.lent = life.lent, fleet
        if old is not None:
            self._spawn(old.stop())

    def announce(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        """Store an endpoint that is there for its holder alone; its state is Creating."""
        self._store.put_endpoint(endpoint, tags)
        self.on_change(endpoint.name)

    def settle(self, name: str, failure_reason: str) -> None:
        """Let an announced endpoint be in service."""
        self._record(name, status="InService", failure_reason=failure_reason)
        self._lives[name].settled.set()

    def give_back(self, name: str) -> None:
        """The holder's fleet ends; what is deployed answers again, or nothing if nothing is."""
        life = self._lives[name]
        lent, life.lent, life.holder = life.lent, None, ""
        workshop, life.workshop = life.workshop, None
        self._spawn(_leave(lent, workshop))
        if life.task is None:
            life.settled.set()
            del self._lives[name]
        self.on_change(name)

    def resume(self) -> None:
        """Take up the life of every endpoint of the store, when a region is started again."""
        for endpoint in self._store.endpoints():
            snapshot = self._store.fleet(endpoint.name)
            if endpoint.status == "Deleting":
                self._begin(endpoint.name, self._take_down(endpoint.name))
            elif snapshot is not None and endpoint.status != "Failed":
                self._record(endpoint.name, status="SystemUpdating", failure_reason="")
                self._begin(endpoint.name, self._bring_back(endpoint.name, FleetPlan.from_json(snapshot)))
            elif endpoint.status == "Creating":
                plan = self._blueprints.draw(endpoint.config_name)
                self._begin(endpoint.name, self._bring_back(endpoint.name, plan))

    def trees_in_use(self) -> set[str]:
        """The trees that endpoints serve from, and those that models name, to which one may go back."""
        plans = [self._store.fleet(endpoint.name) for endpoint in self._store.endpoints()]
        served = {
            variant.tree
            for plan in plans
            if plan is not None
            for variant in FleetPlan.from_json(plan).variants
        }
        urls = [url for model in self._store.models() for url in tree_urls(model)]
        return served | {url.rstrip("/").rpartition("/")[2] for url in urls}

    def release(self) -> None:
        """Hold nobody any longer who waits for a state to change."""
        for life in self._lives.values():
            life.settled.set()

    async def close(self) -> None:
        """End all fleets, their requests in hand answered; the records stay as they are."""
        for life in self._lives.values():
            if life.task is not None:
                life.task.cancel()
            if life.fleet is not None:
                self._spawn(life.fleet.stop())
            self._spawn(_leave(life.lent, life.workshop))
        while self._background:
            await asyncio.wait(self._background)
        await self._host.close()

    async def _bring_up(self, name: str, plan: FleetPlan | Blueprint) -> None:
        try:
            fleet = await self._start(name, plan)
        except HotfireError as error:
            self._record(name, status="Failed", failure_reason=self._why(name, error))
            return
        self._serve(name, fleet)

    async def _bring_back(self, name: str, plan: FleetPlan | Blueprint) -> None:
        """Bring an endpoint up in a region that is started again, however late what it runs on comes up."""
        told = ""
        while True:
            try:
                fleet = await self._start(name, plan)
            except HostAway as error:
                if error.message != told:
                    told = error.message
                    self._record(name, failure_reason=told)
                await asyncio.sleep(_SECONDS_UNTIL_BACK)
            except HotfireError as error:
                self._record(name, status="Failed", failure_reason=self._why(name, error))
                return
            else:
                self._serve(name, fleet)
                return

    def _serve(self, name: str, fleet: Fleet) -> None:
        """Let a fleet be what serves."""
        self._lives[name].fleet = fleet
        self._store.put_fleet(name, fleet.plan.to_json())
        self._record(name, status="InService", failure_reason="")

    async def _move(self, name: str, config_name: str, blueprint: Blueprint) -> None:
        life = self._lives[name]
        try:
            plan = await asyncio.to_thread(blueprint.complete)
            if life.fleet is not None and (life.fleet.plan.in_place or plan.in_place):
                fleet = await self._exchange(name, life, life.fleet, plan)
            else:
                fleet = await self._start(name, plan)
        except HotfireError as error:
            status = "Failed" if life.fleet is None else "InService"
            self._record(name, status=status, failure_reason=self._why(name, error))
            return
        old, life.fleet = life.fleet, fleet
        self._store.put_fleet(name, fleet.plan.to_json())
        self._record(name, status="InService", failure_reason="", config_name=config_name)
        if old is not None:
            self._spawn(old.stop())

    async def _exchange(self, name: str, life: _Life, old: Fleet, plan: FleetPlan) -> Fleet:
        """A fleet in place of another, which has ended by then; if it cannot start, that one comes back."""
        life.fleet, life.is_empty_for_now = None, True
        # It answers what it has in hand, and ends whatever becomes of this region meanwhile.
        await asyncio.shield(self._spawn(old.stop()))
        try:
            return await self._start(name, plan)
        except HotfireError as error:
            try:
                life.fleet = await self._start(name, old.plan)
            except HotfireError as another:
                reasons = f"{self._why(name, error)}; and what served before: {self._why(name, another)}"
                raise InstanceError(reasons) from error
            raise

    async def _take_down(self, name: str) -> None:
        life = self._lives[name]
        fleet, life.fleet = life.fleet, None
        if fleet is not None:
            # It gets no more requests, and ends whatever becomes of this region meanwhile.
            await asyncio.shield(self._spawn(fleet.stop()))
        self._store.delete_endpoint(name)
        del self._lives[name]
        self.on_change(name)

    async def _start(self, name: str, plan: FleetPlan | Blueprint, workshop: Host | None = None) -> Fleet:
        if isinstance(plan, Blueprint):
            plan = await asyncio.to_thread(plan.complete)

        def output(stream: str, request: str, line: str) -> None:
            self._print(name, stream, request, line)

        variants = [
            Variant.made(variant, workshop or self._host, self._trees.path(variant.tree), output, name)
            for variant in plan.variants
        ]
        fleet = Fleet(plan, variants)
        await fleet.start()
        return fleet

    def _why(self, name: str, error: HotfireError) -> str:
        """The reason of a failure, whose traceback goes to the log."""
        if isinstance(error, LoadFailed) and error.trace:
            for line in error.trace.rstrip().splitlines():
                self._print(name, "AllTraffic/load", "", line)
        return error.message

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Let a new phase of an endpoint's life begin, when the one before has been given up."""
        life = self._lives.setdefault(name, _Life())
        before, settled = life.task, asyncio.Event()
        life.settled = settled

        async def phase() -> None:
            if before is not None and not before.done():
                before.cancel()
                await asyncio.wait([before])
            try:
                await work
            except Exception as error:  # noqa: BLE001  # whatever it is, no state may move for ever
                _log.exception("a bug in Hotfire, met by the endpoint %s", name)
                status = "InService" if life.fleet is not None else "Failed"
                self._record(name, status=status, failure_reason=f"A fault of the local region: {error!r}")

        def ended(_: asyncio.Task[None]) -> None:
            work.close()  # it may never have begun
            life.is_empty_for_now = False
            settled.set()

        life.task = self._spawn(phase())
        life.task.add_done_callback(ended)

    def _record(self, name: str, **changes: Any) -> None:
        endpoint = self._store.endpoint(name)
        if endpoint is not None:
            self._store.put_endpoint(replace(endpoint, modified=self._clock(), **changes))
            self.on_change(name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


async def _leave(lent: Lent | None, workshop: Host | None) -> None:
    """End what a holder has had: what answered, then what that ran on."""
    if lent is not None:
        await lent.stop()
    if workshop is not None:
        await workshop.close()
