"""The region's composition root: builds the parts, joins them, and routes each request to its service."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from hotfire.address import Exposure, Key
from hotfire.console.predictions import too_large
from hotfire.console.public import refusal
from hotfire.errors import (
    ApiError,
    HotfireError,
    InternalFailure,
    ServiceError,
    UnknownOperation,
    UnrecognizedClient,
)
from hotfire.instances.containers import ContainerHost
from hotfire.instances.hosts import Hosts
from hotfire.instances.preloads import Preloads
from hotfire.instances.process import ProcessHost
from hotfire.instances.ray_host import RayHost
from hotfire.instances.zygotes import Zygotes
from hotfire.region.absent import Absent
from hotfire.region.blueprints import Blueprints
from hotfire.region.buckets import Buckets
from hotfire.region.caller import LONGEST_WAIT, Caller, Operation
from hotfire.region.census import Census
from hotfire.region.control import Control
from hotfire.region.dispatcher import Dispatcher
from hotfire.region.endpoints import Endpoints
from hotfire.region.identity import Identity
from hotfire.region.journal import Journal
from hotfire.region.leases import Hold, Leases
from hotfire.region.logs import Logs
from hotfire.region.metrics import CONTENT_TYPE
from hotfire.region.observatory import Observatory
from hotfire.region.private import Private
from hotfire.region.queue import Queue
from hotfire.region.quota import Limits
from hotfire.region.requirements import PythonEnvironments
from hotfire.region.runtime import Runtime
from hotfire.region.store import Store
from hotfire.region.trees import Trees
from hotfire.region.wire import Request, Response, Service
from hotfire.server import listening
from hotfire.server.exchange import head_of, send_response
from hotfire.server.gate import Gate, Scope, clients_of, is_of_this_machine, scope
from hotfire.server.guests import Door
from hotfire.server.http import read_body, send_flow
from hotfire.server.objects import ObjectServer, signature
from hotfire.server.shares import Share
from hotfire.server.website import Inside, Website

WAIT_HEADER = "x-hotfire-wait"
MOST_BYTES = 64 * 1024 * 1024
"""Of a request's body; the services' own limits are lower and are told in their own words."""

_FLUSH_SECONDS = 0.5
_CLOSE = (("connection", "close"),)
_TARGETS = {"SageMaker": "sagemaker", "Logs_20140328": "logs"}
_log = logging.getLogger("hotfire.region")

Scoped = Mapping[str, Any]


class Operations(Protocol):
    """A service's operations."""

    @property
    def operations(self) -> Mapping[str, Operation]:
        """By the names of the API."""


