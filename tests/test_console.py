"""The region's pages: who is let in, and what none of them lets through."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hotfire.address import Key
from hotfire.console.app import Console
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.model_page import ModelPage, shaped, spoken
from hotfire.console.overview import Overview
from hotfire.errors import ModelError, ValidationError
from hotfire.region.caller import Caller
from hotfire.region.feed import Feed
from hotfire.region.store import Store
from hotfire.region.traffic import Traffic
from hotfire.region.wire import Request, Response
from hotfire.resources import Endpoint
from hotfire.server.gate import Visitors

pytestmark = pytest.mark.anyio

EXAMPLES = [
    {"name": "one", "body": '[["Oil falls"]]', "content_type": "application/json", "accept": "text/plain"},
    {"name": "two", "body": "a,b", "content_type": "text/csv", "accept": ""},
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Runtime:
    def __init__(self) -> None:
        self.answer: bytes | Exception = b'{"sports": 0.75, "world": 0.25}'
        self.asked: list[Mapping[str, Any]] = []

    async def invoke_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Body": self.answer}


class Endpoints:
    """Nothing serves."""

    def pids(self, name: str) -> list[int]:
        return []

    def holder(self, name: str) -> str:
        return ""


class Browser:
    """Asks for pages, with the cookie that it was given."""

    def __init__(self, console: Console, visitors: Visitors) -> None:
        self._console, self.visitors = console, visitors
        self.cookie = ""

    async def get(self, path: str, query: str = "") -> Response:
        return await self._console.respond(Request("GET", path, query, {"cookie": self.cookie}, b""))

    async def post(self, path: str, **fields: str) -> str:
        body = urlencode(fields).encode()
        response = await self._console.respond(Request("POST", path, "", {"cookie": self.cookie}, body))
        assert response.status == 200
        return response.body.decode()

    async def text(self, path: str) -> str:
        response = await self.get(path)
        assert response.status == 200
        return response.body.decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        store.put_endpoint(Endpoint("news", "arn", "c", "InService", 0.0, 0.0))
        yield store


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def stranger(store: Store, runtime: Runtime) -> Browser:
    visitors = Visitors(Key("HOTFIREA", "secret"), 4774)
    pages = EndpointPages(store, lambda name: "")
    overview = Overview(store, Endpoints(), Traffic())  # type: ignore[arg-type]
    parts = (overview, ModelPage(store, runtime, pages))  # type: ignore[arg-type]
    return Browser(Console(visitors, Feed(), parts), visitors)


@pytest.fixture
def browser(stranger: Browser) -> Browser:
    """One that has entered."""
    cookie = stranger.visitors.enter(stranger.visitors.issue())
    assert cookie is not None
    stranger.cookie = cookie.partition(";")[0]
    return stranger


def tagless(page: str) -> str:
    """What is to be read on a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.mark.parametrize("path", ["/", "/e/news", "/e/absent", "/absent"])
async def test_a_stranger_sees_nothing(stranger: Browser, path: str) -> None:
    response = await stranger.get(path)
    assert (response.status, b"news" in response.body) == (403, False)
    assert "`hotfire status` prints" in response.body.decode()


async def test_a_stranger_asks_no_model(stranger: Browser, runtime: Runtime) -> None:
    response = await stranger._console.respond(Request("POST", "/e/news", "", {}, b"text=a"))
    assert (response.status, runtime.asked) == (403, [])


async def test_a_link_lets_in_and_leaves_no_token_in_the_address(stranger: Browser) -> None:
    response = await stranger.get("/e/news", f"entry={stranger.visitors.issue()}")
    headers = dict(response.headers)
    assert (response.status, headers["location"]) == (303, "/e/news")
    stranger.cookie = headers["set-cookie"].partition(";")[0]
    assert "news" in await stranger.text("/e/news")


async def test_a_used_link_says_so(stranger: Browser) -> None:
    token = stranger.visitors.issue()
    await stranger.get("/", f"entry={token}")
    response = await stranger.get("/", f"entry={token}")
    assert (response.status, b"This link has been used" in response.body) == (403, True)


