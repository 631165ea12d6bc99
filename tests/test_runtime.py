"""InvokeEndpoint over a container that answers as the test says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import (
    DeadlineExceeded,
    HotfireError,
    ModelError,
    ModelStreamError,
    QueueFull,
    ServiceError,
    StreamBroken,
    Throttling,
    ValidationError,
)
from hotfire.instances.base import Answer, Output, Request, Spec
from hotfire.region.caller import Caller
from hotfire.region.fleet import Fleet, FleetPlan, Variant, VariantPlan
from hotfire.region.queue import Ticket
from hotfire.region.runtime import Runtime
from hotfire.region.wire import Call, Service

pytestmark = pytest.mark.anyio

CALLER = Caller("eu-west-1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Container:
    """An instance, its host, and the endpoints that have it."""

    def __init__(self) -> None:
        self.answer: Answer | Exception = Answer(200, {"content-type": "application/json"}, b"[1]")
        self.requests: list[Request] = []
        self.load = 0
        self.failure = ""
        plans = tuple(
            VariantPlan(name, 1.0, 1, "local", "0" * 64, {}, "python", 60.0) for name in ("blue", "green")
        )
        self.fleet = Fleet(
            FleetPlan(plans), [Variant.made(one, self, Path(), lambda *_: None) for one in plans]
        )

    def instance(self, spec: Spec, output: Output) -> "Container":
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def close(self) -> None: ...

    async def invoke(self, request: Request) -> Answer:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def stream(self, request: Request) -> Answer:
        return await self.invoke(request)

    def queue(self) -> None:
        """Let the endpoint be an asynchronous one."""
        plans = tuple(replace(one.plan, asynchronous={}) for one in self.fleet._variants)
        self.fleet = Fleet(FleetPlan(plans), [Variant(one, [self]) for one in plans])

    def accept(self, caller: Caller, variant: Variant, params: Mapping[str, Any]) -> Ticket:
        """As the dispatcher does."""
        return Ticket(1, "e", caller.region, 0.0, 1.0, 1.0, {"InferenceId": "i-1"}, "s3://b/o", self.failure)

    async def variant(self, name: str, target: str | None) -> Variant:
        if name != "e":
            raise ValidationError(f"Endpoint {name} of account 000000000000 not found.")
        return self.fleet.variant(target)


@pytest.fixture
def container() -> Container:
    return Container()


async def invoke(container: Container, **params: Any) -> dict[str, Any]:
    runtime = Runtime(container, container)  # type: ignore[arg-type]  # what it uses of Endpoints
    return await runtime.invoke_endpoint(CALLER, {"EndpointName": "e", "Body": b"{}", **params})


async def refused(container: Container, **params: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await invoke(container, **params)
    return caught.value


async def test_the_containers_answer_is_the_clients(container: Container) -> None:
    assert await invoke(container, TargetVariant="blue") == {
        "Body": b"[1]",
        "ContentType": "application/json",
        "InvokedProductionVariant": "blue",
    }


async def test_what_is_for_the_container_reaches_it(container: Container) -> None:
    await invoke(
        container,
        ContentType="text/csv",
        Accept="text/plain",
        CustomAttributes="trace=1",
        TargetModel="m.tar.gz",
        TargetVariant="green",
        InferenceId="i-1",
        SessionId="s-1",
        EnableExplanations="x",
        TargetContainerHostname="h",
    )
    (request,) = container.requests
    assert request.headers == {
        "Content-Type": "text/csv",
        "Accept": "text/plain",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
        "X-Amzn-SageMaker-Target-Model": "m.tar.gz",
        "X-Amzn-SageMaker-Target-Variant": "green",
        "X-Amzn-SageMaker-Inference-Id": "i-1",
        "X-Amzn-SageMaker-Session-Id": "s-1",
        "Content-Length": "2",
    }
    assert (request.body, request.limit) == (b"{}", 60.0)


async def test_what_the_client_does_not_say_the_container_is_not_told(container: Container) -> None:
    await invoke(container)
    assert container.requests[0].headers == {"Content-Length": "2"}


async def test_each_request_has_an_id_of_its_own(container: Container) -> None:
    for _ in range(3):
        await invoke(container)
    assert len({request.id for request in container.requests}) == 3


async def test_what_the_container_says_besides_reaches_the_client(container: Container) -> None:
    headers = {
        "Content-Type": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "a=b",
        "x-amzn-sagemaker-new-session-id": "s-2",
        "X-Amzn-SageMaker-Closed-Session-Id": "s-1",
        "X-Other": "kept back",
    }
    container.answer = Answer(201, headers, b"1,2")
    assert await invoke(container, TargetVariant="blue") == {
        "Body": b"1,2",
        "ContentType": "text/csv",
        "InvokedProductionVariant": "blue",
        "CustomAttributes": "a=b",
        "NewSessionId": "s-2",
        "ClosedSessionId": "s-1",
    }


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "server"), (400, "client"), (301, "server"), (413, "client")]
)
async def test_any_other_answer_of_the_container_is_a_model_error(
    container: Container, status: int, kind: str
) -> None:
    container.answer = Answer(status, {}, "no such wörd\nTraceback".encode())
    error = await refused(container)
    assert isinstance(error, ModelError)
    assert error.members == {
        "OriginalStatusCode": status,
        "OriginalMessage": "no such wörd\nTraceback",
        "LogStreamArn": "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/sagemaker/Endpoints/e",
    }
    assert error.message == (
        f'Received {kind} error ({status}) from primary with message "no such wörd\nTraceback". See '
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEventViewer:"
        "group=/aws/sagemaker/Endpoints/e in account 000000000000 for more information."
    )


async def test_an_answer_that_is_no_text_is_told_as_far_as_it_is(container: Container) -> None:
    container.answer = Answer(500, {}, b"\xff oh")
    assert (await refused(container)).members["OriginalMessage"] == "\ufffd oh"


async def test_a_container_that_takes_too_long_is_a_model_error(container: Container) -> None:
    container.answer = DeadlineExceeded("no answer within 60 s")
    error = await refused(container)
    assert (type(error), error.members["OriginalStatusCode"]) == (ModelError, 0)
    assert error.members["OriginalMessage"].startswith("Your invocation timed out while waiting")


async def test_too_many_requests_are_throttled(container: Container) -> None:
    container.answer = QueueFull("1000 requests wait already")
    error = await refused(container)
    assert (type(error), error.code, error.status) == (Throttling, "ThrottlingException", 429)


async def test_a_variant_that_is_not_there(container: Container) -> None:
    error = await refused(container, TargetVariant="red")
    assert (type(error), error.message) == (
        ValidationError,
        "There is no variant red in this endpoint.",
    )


async def test_an_endpoint_that_is_not_there(container: Container) -> None:
    error = await refused(container, EndpointName="absent")
    assert (type(error), error.status) == (ValidationError, 400)


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "text/plain; charset=utf-8", "x-amzn-sagemaker-custom-attributes": "a"}]
)
async def test_the_answer_goes_over_the_wire(container: Container, headers: Mapping[str, str]) -> None:
    container.answer = Answer(200, headers, b"\x00\xff")
    answer = await invoke(container, TargetVariant="blue")
    response = Service("sagemaker-runtime").answer(
        Call("sagemaker-runtime", "InvokeEndpoint", {}), answer, "id"
    )
    assert (response.status, response.body) == (200, b"\x00\xff")
    assert ("x-Amzn-Invoked-Production-Variant", "blue") in response.headers


class Rest:
    """What follows the first part of an answer, or is raised in its place."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = iter(parts)
        self.closed = False

    def __aiter__(self) -> "Rest":
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            return part
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def streamed(container: Container, **params: Any) -> dict[str, Any]:
    runtime = Runtime(container, container)  # type: ignore[arg-type]  # what it uses of Endpoints
    return await runtime.invoke_endpoint_with_response_stream(
        CALLER, {"EndpointName": "e", "Body": b"{}", **params}
    )