class Region:
    """A local region over the files in `home`; an ASGI application."""

    def __init__(
        self,
        home: Path,
        key: Key,
        exposure: Exposure,
        port: int,
        python: Path,
        environment: Mapping[str, str],
        journal: Limits | None = None,
    ) -> None:
        self._store = Store(home / "region.sqlite")
        self._trees = Trees(home / "model-data")
        self._journal = Journal(home / "journal.sqlite")
        self._census = Census(self._store)
        queue = Queue(self._store)
        self._seen = Observatory(home, self._store, queue, journal)
        instances = ProcessHost(
            Zygotes(environment, self._census, Preloads(home / "imports.json")), home / "instances"
        )
        buckets = Buckets(home / "objects", self._store)
        self._environments = PythonEnvironments(home / "environments", environment)
        blueprints = Blueprints(self._store, self._trees, buckets, self._environments, python)
        self._containers = ContainerHost(home, environment)
        self._clusters = RayHost(home, environment)
        hosts = Hosts(instances, self._containers, self._clusters)
        self._endpoints = Endpoints(self._store, self._trees, hosts, blueprints, self._print)
        self._seen.follow(self._endpoints)
        self._leases = Leases(
            self._store, self._trees, self._endpoints, blueprints, developments=self._seen.developments
        )
        scribe = self._seen.scribe
        self._dispatcher = Dispatcher(queue, buckets, self._endpoints, self._print, scribe=scribe)
        self._endpoints.on_delete = self._dispatcher.abandon
        runtime = Runtime(self._endpoints, self._dispatcher, scribe)
        self.services: Mapping[str, tuple[Service, Operations]] = {
            "sagemaker": (Service("sagemaker"), Control(self._store, self._endpoints)),
            "sagemaker-runtime": (Service("sagemaker-runtime"), runtime),
            "sts": (Service("sts"), Identity()),
            "iam": (Service("iam"), Identity()),
            "logs": (Service("logs"), Logs(self._store, self._journal)),
        }
        names = listening.names(port, exposure)
        self._gate = Gate(key, names, clients_of(key, exposure), exposure.origins)
        self.objects = ObjectServer(home, buckets, self._census, self._gate, environment)
        inside = Inside(
            self._store, self._endpoints, blueprints, runtime, self._leases, self._journal, self._seen
        )
        self._web = Website(key, port, exposure, self._gate, inside)
        self._private = Private(
            key,
            self._store,
            self._trees,
            instances,
            self._containers,
            self._web.visitors,
            self._leases,
            self._endpoints,
            self.stop,
            self._web.shares,
            self._seen.invocations,
        )
        self._flusher: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[Any] | None] = set()
        self.on_stop: Callable[[], None] = lambda: None

    def open(self) -> None:
        """Take up what the store says is there."""
        self.objects.open()
        self._leases.clear()
        self._trees.remove(self._endpoints.trees_in_use())
        self._endpoints.resume()
        self._containers.open()
        self._clusters.open()
        served = [one.name for one in self._store.endpoints() if one.status != "Deleting"]
        self._dispatcher.resume(served)
        self._seen.open()
        self._flusher = asyncio.get_running_loop().create_task(self._flush())

    def stop(self) -> None:
        """Begin to end: nobody is held any longer, and what has not come in whole is not waited for."""
        self._endpoints.release()
        self._leases.end()
        self._web.shares.end()
        self._seen.stop()
        self.objects.stop()
        for task in self._reading:
            if task is not None:
                task.cancel()
        self.on_stop()

    async def close(self) -> None:
        """End everything; requests in hand are answered."""
        if self._flusher is not None:
            self._flusher.cancel()
        await self._dispatcher.close()
        await self._endpoints.close()
        await self._seen.close()
        await self.objects.close()
        self._environments.close()
        self._census.close()
        self._journal.close()
        self._store.close()

    async def __call__(self, given: Scoped, receive: Any, send: Any) -> None:
        """Answer an HTTP request, by ASGI."""
        if given["type"] != "http":
            return
        head = head_of(given)
        with contextlib.suppress(ConnectionError):
            if head.path.startswith("/_hotfire/") and not is_of_this_machine(given):
                await send_response(send, _NOT_FROM_HERE)
                return
            signed = signature(head)
            if signed is not None and signed.service == "s3":
                await self.objects.serve(head, receive, send)
                return
            response = await self._answer(head, receive, is_here=is_of_this_machine(given))
            await send_response(send, response)
            if response.flow is not None:
                await send_flow(receive, send, response.flow)

    async def _answer(self, head: Request, receive: Any, *, is_here: bool) -> Response:
        task = asyncio.current_task()
        self._reading.add(task)
        try:
            body = await read_body(receive, MOST_BYTES)
        except asyncio.CancelledError:
            return Response(503, _CLOSE, b"")
        finally:
            self._reading.discard(task)
        is_public = head.path.startswith("/api/")
        if body is None:
            return refusal(too_large(MOST_BYTES)) if is_public else Response(413, _CLOSE, b"")
        request = dataclasses.replace(head, body=body)
        if is_public:
            return await self._web.api.respond(request, self._web.guests.door(is_here=is_here))
        if head.path == "/metrics":
            return await self._scrape(request, self._web.guests.door(is_here=is_here))
        return await self.respond(request)

    async def respond(self, request: Request) -> Response:
        """The answer to a request, whosever it is, of what is not the public API's."""
        try:
            if request.path.startswith("/_hotfire/"):
                return await self._answer_client(request)
            query = dict(parse_qsl(request.query)) if "X-Amz-Credential" in request.query else {}
            signed = scope(request.headers, query)
            name = _service_name(request, signed)
            if name is None and signed is None and "authorization" not in request.headers:
                self._gate.check_origin(request.headers)
                return await self._web.console.respond(request)
            return await self._answer_service(name or "", request, signed)
        except ServiceError as error:
            return _plain_error(error)

    async def _scrape(self, request: Request, door: Door) -> Response:
        """The figures, for whoever may ask the public API about every model."""
        try:
            self._gate.check_origin(request.headers)
            if door.admit(request.headers, elsewhere=False).models is not None:
                raise ApiError(403, "key_too_narrow", "This key is for some models, and figures are of all.")
            if request.method not in ("GET", "HEAD"):
                raise ApiError(405, "method_not_allowed", "Figures are read by GET.")
        except ServiceError as error:
            return _plain_error(error)
        except ApiError as error:
            return refusal(error)
        text = await self._seen.metrics.text()
        return Response(200, (("content-type", CONTENT_TYPE),), text.encode())

    async def _answer_service(self, name: str, request: Request, signed: Scope | None) -> Response:
        request_id = str(uuid.uuid4())
        service, operations = self._service(name, request, signed)
        try:
            self._gate.check_origin(request.headers)
            caller = self._gate.clients.check_key(signed)
            self._gate.clients.check_signature(request)
            self._gate.clients.check_body(request)
            call = service.parse(request)
            operation = operations.operations.get(call.operation)
            if operation is None:
                raise UnknownOperation(
                    f"This local region of Hotfire does not have {call.operation} of {call.service}."
                )
            result = operation(Caller(caller.region, _wait(request.headers)), call.params)
            answer = await result if inspect.isawaitable(result) else result
            return service.answer(call, answer, request_id)
        except ServiceError as error:
            if isinstance(error, UnknownOperation):
                _log.warning("%s: %s", error.code, error.message)
            return service.refuse(error, request_id)
        except HotfireError as error:
            return service.refuse(InternalFailure(error.message), request_id)
        except Exception:  # noqa: BLE001  # the client is told, and the region goes on
            _log.exception("a bug in Hotfire, met by %s %s", request.method, request.path)
            return service.refuse(
                InternalFailure("A fault of the local region; its log says more."), request_id
            )

    def _service(
        self, name: str, request: Request, signed: Scope | None
    ) -> tuple[Service | Absent, Operations]:
        """The service that a request is for, and its operations; one that refuses it if it is not here."""
        if name in self.services:
            return self.services[name]
        absent = Absent(signed.service if signed is not None else name, request, [*self.services, "s3"])
        return absent, absent

    async def _answer_client(self, request: Request) -> Response:
        self._gate.check_origin(request.headers)
        if request.path == "/_hotfire/hello":
            nonce = dict(parse_qsl(request.query)).get("nonce", "")
            return _json(200, self._private.hello(nonce))
        try:
            self._gate.check_bearer(request.headers)
            route = self._private.route(request.method, request.path)
            result = route(json.loads(request.body or b"{}"))
            if isinstance(result, Hold | Share):
                return Response(200, (("content-type", "application/x-ndjson"),), b"", result)
            return _json(200, await result if inspect.isawaitable(result) else result)
        except UnrecognizedClient as error:
            return _json(403, {"error": {"message": error.message, "advice": error.advice}})
        except HotfireError as error:
            return _json(400, {"error": {"message": error.message, "advice": error.advice}})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _json(400, {"error": {"message": f"the request is not understood: {error!r}"}})
        except Exception as error:  # noqa: BLE001  # the client is told, and the region goes on
            _log.exception("a bug in Hotfire, met by %s %s", request.method, request.path)
            return _json(500, {"error": {"message": f"a fault of the local region: {error!r}"}})

    def _print(self, endpoint: str, stream: str, request: str, line: str) -> None:
        self._journal.add(endpoint, stream, request, line)
        self._leases.printed(endpoint, stream, request, line)
        if self._seen.feed.has_listeners("lines", endpoint):
            told = {"stream": stream, "request": request, "line": line, "time": int(time.time() * 1000)}
            self._seen.feed.publish("lines", endpoint, told)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._journal.flush()


def _json(status: int, value: Any) -> Response:
    return Response(status, (("content-type", "application/json"),), json.dumps(value).encode())


_NOT_FROM_HERE = _json(403, {"error": {"message": "only this machine's programs may ask"}})


def _service_name(request: Request, signed: Scope | None) -> str | None:
    """Which service a request is for: by its target, its path, or the scope that it is signed for."""
    target = request.headers.get("x-amz-target")
    if target is not None:
        return _TARGETS.get(target.partition(".")[0])
    if request.path.startswith("/endpoints/"):
        return "sagemaker-runtime"
    return signed.service if signed is not None else None


def _wait(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers[WAIT_HEADER])
    except (KeyError, ValueError):
        return LONGEST_WAIT
    return max(seconds, 0.0) if math.isfinite(seconds) else LONGEST_WAIT


def _plain_error(error: ServiceError) -> Response:
    return Response(
        error.status, (("content-type", "text/plain; charset=utf-8"),), f"{error.message}\n".encode()
    )
