"""InvokeEndpoint over a container that answers as the test says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import DeadlineExceeded, ModelError, QueueFull, ServiceError, Throttling, ValidationError
from hotfire.instances.base import Answer, Output, Request, Spec
from hotfire.region.caller import Caller
from hotfire.region.fleet import Fleet, FleetPlan, Variant, VariantPlan
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
        plans = tuple(
            VariantPlan(name, 1.0, 1, "local", "0" * 64, {}, "python", 60.0) for name in ("blue", "green")
        )
        self.fleet = Fleet(FleetPlan(plans), [Variant.made(one, self, Path(), lambda *_: None) for one in plans])

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