async def events(container: Container) -> list[bytes]:
    body = (await streamed(container))["Body"]
    return [event["PayloadPart"]["Bytes"] async for event in body]


async def test_a_stream_is_the_parts_of_the_containers_answer(container: Container) -> None:
    container.answer = Answer(200, {"content-type": "text/plain"}, b"a", rest=Rest(b"b", b"c"))
    answer = await streamed(container, TargetVariant="blue", Accept="text/plain")
    assert [event async for event in answer.pop("Body")] == [
        {"PayloadPart": {"Bytes": part}} for part in (b"a", b"b", b"c")
    ]
    assert answer == {"ContentType": "text/plain", "InvokedProductionVariant": "blue"}
    assert container.requests[0].limit == 480.0
    assert container.requests[0].headers["Accept"] == "text/plain"


async def test_a_whole_answer_streams_as_one_part(container: Container) -> None:
    assert await events(container) == [b"[1]"]


async def test_an_error_in_place_of_a_stream_is_a_model_error(container: Container) -> None:
    rest = Rest(b"b")
    container.answer = Answer(500, {}, b"no", rest=rest)
    with pytest.raises(ModelError):
        await streamed(container)
    assert rest.closed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StreamBroken("the worker ended"), "StreamBroken"),
        (DeadlineExceeded("too long"), "ModelInvocationTimeExceeded"),
    ],
)
async def test_a_stream_that_breaks_off_says_why(
    container: Container, error: HotfireError, code: str
) -> None:
    container.answer = Answer(200, {}, b"a", rest=Rest(b"b", error))
    body = aiter((await streamed(container))["Body"])
    assert [await anext(body), await anext(body)] == [
        {"PayloadPart": {"Bytes": part}} for part in (b"a", b"b")
    ]
    with pytest.raises(ModelStreamError) as caught:
        await anext(body)
    assert caught.value.members == {"ErrorCode": code}


