"""SageMaker Runtime's API."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from hotfire.errors import (
    DeadlineExceeded,
    InternalStreamFailure,
    ModelError,
    ModelStreamError,
    QueueFull,
    ServiceError,
    StreamBroken,
    Throttling,
    ValidationError,
)
from hotfire.instances.base import Answer as ContainerAnswer
from hotfire.instances.base import Request
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.endpoints import Endpoints
from hotfire.region.fleet import Variant
from hotfire.region.logs import GROUP_PREFIX
from hotfire.region.queue import Ticket
from hotfire.region.records import Via
from hotfire.region.scribe import CLIENT_LEFT, Entry, Scribe

_log = logging.getLogger("hotfire.region")

REAL_TIME_SECONDS = 60.0
"""How long SageMaker waits for a model's answer: InvokeEndpoint's documentation."""
STREAM_SECONDS = 480.0
"""How long a model may take to send the whole of an answer in parts."""

_HEADERS = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
    "TargetVariant": "X-Amzn-SageMaker-Target-Variant",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "SessionId": "X-Amzn-SageMaker-Session-Id",
}
"""The parameters that reach the container, and by which header."""


class Dispatcher(Protocol):
    """Takes requests that are answered later."""

    def accept(self, caller: Caller, variant: Variant, params: Mapping[str, Any]) -> Ticket:
        """Queue a request to a variant whose endpoint is asynchronous. Raises ValidationError."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a request: `id` is that of its record, `error` what a client would be told.

    `answer` is the container's own, also where it is an error, with the time in each function of the handler
    and the findings about a failure; None where it had none. `seconds` is how long all of it took. `request`
    is the id under which it reached the container, empty if it did not.
    """

    id: int
    variant: str
    seconds: float
    answer: ContainerAnswer | None
    error: ServiceError | None
    request: str = ""


class Runtime:
    """Invocations of the endpoints of a region."""

    def __init__(self, endpoints: Endpoints, dispatcher: Dispatcher, scribe: Scribe | None = None) -> None:
        self._endpoints, self._dispatcher = endpoints, dispatcher
        self._scribe = scribe or Scribe()
        self.operations: Mapping[str, Operation] = {
            "InvokeEndpoint": self.invoke_endpoint,
            "InvokeEndpointWithResponseStream": self.invoke_endpoint_with_response_stream,
            "InvokeEndpointAsync": self.invoke_endpoint_async,
        }

    async def invoke_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """One request to a variant's container; anything it answers but 2xx is a ModelError."""
        with self._entry(caller.via or "invoke", params) as entry:
            variant = await self._variant(params)
            request = container_request(params, REAL_TIME_SECONDS)
            answer = await good(caller, params["EndpointName"], variant, request, entry)
        return {"Body": answer.body, **_members(answer, variant.plan.name)}

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Outcome:
        """The same request for whoever looks at all that comes of it; its failure is examined."""
        entry, variant, refusal = self._entry(caller.via or "invoke", params), "", None
        try:
            with entry:
                found = await self._variant(params)
                variant = found.plan.name
                request = replace(container_request(params, REAL_TIME_SECONDS), examined=True)
                await good(caller, params["EndpointName"], found, request, entry)
        except ServiceError as error:
            refusal = error
        request_id = entry.request.id if entry.request is not None else ""
        return Outcome(entry.id, variant, entry.seconds, entry.answer, refusal, request_id)

    async def invoke_endpoint_with_response_stream(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """One request whose answer is passed on as the container makes it."""
        with self._entry(caller.via or "stream", params) as entry:
            variant = await self._variant(params)
            request = container_request(params, STREAM_SECONDS)
            answer = await good(caller, params["EndpointName"], variant, request, entry, in_parts=True)
            entry.go_on()
        return {"Body": PayloadParts(answer, entry), **_members(answer, variant.plan.name)}

    async def invoke_endpoint_async(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A request that is queued, to be answered where the endpoint's config says."""
        with self._entry("async", params) as entry:
            variant = await self._variant(params, asynchronous=True)
            ticket = self._dispatcher.accept(caller, variant, params)
            entry.leave_to_another()
        return {
            "InferenceId": ticket.params["InferenceId"],
            "OutputLocation": ticket.output,
            "FailureLocation": ticket.failure or None,
        }

    def _entry(self, via: Via, params: Mapping[str, Any]) -> Entry:
        return self._scribe.entry(via, params["EndpointName"], len(params.get("Body") or b""))

    async def _variant(self, params: Mapping[str, Any], *, asynchronous: bool = False) -> Variant:
        """The variant that is to answer; raises ValidationError if there is none that answers in this way."""
        name = params["EndpointName"]
        variant = await self._endpoints.variant(name, params.get("TargetVariant"))
        if (variant.plan.asynchronous is not None) != asynchronous:
            raise ValidationError(
                f"Endpoint {name} of account 000000000000 does not support this inference type."
            )
        return variant


class PayloadParts:
    """An answer of the container as the events of a response stream; its entry ends with it."""

    def __init__(self, answer: ContainerAnswer, entry: Entry) -> None:
        self._rest, self._entry = answer.rest, entry
        self._first: bytes | None = answer.body
        self._size = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        first, self._first = self._first, None
        try:
            part = await self._next() if first is None else first
        except StopAsyncIteration:
            self._entry.end(size=self._size)
            raise
        except ServiceError as error:
            self._entry.end(error, size=self._size)
            raise
        self._size += len(part)
        return {"PayloadPart": {"Bytes": part}}

    async def aclose(self) -> None:
        """Want no more of it: the model stops."""
        self._entry.end(size=self._size, code=CLIENT_LEFT)
        if self._rest is not None:
            await self._rest.aclose()

    async def _next(self) -> bytes:
        if self._rest is None:
            raise StopAsyncIteration
        try:
            return await anext(self._rest)
        except DeadlineExceeded:
            raise ModelStreamError(_STREAM_TIMED_OUT, ErrorCode="ModelInvocationTimeExceeded") from None
        except StreamBroken:
            raise ModelStreamError(_STREAM_BROKEN, ErrorCode="StreamBroken") from None
        except StopAsyncIteration:
            raise
        except Exception as error:
            _log.exception("a bug in Hotfire, met by a stream")
            raise InternalStreamFailure("A fault of the local region; its log says more.") from error


_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


_STREAM_TIMED_OUT = "The model did not finish sending its answer within the time that it has for a stream."
_STREAM_BROKEN = "The model broke its answer off. The endpoint's log says more."


def container_request(params: Mapping[str, Any], limit: float) -> Request:
    """What reaches the container."""
    body = params.get("Body", b"")
    headers = {header: params[given] for given, header in _HEADERS.items() if given in params}
    headers["Content-Length"] = str(len(body))
    return Request(str(uuid.uuid4()), headers, body, limit)


def parameters(headers: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of an invocation that reached the container by these headers."""
    found = {name.lower(): value for name, value in headers.items()}
    return {given: found[header.lower()] for given, header in _HEADERS.items() if header.lower() in found}


async def good(
    caller: Caller,
    endpoint: str,
    variant: Variant,
    request: Request,
    entry: Entry,
    *,
    in_parts: bool = False,
) -> ContainerAnswer:
    """A variant's answer, if it is one that SageMaker passes on. Raises ModelError, Throttling."""
    entry.give(variant.plan, request)
    instance = variant.instance()
    try:
        answer = await (instance.stream(request) if in_parts else instance.invoke(request))
    except DeadlineExceeded:
        raise _model_error(caller, endpoint, 0, _TIMED_OUT) from None
    except QueueFull as error:
        raise Throttling(f"Endpoint {endpoint} takes no more requests now: {error.message}.") from None
    entry.answer = answer
    if 200 <= answer.status < 300:
        return answer
    if answer.rest is not None:
        await answer.rest.aclose()
    raise _model_error(caller, endpoint, answer.status, answer.body.decode("utf-8", "replace"))


def _members(answer: ContainerAnswer, variant: str) -> Answer:
    """What is told of an answer besides its body."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    members = {
        "ContentType": headers.get("content-type"),
        "InvokedProductionVariant": variant,
        "CustomAttributes": headers.get("x-amzn-sagemaker-custom-attributes"),
        "NewSessionId": headers.get("x-amzn-sagemaker-new-session-id"),
        "ClosedSessionId": headers.get("x-amzn-sagemaker-closed-session-id"),
    }
    return {name: value for name, value in members.items() if value is not None}


def _model_error(caller: Caller, endpoint: str, status: int, message: str) -> ModelError:
    console = f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    group = GROUP_PREFIX + endpoint
    kind = "client" if 400 <= status < 500 else "server"
    return ModelError(
        f'Received {kind} error ({status}) from primary with message "{message}". See '
        f"{console}#logEventViewer:group={group} in account 000000000000 for more information.",
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=f"arn:{caller.partition}:logs:{caller.region}:000000000000:log-group:{group}",
    )