async def test_a_used_link_still_leads_on_who_has_entered(browser: Browser) -> None:
    response = await browser.get("/e/news", "entry=used")
    assert (response.status, dict(response.headers)["location"]) == (303, "/e/news")


@pytest.mark.parametrize(
    "path", ["//evil.example", "///evil.example/a", "/%2Fevil.example", "/\\evil.example"]
)
async def test_a_link_leads_nowhere_else(browser: Browser, path: str) -> None:
    location = dict((await browser.get(path, "entry=used")).headers)["location"]
    assert re.match(r"/(?![/\\])", location)


async def test_the_pages_run_no_script_but_ours_and_are_framed_by_none(browser: Browser) -> None:
    for path in ("/", "/e/news", "/static/style.css"):
        headers = dict((await browser.get(path)).headers)
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        # Not `no-referrer`, by which a browser says of the page's own forms that they come from nowhere.
        assert headers["referrer-policy"] == "same-origin"


async def test_the_first_page_lists_the_endpoints_with_their_states(browser: Browser, store: Store) -> None:
    store.put_endpoint(Endpoint("broken", "arn2", "c", "Failed", 0.0, 0.0, "OSError: <no> weights"))
    page = await browser.text("/")
    assert '<a href="/e/broken">' in page
    assert '<a href="/e/news">' in page
    assert "OSError: &lt;no&gt; weights" in page


async def test_without_endpoints_the_first_page_says_what_makes_one(browser: Browser, store: Store) -> None:
    store.delete_endpoint("news")
    assert "In a project: hotfire deploy" in tagless(await browser.text("/"))


@pytest.mark.parametrize("path", ["/e/absent", "/e/", "/absent", "/e/news/more"])
async def test_a_page_that_is_not_there(browser: Browser, path: str) -> None:
    assert (await browser.get(path)).status == 404


async def test_a_form_waits_for_text_and_offers_the_examples(browser: Browser, store: Store) -> None:
    store.put_examples("news", EXAMPLES)
    page = await browser.text("/e/news")
    assert ">Oil falls</textarea>" in page
    assert re.findall(r'<button name="example" value="(\w+)"', page) == ["one", "two"]


async def test_words_are_sent_in_the_shape_of_the_first_example(
    browser: Browser, store: Store, runtime: Runtime
) -> None:
    store.put_examples("news", EXAMPLES)
    page = await browser.post("/e/news", text="Stocks rise")
    assert runtime.asked == [
        {
            "EndpointName": "news",
            "Body": b'[["Stocks rise"]]',
            "ContentType": "application/json",
            "Accept": "text/plain",
        }
    ]
    assert ">Stocks rise</textarea>" in page


async def test_an_example_is_sent_as_it_is(browser: Browser, store: Store, runtime: Runtime) -> None:
    store.put_examples("news", EXAMPLES)
    await browser.post("/e/news", example="two", text="not this")
    assert runtime.asked == [{"EndpointName": "news", "Body": b"a,b", "ContentType": "text/csv"}]


async def test_lines_end_as_they_were_typed_and_not_as_browsers_send_them(
    browser: Browser, runtime: Runtime
) -> None:
    await browser.post("/e/news", text="one\r\ntwo")
    assert runtime.asked[0]["Body"] == b"one\ntwo"


async def test_probabilities_are_shown_the_highest_first(browser: Browser) -> None:
    page = tagless(await browser.post("/e/news", text="a"))
    assert re.search(r"sports 0.75 75.0 % world 0.25 25.0 %", page)


async def test_each_input_has_its_bars(browser: Browser, runtime: Runtime) -> None:
    runtime.answer = json.dumps([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]).encode()
    page = tagless(await browser.post("/e/news", text='["x", "y"]'))
    assert re.search(r"x a 0.9 90.0 % b 0.1 10.0 % y b 0.8 80.0 % a 0.2 20.0 %", page)


