"""The page of one recorded request."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hotfire.console.frame import Frame
from hotfire.console.recorded import RecordedRequest
from hotfire.console.visits import Absent, Page, Visit
from hotfire.errors import InstanceError, UsageError
from hotfire.region.journal import Journal
from hotfire.region.records import Invocation, Message
from hotfire.region.replays import Replay, Target
from hotfire.region.store import Store
from hotfire.region.visitor import OWNER
from hotfire.region.wire import Request
from hotfire.resources import Endpoint

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
ONE = Invocation(
    id=1,
    request="r1",
    time=1_000_000,
    endpoint="news",
    variant="v",
    version="c1",
    via="invoke",
    status=200,
    error="",
    message="",
    seconds=0.1,
    first=None,
    has_bodies=True,
    times={"predict_fn": 0.05},
    findings=None,
    sent=Message(JSON, b"[1]", 3),
    answer=Message(JSON, b"[2]", 3),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Invocations:
    def __init__(self) -> None:
        self.kept = ONE

    async def one(self, id: int) -> Invocation | None:
        return self.kept if id == 1 else None


class Replays:
    def __init__(self) -> None:
        self.answer: Replay | Exception = Replay(Target("endpoint", "news"), 200, "application/json", b"[3]")

    def targets(self) -> list[Target]:
        return [Target("endpoint", "news"), Target("version", "c1")]

    async def send(self, one: Invocation, target: Target) -> Replay:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Place:
    """The page over what the test keeps."""

    def __init__(self, folder: Path) -> None:
        self.store, self.journal = (
            Store(folder / "region.sqlite"),
            Journal(folder / "journal.sqlite", lambda: 1000.05),
        )
        self.store.put_endpoint(Endpoint("news", "arn", "c1", "InService", 0.0, 0.0))
        self.invocations, self.replays = Invocations(), Replays()
        self.part = RecordedRequest(self.store, self.journal, self.invocations, self.replays)  # type: ignore[arg-type]

    def visit(self, id: str = "1", **form: str) -> Visit:
        body = urlencode(form).encode()
        return Visit(Request("GET", f"/requests/{id}", "", {}, body), OWNER, {"id": id})

    async def text(self, page: Page | None = None) -> str:
        visit = self.visit()
        return Frame().respond(visit, page or await self.part.show(visit)).body.decode()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.store.close()
    place.journal.close()


@pytest.mark.parametrize("id", ["2", "x", "-1", "1.0", "9" * 30, "²"])
async def test_a_request_that_is_not_kept_is_not_there(place: Place, id: str) -> None:
    with pytest.raises(Absent):
        await place.part.show(place.visit(id))


async def test_lines_are_those_of_the_request(place: Place) -> None:
    place.journal.add("news", "v/i-1", "r1", "mine")
    place.journal.add("news", "v/i-1", "r2", "another's")
    text = await place.text()
    assert ("mine" in text, "another&#39;s" in text) == (True, False)


@pytest.mark.parametrize("message", [Message({}, None, 3), Message(JSON, b"[1", 900_000)])
async def test_what_is_not_known_whole_can_neither_be_sent_nor_saved(place: Place, message: Any) -> None:
    place.invocations.kept = replace(ONE, sent=message, has_bodies=message.body is not None)
    text = await place.text()
    assert "it cannot be sent again" in text
    assert "they cannot be an example" in text
    assert "<form" not in text


async def test_without_a_project_the_example_is_there_to_copy_and_to_download(place: Place) -> None:
    text = await place.text()
    assert "belongs to no project on this machine" in text
    assert "&#34;request&#34;: {" in text
    response = await place.part.example(place.visit())
    assert b'"value": [\n      2\n    ]' in response.body
    assert dict(response.headers)["content-disposition"].startswith("attachment;")
    with pytest.raises(Absent):
        await place.part.save(place.visit(name="a"))


async def test_bodies_are_given_as_files_that_no_browser_opens(place: Place) -> None:
    for response, body in (
        (await place.part.sent(place.visit()), b"[1]"),
        (await place.part.answer(place.visit()), b"[2]"),
    ):
        headers = dict(response.headers)
        assert response.body == body
        assert headers["content-type"] == "text/plain; charset=utf-8"
        assert headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert headers["x-content-type-options"] == "nosniff"


async def test_an_image_is_shown(place: Place) -> None:
    body = b"\x89PNG\r\n\x1a\n"
    place.invocations.kept = replace(ONE, answer=Message({"Content-Type": "image/png"}, body, len(body)))
    assert '<img class="body-image" src="data:image/png;base64,' in await place.text()


async def test_a_replay_shows_the_difference(place: Place) -> None:
    text = await place.text(await place.part.replay(place.visit(target="endpoint:news")))
    assert "1 difference<" in text
    assert '<option value="endpoint:news" selected>' in text


@pytest.mark.parametrize(
    "error",
    [InstanceError("the model is too large"), UsageError("there is no such version", "Choose another.")],
)
async def test_a_replay_that_cannot_be_says_why(place: Place, error: Any) -> None:
    place.replays.answer = error
    text = await place.text(await place.part.replay(place.visit(target="version:c1")))
    assert f"{error.message} {error.advice}".strip() in text


async def test_a_replay_to_nowhere_is_refused(place: Place) -> None:
    text = await place.text(await place.part.replay(place.visit(target="nowhere")))
    assert "neither an endpoint nor a version" in text


async def test_a_failure_that_was_looked_into_is_explained(place: Place) -> None:
    focus = {"file": "/x/code/serve.py", "place": "code/serve.py", "line": 3, "function": "predict_fn"}
    failure = {
        "function": "predict_fn",
        "errors": [{"type": "ValueError", "message": "no <such> word"}],
        "frames": [focus],
        "focus": focus,
        "source": [[3, "    raise ValueError"]],
        "locals": {"word": "'a'"},
    }
    place.invocations.kept = replace(ONE, status=500, error="ModelError", findings={"failure": failure})
    text = await place.text()
    assert '<p class="error">ValueError: no &lt;such&gt; word</p>' in text
    assert '<p class="place">code/serve.py:3 in predict_fn</p>' in text
