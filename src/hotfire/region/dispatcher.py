"""Asynchronous inference: gives queued requests to the models, and writes what comes of each."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from hotfire.errors import ArchiveError, HotfireError, ValidationError
from hotfire.instances.base import Answer
from hotfire.region.buckets import Buckets
from hotfire.region.caller import Caller
from hotfire.region.fleet import Variant
from hotfire.region.queue import Queue, Ticket
from hotfire.region.runtime import container_request, good
from hotfire.region.scribe import Scribe

MOST_INPUT = 1024 * 1024 * 1024
"""Bytes of a request that lies in a bucket."""
TTL_SECONDS = 21_600
INVOCATION_SECONDS = 900
"""SageMaker's defaults: InvokeEndpointAsync's documentation."""
CONCURRENCY = 4
"""Requests at once of an instance whose config names no number: SageMaker says that it chooses a good one."""

LOG_STREAM = "AllTraffic/data-log"
"""Where an endpoint's log says what became of each request."""

_SECONDS_TO_END = 5.0
_SECONDS_TO_LOOK_AGAIN = 30.0
"""Nobody tells when an endpoint that took very long to come up is there after all."""
_LOCAL = ("s3://", "file://")
_log = logging.getLogger("hotfire.region")

Say = Callable[[str, str, str, str], None]
"""Takes an endpoint's name, a log stream, the id of a request and a line."""


class Endpoints(Protocol):
    """What serves, as the dispatcher sees it."""

    async def variant(self, name: str, target: str | None) -> Variant:
        """The variant that is to answer an invocation; raises ValidationError if none can."""
        ...


class _Line:
    """The requests of one endpoint: up to the ticket `begun` they are in hand or done, the others wait."""

    def __init__(self) -> None:
        self.begun = 0
        self.in_hand: set[asyncio.Task[None]] = set()
        self.news = asyncio.Event()
        self.attendant: asyncio.Task[None] | None = None