async def test_of_many_labels_the_first_are_shown_and_the_rest_counted(
    browser: Browser, runtime: Runtime
) -> None:
    runtime.answer = json.dumps({f"label{n:03}": n / 5000 for n in range(100)}).encode()
    page = await browser.post("/e/news", text="a")
    assert (page.count("<meter"), "and 60 more" in page) == (40, True)


@pytest.mark.parametrize("answer", [b"plain", b'"text"', b"null", b"[]", b"\xff", b"12"])
async def test_another_answer_is_shown_as_it_is(browser: Browser, runtime: Runtime, answer: bytes) -> None:
    runtime.answer = answer
    page = await browser.post("/e/news", text="a")
    assert "<meter" not in page
    assert answer.decode("utf-8", "replace").strip('"') in page


async def test_a_long_answer_is_cut_and_said_to_be(browser: Browser, runtime: Runtime) -> None:
    runtime.answer = b"x" * 20_500
    page = await browser.post("/e/news", text="a")
    assert ("x" * 20_000 in page, "x" * 20_001 in page) == (True, False)
    assert "and 500 more characters" in page


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
async def test_nothing_that_a_model_or_a_visitor_says_is_markup(
    browser: Browser, runtime: Runtime, store: Store, hostile: str
) -> None:
    store.put_examples("news", [{**EXAMPLES[0], "name": hostile}])
    store.put_endpoint(Endpoint("news", "arn", "c", "InService", 0.0, 0.0, hostile))
    for answer in (hostile, json.dumps({hostile: 1.0}), json.dumps([hostile])):
        runtime.answer = answer.encode()
        page = await browser.post("/e/news", text=hostile)
        assert hostile not in page
    runtime.answer = ModelError("m", OriginalStatusCode=500, OriginalMessage=hostile)
    assert hostile not in await browser.post("/e/news", text=hostile)
    assert hostile not in await browser.text("/")


async def test_an_error_of_the_model_is_shown_with_its_traceback(browser: Browser, runtime: Runtime) -> None:
    runtime.answer = ModelError("m", OriginalStatusCode=500, OriginalMessage="no such word\nTraceback")
    page = await browser.post("/e/news", text="a")
    assert "The model answered 500." in page
    assert "no such word\nTraceback" in page


async def test_an_endpoint_that_cannot_answer_says_why(browser: Browser, runtime: Runtime) -> None:
    runtime.answer = ValidationError("Endpoint news is not in service: its state is Failed.")
    page = await browser.post("/e/news", text="a")
    assert "The endpoint cannot answer." in page
    assert "its state is Failed." in page


@pytest.mark.parametrize(
    ("text", "example", "body"),
    [
        ('["json"]', '[["a"]]', '["json"]'),
        ("words", '[["a"]]', '[["words"]]'),
        ("words", '[["a"], ["b"]]', '[["words"]]'),
        ("words", '{"k": 1, "inputs": ["a", "b"]}', '{"k": 1, "inputs": ["words"]}'),
        ("words", '"a"', '"words"'),
        ("wörds", '["a"]', '["wörds"]'),
        ("words", "[1, 2]", "words"),
        ("words", "a,b", "words"),
        ("words", "", "words"),
    ],
)
def test_what_is_typed_takes_the_place_of_the_examples_first_text(text: str, example: str, body: str) -> None:
    assert shaped(text, example) == body


@pytest.mark.parametrize(
    ("body", "example", "text"),
    [
        ('[["a b"]]', '[["c"]]', "a b"),
        ('{"k": 1, "text": "a"}', '{"k": 1, "text": "b"}', "a"),
        ('{"k": 2, "text": "a"}', '{"k": 1, "text": "b"}', '{"k": 2, "text": "a"}'),
        ('[["a"], ["b"]]', '[["c"]]', '[["a"], ["b"]]'),
        ('[["12"]]', '[["c"]]', '[["12"]]'),
        ("[1]", "[1]", "[1]"),
        ("a,b", "[1]", "a,b"),
        ("", "", ""),
    ],
)
def test_what_is_shown_of_a_body_means_that_body(body: str, example: str, text: str) -> None:
    assert spoken(body, example) == text
