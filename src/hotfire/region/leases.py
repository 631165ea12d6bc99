"""Leases: `hotfire dev` answers for an endpoint for as long as its connection lasts."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from hotfire.address import REGION_NAME
from hotfire.errors import DeadlineExceeded, HotfireError, LeaseTaken, LoadFailed, QueueFull, UsageError
from hotfire.instances.base import Answer, Change, Request
from hotfire.model_data import entries_of
from hotfire.region.blueprints import Blueprints
from hotfire.region.debugging import Debuggee, Relay
from hotfire.region.developments import Developments
from hotfire.region.endpoints import Endpoints
from hotfire.region.feed import Feed
from hotfire.region.fleet import Broken, Fleet
from hotfire.region.recording import Recorded, unanswered
from hotfire.region.runtime import REAL_TIME_SECONDS, container_request
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.resources import DEV_TAG, JOURNAL_VARIABLE, PROJECT_VARIABLE, Endpoint, EndpointConfig, Model

VARIANT = "AllTraffic"
_ACCOUNT = "000000000000"
_ROLE = f"arn:aws:iam::{_ACCOUNT}:role/hotfire-local"
_MOST_EVENTS = 10_000
"""So many wait for a client that does not read; the oldest go first."""
_SHOWN_BYTES = 400
"""Of a request that failed."""


Event = dict[str, Any] | None


@dataclass(slots=True)
class Lease:
    """Somebody's word on an endpoint. `pid` is the client's process."""

    id: str
    endpoint: str
    pid: int
    stands_alone: bool
    fleet: Fleet | None = None
    generation: int = 0
    """So many times its handler was loaded, or failed to be."""
    loading: asyncio.Task[dict[str, Any]] | None = None
    last: tuple[Request, Answer] | None = None
    is_recorded: bool = True
    """Whether anything may be kept of what its requests say."""
    relay: Relay | None = None
    """Where a debugger attaches."""
    folders: Sequence[tuple[str, str]] = ()
    """Where the modules of what is served come from, and their places in the model data."""
    page: Mapping[str, Any] | None = None
    """What the endpoint's page is made of, once that is known."""
    events: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(_MOST_EVENTS))

    def tell(self, event: Event) -> None:
        """Let the client know; None is the end."""
        if self.events.full():
            self.events.get_nowait()
        self.events.put_nowait(event)


class Hold:
    """What befalls a lease, line by line as JSON, until the region ends; closing it ends the lease."""

    def __init__(self, lease: Lease, release: Callable[[Lease], None]) -> None:
        self._lease, self._release = lease, release
        lease.tell({"event": "lease", "lease": lease.id})

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        event = await self._lease.events.get()
        if event is None:
            raise StopAsyncIteration
        return json.dumps(event).encode() + b"\n"

    async def aclose(self) -> None:
        """Give the endpoint back."""
        self._release(self._lease)