async def test_a_fault_of_ours_in_a_stream_is_an_internal_one(
    container: Container, caplog: pytest.LogCaptureFixture
) -> None:
    container.answer = Answer(200, {}, b"a", rest=Rest(KeyError("bug")))
    body = aiter((await streamed(container))["Body"])
    await anext(body)
    with pytest.raises(ServiceError) as caught:
        await anext(body)
    assert caught.value.code == "InternalStreamFailure"
    assert "KeyError" in caplog.text


async def test_closing_a_stream_closes_the_containers_answer(container: Container) -> None:
    rest = Rest(b"b")
    container.answer = Answer(200, {}, b"a", rest=rest)
    await (await streamed(container))["Body"].aclose()
    assert rest.closed


async def test_a_request_is_queued(container: Container) -> None:
    container.queue()
    runtime = Runtime(container, container)  # type: ignore[arg-type]  # what it uses of Endpoints
    params = {"EndpointName": "e", "Body": b"{}"}
    expected = {"InferenceId": "i-1", "OutputLocation": "s3://b/o", "FailureLocation": None}
    assert await runtime.invoke_endpoint_async(CALLER, params) == expected
    container.failure = "s3://b/f"
    assert (await runtime.invoke_endpoint_async(CALLER, params))["FailureLocation"] == "s3://b/f"


async def test_an_endpoint_answers_in_one_way_only(container: Container) -> None:
    runtime = Runtime(container, container)  # type: ignore[arg-type]  # what it uses of Endpoints
    params = {"EndpointName": "e", "Body": b"{}"}
    message = "Endpoint e of account 000000000000 does not support this inference type."
    with pytest.raises(ValidationError, match=message):
        await runtime.invoke_endpoint_async(CALLER, params)
    container.queue()
    for operation in (runtime.invoke_endpoint, runtime.invoke_endpoint_with_response_stream):
        with pytest.raises(ValidationError, match=message):
            await operation(CALLER, params)