class Dispatcher:
    """The queues of all asynchronous endpoints."""

    def __init__(
        self,
        queue: Queue,
        buckets: Buckets,
        endpoints: Endpoints,
        say: Say,
        clock: Callable[[], float] = time.time,
        scribe: Scribe | None = None,
    ) -> None:
        self._scribe = scribe or Scribe()
        self._queue, self._buckets, self._endpoints = queue, buckets, endpoints
        self._say, self._clock = say, clock
        self._lines: dict[str, _Line] = {}

    def accept(self, caller: Caller, variant: Variant, params: Mapping[str, Any]) -> Ticket:
        """Queue a request to a variant whose endpoint is asynchronous. Raises ValidationError."""
        body, address = params.get("Body"), params.get("InputLocation")
        if (body is None) == (address is None):
            raise ValidationError("Exactly one of Body and InputLocation must be given.")
        if address is not None and not address.startswith(_LOCAL):
            message = f"InputLocation is {address}: the local region reads s3:// and file:// addresses."
            raise ValidationError(message)
        name, now = params["EndpointName"], self._clock()
        kept = {key: value for key, value in params.items() if key != "Body"}
        unique = str(uuid.uuid4())
        output, failure = _places(variant.plan.asynchronous or {}, kept, unique)
        ticket = Ticket(
            number=0,
            endpoint=name,
            aws_region=caller.region,
            received=now,
            expires=now + params.get("RequestTTLSeconds", TTL_SECONDS),
            seconds=params.get("InvocationTimeoutSeconds", INVOCATION_SECONDS),
            params={"InferenceId": unique, **kept},
            output=output,
            failure=failure,
        )
        self._queue.add(ticket, body)
        self._attend(name)
        return ticket

    def resume(self, endpoints: Collection[str]) -> None:
        """Go on with what waited for these endpoints when the region ended; others are gone."""
        for endpoint in self._queue.endpoints():
            if endpoint in endpoints:
                self._attend(endpoint)
            else:
                self.abandon(endpoint)

    def abandon(self, endpoint: str) -> None:
        """Give up what waits for an endpoint that is deleted; what is in hand is still answered."""
        line = self._lines.setdefault(endpoint, _Line())
        for ticket in self._queue.all_after(endpoint, line.begun):
            line.begun = ticket.number
            self._refuse(
                ticket, "Deleted", f"Endpoint {endpoint} was deleted before the request's turn came."
            )

    async def close(self) -> None:
        """End; what is not answered soon waits for the next region."""
        lines = list(self._lines.values())
        for line in lines:
            if line.attendant is not None:
                line.attendant.cancel()
        working = {task for line in lines for task in line.in_hand}
        if working:
            _, late = await asyncio.wait(working, timeout=_SECONDS_TO_END)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _attend(self, endpoint: str) -> None:
        line = self._lines.setdefault(endpoint, _Line())
        line.news.set()
        if line.attendant is None or line.attendant.done():
            line.attendant = asyncio.get_running_loop().create_task(self._work_off(endpoint, line))

    async def _work_off(self, endpoint: str, line: _Line) -> None:
        """Begin one request after the other, as many at once as the config lets, until none waits."""
        while True:
            line.news.clear()
            for late in self._queue.expired(endpoint, line.begun, self._clock()):
                message = "The request expired: it waited longer than its RequestTTLSeconds."
                self._refuse(late, "Expired", message)
            if self._queue.next_expiry(endpoint, line.begun) is None:
                return
            variant = await self._serving(endpoint)
            if variant is None or len(line.in_hand) >= _capacity(variant):
                await self._news(endpoint, line)
                continue
            ticket = self._queue.after(endpoint, line.begun)
            if ticket is None:  # given up meanwhile
                return
            line.begun = ticket.number
            task = asyncio.get_running_loop().create_task(self._handle(ticket))
            line.in_hand.add(task)
            task.add_done_callback(line.in_hand.discard)
            task.add_done_callback(lambda _: line.news.set())

    async def _serving(self, endpoint: str) -> Variant | None:
        """What answers for the endpoint; None if nothing does, as where its model does not load any more."""
        try:
            return await self._endpoints.variant(endpoint, None)
        except ValidationError:
            return None

    async def _news(self, endpoint: str, line: _Line) -> None:
        """Wait for something to change: a request comes, one ends, one expires."""
        expiry = self._queue.next_expiry(endpoint, line.begun)
        seconds = min(max((expiry or 0.0) - self._clock(), 0.0), _SECONDS_TO_LOOK_AGAIN)
        try:
            await asyncio.wait_for(line.news.wait(), seconds)
        except TimeoutError:
            return

    async def _handle(self, ticket: Ticket) -> None:
        try:
            answer = await self._answer(ticket)
            self._buckets.write(ticket.output, answer.body, _content_type(answer))
        except HotfireError as error:
            self._fail(ticket, error.message)
        except Exception:  # noqa: BLE001  # whatever it is, the request must not come again with each start
            _log.exception("a bug in Hotfire, met by an asynchronous request of %s", ticket.endpoint)
            self._fail(ticket, "A fault of the local region; its log says more.")
        else:
            self._queue.remove(ticket.number)
            self._tell(ticket, f"answered: {ticket.output}")

    async def _answer(self, ticket: Ticket) -> Answer:
        """The container's answer; raises HotfireError with what is to be told of a failure."""
        body = self._queue.body(ticket.number)
        with self._scribe.entry("async", ticket.endpoint, len(body or b"")) as entry:
            if body is None:
                body = await asyncio.to_thread(self._input, ticket.params["InputLocation"])
            request = container_request({**ticket.params, "Body": body}, ticket.seconds)
            # Not before the input is there: what served when it was begun to be read may have ended by now.
            variant = await self._endpoints.variant(ticket.endpoint, None)
            return await good(Caller(ticket.aws_region), ticket.endpoint, variant, request, entry)

    def _input(self, address: str) -> bytes:
        path = self._buckets.path(address)
        if path.is_file() and path.stat().st_size > MOST_INPUT:
            raise ArchiveError(f"{address} is longer than {MOST_INPUT} bytes.")
        return self._buckets.read(address)

    def _refuse(self, ticket: Ticket, code: str, message: str) -> None:
        """Fail a request that no model has had."""
        entry = self._scribe.entry("async", ticket.endpoint, len(self._queue.body(ticket.number) or b""))
        entry.end(HotfireError(message), code=code)
        self._fail(ticket, message)

    def _fail(self, ticket: Ticket, message: str) -> None:
        """Write why there is no answer, if the config says where."""
        self._tell(ticket, f"failed: {message}")
        if ticket.failure:
            try:
                self._buckets.write(ticket.failure, message.encode("utf-8", "replace"), "text/plain")
            except HotfireError as error:
                self._tell(ticket, f"its failure cannot be written: {error.message}")
        self._queue.remove(ticket.number)

    def _tell(self, ticket: Ticket, text: str) -> None:
        # The rest of what a container says of a failure is in its own log.
        line = f"request {ticket.params['InferenceId']} {text}".splitlines()[0]
        self._say(ticket.endpoint, LOG_STREAM, "", line)


def _places(config: Mapping[str, Any], params: Mapping[str, Any], unique: str) -> tuple[str, str]:
    """Where a request's output and its failure go; the latter may be nowhere."""
    outputs = config.get("OutputConfig", {})
    name = params.get("Filename", f"{unique}.out")
    folder = params.get("S3OutputPathExtension", "").strip("/")
    output = "/".join(part for part in (outputs["S3OutputPath"].rstrip("/"), folder, name) if part)
    if "S3FailurePath" not in outputs:
        return output, ""
    return output, f"{outputs['S3FailurePath'].rstrip('/')}/{name.rpartition('.')[0] or name}-error.out"


def _capacity(variant: Variant) -> int:
    """How many requests a variant may have in hand."""
    client = (variant.plan.asynchronous or {}).get("ClientConfig", {})
    each: int = client.get("MaxConcurrentInvocationsPerInstance", CONCURRENCY)
    return each * max(variant.plan.count, 1)


def _content_type(answer: Answer) -> str:
    named = {name.lower(): value for name, value in answer.headers.items()}
    return named.get("content-type", "application/octet-stream")