class Leases:
    """Who answers for which endpoint in place of what is deployed there."""

    def __init__(
        self,
        store: Store,
        trees: Trees,
        endpoints: Endpoints,
        blueprints: Blueprints,
        clock: Callable[[], float] = time.time,
        developments: Developments | None = None,
    ) -> None:
        self._store, self._trees, self._endpoints, self._blueprints = store, trees, endpoints, blueprints
        self._clock, self._developments = clock, developments or Developments(Feed())
        self._leases: dict[str, Lease] = {}

    def clear(self) -> None:
        """Remove what a region that was killed has left of its leases."""
        for endpoint in self._store.endpoints():
            tags = self._store.tags(endpoint.arn)
            if tags.pop(DEV_TAG, None) is None:
                continue
            if endpoint.config_name == _dev(endpoint.name):
                self._store.delete_endpoint(endpoint.name)
            else:
                self._store.set_tags(endpoint.arn, tags)
            self._forget_records(endpoint.name)

    def of(self, endpoint: str) -> Lease | None:
        """The lease of an endpoint."""
        return next((lease for lease in self._leases.values() if lease.endpoint == endpoint), None)

    def printed(self, endpoint: str, stream: str, request: str, line: str) -> None:
        """Tell whoever holds the endpoint what its handler printed."""
        lease = self.of(endpoint)
        # The traceback of a load is in the answer to the reload.
        if lease is not None and not stream.endswith("/load"):
            lease.tell({"event": "line", "request": request, "line": line})

    def hold(self, params: Mapping[str, Any]) -> Hold:
        """Take an endpoint. Raises LeaseTaken if somebody has it."""
        return Hold(self._take(params["endpoint"], params["pid"], params["tags"]), self._release)

    def end(self) -> None:
        """Let every client know that the region ends."""
        for lease in self._leases.values():
            lease.tell(None)

    async def reload(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Serve newer sources: loaded, tried with the examples, then live. A newer reload overtakes it."""
        lease = self._held(params["lease"])
        if lease.loading is not None and not lease.loading.done():
            lease.loading.cancel()
            await asyncio.wait([lease.loading])
        lease.loading = asyncio.ensure_future(self._reload(lease, params))
        try:
            return await asyncio.shield(lease.loading)
        except asyncio.CancelledError:
            return {"overtaken": True}

    async def _reload(self, lease: Lease, params: Mapping[str, Any]) -> dict[str, Any]:
        begun = time.perf_counter()
        fleet = await self._edited(lease, params)
        kept = fleet is not None
        if fleet is None:
            try:
                fleet = await self._loaded(lease, params)
            except LoadFailed as error:
                lease.generation += 1
                seconds = time.perf_counter() - begun
                self._developments.reloaded(lease.endpoint, seconds, failure=error.message)
                journal = params["environment"].get(JOURNAL_VARIABLE) != "false"
                queued = params.get("asynchronous", {}).get("AsyncInferenceConfig")
                broken = Broken(VARIANT, error, _dev(lease.endpoint), journal=journal, asynchronous=queued)
                self._go_live(lease, broken)
                found = error.findings
                return {"failure": {"message": error.message, "trace": error.trace, "findings": found}}
        ready = time.perf_counter()
        try:
            answers = await _tried(fleet, params)
        except BaseException:
            await asyncio.shield(fleet.stop())
            raise
        lease.generation += not kept
        lease.folders = params.get("folders", ())
        self._go_live(lease, fleet)
        self._developments.reloaded(lease.endpoint, ready - begun, kept=kept)
        return {
            "kept": kept,
            "generation": lease.generation,
            "answers": answers,
            "seconds": ready - begun,
        }

    async def try_again(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Have what is live answer examples."""
        lease = self._held(params["lease"])
        if lease.fleet is None:
            raise UsageError("nothing is loaded that could answer", "Mend the handler first.")
        answers = await _tried(lease.fleet, params)
        return {"kept": True, "generation": lease.generation, "answers": answers, "seconds": 0.0}

    async def debug(self, params: Mapping[str, Any]) -> dict[str, int]:
        """Have debuggers attach at a port, to whatever is live there. Raises UsageError if it is taken."""
        lease = self._held(params["lease"])

        async def find() -> Debuggee:
            if lease.fleet is None:
                raise UsageError("nothing is loaded that could be debugged")
            port, folder = await lease.fleet.debug()
            return Debuggee(port, [(local, str(folder / place)) for local, place in lease.folders])

        lease.relay = Relay(find)
        return {"port": await lease.relay.open(params["port"])}

    def show(self, params: Mapping[str, Any]) -> None:
        """Have the endpoint's page be this, in place of what was deployed with the endpoint."""
        self._held(params["lease"]).page = {"app": params["app"], "examples": params["examples"]}

    def page(self, endpoint: str) -> Mapping[str, Any] | None:
        """What the page is made of while somebody holds the endpoint, if they have said so."""
        lease = self.of(endpoint)
        return None if lease is None else lease.page

    def report(self, params: Mapping[str, Any]) -> None:
        """Keep what the client tells of its last save, for the pages."""
        self._developments.reported(self._held(params["lease"]).endpoint, params["report"])

    def last(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """The last request that somebody else sent, and its answer; None if nobody has.

        Raises UsageError where nothing may be kept of them.
        """
        lease = self._held(params["lease"])
        if not lease.is_recorded:
            message = "no request is kept that could be saved: config.yml says `journal: false`"
            raise UsageError(message, "Take that out, and send the request again.")
        last = lease.last
        if last is None:
            return None
        request, answer = last
        body = base64.b64encode(request.body).decode()
        return {"headers": dict(request.headers), "body": body, "answer": _answer_as_json(answer, 0.0)}

    async def _edited(self, lease: Lease, params: Mapping[str, Any]) -> Fleet | None:
        """The fleet that goes on with the loaded model, if there is one and the client says that it may.

        The client's changes are to the model of one generation, which may be gone meanwhile.
        """
        changes = params.get("changes")
        if changes is None or lease.fleet is None or params.get("generation") != lease.generation:
            return None
        heir = lease.fleet.successor([_change(change) for change in changes])
        if heir is None:
            return None
        try:
            await heir.start()
        except HotfireError:
            return None
        return heir

    async def _loaded(self, lease: Lease, params: Mapping[str, Any]) -> Fleet:
        entries = entries_of(params["entries"])
        tree = await asyncio.to_thread(self._trees.admit, entries)
        name = self._put_records(lease, self._trees.path(tree).as_uri(), params)
        try:
            return await self._endpoints.prepare(lease.endpoint, self._blueprints.draw(name))
        except LoadFailed:
            raise
        except HotfireError as error:
            raise LoadFailed(error.message) from error

    def _go_live(self, lease: Lease, fleet: Fleet | Broken) -> None:
        def keep(request: Request, answer: Answer) -> None:
            if answer.status and lease.is_recorded:
                lease.last = request, answer
            if answer.findings is not None and "failure" in answer.findings:
                lease.tell(_failed(request, answer.status, answer.findings))
                self._developments.refused(lease.endpoint, answer.status)

        lease.is_recorded = fleet.variant(None).plan.journal
        if not lease.is_recorded:
            lease.last = None
        self._endpoints.lend(lease.endpoint, Recorded(fleet, keep))
        lease.fleet = fleet if isinstance(fleet, Fleet) else None
        if lease.stands_alone:
            reason = fleet.reason if isinstance(fleet, Broken) else ""
            self._endpoints.settle(lease.endpoint, reason)

    def _held(self, lease: str) -> Lease:
        if lease not in self._leases:
            raise UsageError("there is no such lease", "`hotfire dev` takes a new one.")
        return self._leases[lease]

    def _take(self, name: str, pid: int, tags: Mapping[str, str]) -> Lease:
        taken = self.of(name)
        if taken is not None:
            message = f"`hotfire dev` (process {taken.pid}) serves the endpoint {name!r} already"
            raise LeaseTaken(message, "End it there first, or give this one another `model_name`.")
        endpoint = self._store.endpoint(name)
        if endpoint is not None and endpoint.status == "Deleting":
            raise LeaseTaken(f"the endpoint {name!r} is being deleted", "Try again in a moment.")
        lease = Lease(str(uuid.uuid4()), name, pid, stands_alone=endpoint is None)
        self._leases[lease.id] = lease
        self._endpoints.hold(name, f"`hotfire dev` (process {pid}) serves it")
        if endpoint is None:
            now = self._clock()
            made = Endpoint(name, _arn("endpoint", name), _dev(name), "Creating", now, now)
            self._endpoints.announce(made, {**tags, DEV_TAG: str(pid)})
        else:
            self._store.set_tags(endpoint.arn, {**self._store.tags(endpoint.arn), DEV_TAG: str(pid)})
        self._developments.began(name, pid)
        return lease

    def _release(self, lease: Lease) -> None:
        if self._leases.pop(lease.id, None) is None:
            return
        if lease.loading is not None:
            lease.loading.cancel()
        if lease.relay is not None:
            lease.relay.close()
        if lease.stands_alone:
            self._store.delete_endpoint(lease.endpoint)
        else:
            self._untag(lease.endpoint)
        self._endpoints.give_back(lease.endpoint)
        self._developments.ended(lease.endpoint)
        self._forget_records(lease.endpoint)

    def _untag(self, name: str) -> None:
        endpoint = self._store.endpoint(name)
        if endpoint is not None:
            tags = self._store.tags(endpoint.arn)
            tags.pop(DEV_TAG, None)
            self._store.set_tags(endpoint.arn, tags)

    def _forget_records(self, endpoint: str) -> None:
        self._store.delete_config(_dev(endpoint))
        self._store.delete_model(_dev(endpoint))

    def _put_records(self, lease: Lease, url: str, params: Mapping[str, Any]) -> str:
        """The model and the config that say what is served; both have one name."""
        name, now = _dev(lease.endpoint), self._clock()
        source = {"S3Uri": f"{url}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        container = {
            "ModelDataSource": {"S3DataSource": source},
            "Environment": {**params["environment"], PROJECT_VARIABLE: lease.endpoint},
        }
        if params.get("image"):
            container["Image"] = params["image"]
        model = {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": _ROLE}
        variant = {
            "VariantName": VARIANT,
            "ModelName": name,
            "InitialVariantWeight": 1.0,
            **params.get("hosting", {"InstanceType": "local"}),
            "ContainerStartupHealthCheckTimeoutInSeconds": params["startup_timeout"],
        }
        if "InstanceType" in variant:
            variant["InitialInstanceCount"] = 1
        config = {
            "EndpointConfigName": name,
            "ProductionVariants": [variant],
            **params.get("asynchronous", {}),
        }
        tags = {DEV_TAG: str(lease.pid)}
        self._store.put_model(Model(name, _arn("model", name), now, model), tags)
        self._store.put_config(EndpointConfig(name, _arn("endpoint-config", name), now, config), tags)
        return name


def _dev(endpoint: str) -> str:
    """The name of the model and config of what is served in place."""
    return f"{endpoint[:59].rstrip('-')}-dev"


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION_NAME}:{_ACCOUNT}:{kind}/{name}"


def _change(given: Mapping[str, Any]) -> Change:
    return Change(given["place"], given["source"], tuple(given["names"]), tuple(given["removed"]))


def _failed(request: Request, status: int, findings: Mapping[str, Any]) -> dict[str, Any]:
    """That a client's request failed: as JSON has it, with the beginning of what was sent."""
    start = base64.b64encode(request.body[:_SHOWN_BYTES]).decode()
    sent = {"headers": dict(request.headers), "body": start, "size": len(request.body)}
    return {"event": "failed", "request": sent, "status": status, "findings": findings}


async def _tried(fleet: Fleet, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    profiled = bool(params.get("profiled"))
    return [await _try(fleet, example, profiled) for example in params.get("examples", ())]


async def _try(fleet: Fleet, example: Mapping[str, Any], profiled: bool) -> dict[str, Any]:
    """What a fleet that is not live answers to an example: as JSON has it."""
    params = {**example, "Body": base64.b64decode(example["Body"])}
    variant = fleet.variant(params.get("TargetVariant"))
    request = replace(container_request(params, REAL_TIME_SECONDS), examined=True, profiled=profiled)
    begun = time.perf_counter()
    try:
        answer = await variant.instance().invoke(request)
    except (DeadlineExceeded, QueueFull) as error:
        answer = unanswered(error.message)
    return _answer_as_json(answer, time.perf_counter() - begun)


def _answer_as_json(answer: Answer, seconds: float) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {
        "status": answer.status,
        "content_type": headers.get("content-type", ""),
        "body": base64.b64encode(answer.body).decode(),
        "seconds": seconds,
        "times": dict(answer.times),
        "findings": answer.findings,
    }
