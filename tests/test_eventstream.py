"""Event streams as botocore reads them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.exceptions import EventStreamError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser

from hotfire.errors import ModelStreamError, ServiceError, Throttling
from hotfire.region.eventstream import Messages, message

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def shape() -> Any:
    model = ServiceModel(Loader().load_service_model("sagemaker-runtime", "service-2"))
    return model.operation_model("InvokeEndpointWithResponseStream").get_event_stream_output()


class Events:
    """Events that are there already, perhaps with an error at their end."""

    def __init__(self, *events: dict[str, Any] | ServiceError) -> None:
        self._events = iter(events)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        for event in self._events:
            if isinstance(event, ServiceError):
                raise event
            return event
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class Body:
    """What an HTTP client has received."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def stream(self) -> Iterator[bytes]:
        yield from self._parts

    def close(self) -> None: ...


async def written(shape: Any, *events: dict[str, Any] | ServiceError) -> list[bytes]:
    return [part async for part in Messages(shape, Events(*events))]


def read(shape: Any, parts: list[bytes]) -> EventStream:
    return EventStream(Body(parts), shape, EventStreamJSONParser(), "InvokeEndpointWithResponseStream")


def part(data: bytes) -> dict[str, Any]:
    return {"PayloadPart": {"Bytes": data}}


async def test_each_event_is_a_message_with_the_bytes_as_they_are(shape: Any) -> None:
    given = [part(b"a"), part(bytes(range(256)) * 300), part(b"")]
    parts = await written(shape, *given)
    assert len(parts) == 3
    assert list(read(shape, parts)) == given


async def test_a_message_says_what_it_is(shape: Any) -> None:
    (data,) = await written(shape, part(b"a"))
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    assert next(iter(buffer)).headers == {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }


async def test_an_error_of_the_streams_shape_is_an_exception_with_its_members(shape: Any) -> None:
    parts = await written(shape, part(b"a"), ModelStreamError("broken", ErrorCode="StreamBroken"))
    buffer = EventStreamBuffer()
    buffer.add_data(parts[1])
    found = next(iter(buffer))
    assert found.headers[":message-type"] == "exception"
    assert found.headers[":exception-type"] == "ModelStreamError"
    assert found.payload == b'{"Message": "broken", "ErrorCode": "StreamBroken"}'


async def test_a_client_raises_the_exception_after_what_came_before_it(shape: Any) -> None:
    parts = await written(shape, part(b"a"), ModelStreamError("broken", ErrorCode="StreamBroken"))
    events = iter(read(shape, parts))
    assert next(events) == part(b"a")
    with pytest.raises(EventStreamError) as caught:
        next(events)
    assert caught.value.response["Error"] == {"Code": "ModelStreamError", "Message": "broken"}


async def test_an_error_that_the_shape_lacks_has_its_code_and_message(shape: Any) -> None:
    with pytest.raises(EventStreamError) as caught:
        list(read(shape, await written(shape, Throttling("slowly"))))
    assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "slowly"}


async def test_nothing_follows_an_error(shape: Any) -> None:
    assert len(await written(shape, Throttling("slowly"), part(b"a"))) == 1


async def test_closing_closes_the_events(shape: Any) -> None:
    events = Events(part(b"a"))
    messages = Messages(shape, events)
    await messages.aclose()
    assert events.closed
    assert [one async for one in messages] == []


def test_text_of_other_letters_is_utf_8() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(message({":error-message": "Größe"}, b""))
    assert next(iter(buffer)).headers == {":error-message": "Größe"}
