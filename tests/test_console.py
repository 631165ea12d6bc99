"""The region's pages: who is let in, and what none of them lets through."""

import json
import re
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from hotfire.address import Key
from hotfire.console import frame
from hotfire.console.app import Console
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.logs import Printed
from hotfire.console.model_page import ModelPage
from hotfire.console.overview import Overview
from hotfire.console.visits import Absent, Batch, Page, Route, Visit
from hotfire.errors import StoreError
from hotfire.region.apps import Apps
from hotfire.region.caller import Caller
from hotfire.region.feed import Feed
from hotfire.region.store import Store
from hotfire.region.traffic import Traffic
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Request, Response
from hotfire.resources import Endpoint
from hotfire.server.gate import Visitors

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Runtime:
    """Asks nobody."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Any:
        self.asked.append(params)
        raise NotImplementedError


class Pages:
    """No page was deployed, and no request was recorded."""

    def page(self, endpoint: str) -> None:
        return None

    async def recent(self, query: Any, limit: int, *, bodies: bool) -> list[Any]:
        return []


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
    apps = Apps(store, Pages(), Pages())
    parts = (overview, ModelPage(store, runtime, pages, apps))  # type: ignore[arg-type]
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


class Guest:
    """Whoever was let in to the model `news` alone."""

    def enter(self, token: str) -> None:
        """Nobody else."""

    def visitor(self, headers: Mapping[str, str]) -> Visitor:
        return Visitor(models=frozenset({"news"}))


class Counting:
    """A page with one live block and a tail of numbers, which the test lets grow; and one that fails."""

    def __init__(self) -> None:
        self.state, self.numbers = "one", 2

    @property
    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/counting", self.show),
            Route("GET", "/shared/{name}", self.show, is_shared=True),
            Route("GET", "/broken", self.fail),
            Route("GET", "/refusing", self.refuse),
        )

    def show(self, visit: Visit) -> Page:
        if not self.state:
            raise Absent
        record = Endpoint("news", "arn", "c", self.state, 0.0, 0.0)
        values = {
            "endpoint": record,
            "tabs": [],
            "cursor": 0,
            "lines": [],
            "older": "",
            "asked": {},
            "sources": [],
            "is_older": False,
            "is_filtered": False,
        }
        return Page("logs.html", values, live=("state",), topics=("lines",), endpoint="news", tail=self.tail)

    def tail(self, cursor: int) -> Batch:
        lines = [Printed(n, 0.0, "a", "", f"number {n}", 0) for n in range(cursor + 1, self.numbers + 1)]
        return Batch(self.numbers, lines)

    def fail(self, visit: Visit) -> Page:
        raise ZeroDivisionError

    def refuse(self, visit: Visit) -> Page:
        raise StoreError("the disk is full", "Free some space.")


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def own(counting: Counting, feed: Feed) -> Browser:
    """The owner's browser before the counting page."""
    visitors = Visitors(Key("HOTFIREA", "secret"), 4774)
    browser = Browser(Console(visitors, feed, (counting,)), visitors)
    browser.cookie = (visitors.enter(visitors.issue()) or "").partition(";")[0]
    return browser


async def events(response: Response, count: int) -> list[tuple[str, Any]]:
    """The next events of a stream: kind and data."""
    assert response.flow is not None
    found: list[tuple[str, Any]] = []
    async for part in response.flow:
        text = part.decode()
        kind = re.search(r"^event: (.*)$", text, re.MULTILINE)
        data = re.search(r"^data: (.*)$", text, re.MULTILINE)
        if kind and data:
            found.append((kind[1], json.loads(data[1])))
        if len(found) == count:
            break
    return found


async def test_what_is_live_is_sent_at_once_and_again_when_it_changes(
    own: Browser, counting: Counting, feed: Feed
) -> None:
    response = await own.get("/live", "page=/counting")
    first, second = await events(response, 2)
    assert first == ("part", {"id": "live-state", "html": ANY})
    assert "one" in first[1]["html"]
    assert re.findall(r"number (\d)", second[1]["html"]) == ["1", "2"]
    counting.state, counting.numbers = "two", 3
    feed.publish("lines", "news", {})
    third, fourth = await events(response, 2)
    assert "two" in third[1]["html"]
    assert re.findall(r"number (\d)", fourth[1]["html"]) == ["3"]
    await response.flow.aclose()  # type: ignore[union-attr]
    assert not feed.has_listeners()


async def test_a_browser_that_comes_back_is_sent_the_lines_since(own: Browser) -> None:
    headers = {"cookie": own.cookie, "last-event-id": "1"}
    response = await own._console.respond(Request("GET", "/live", "page=/counting", headers, b""))
    _, (_, data) = await events(response, 2)
    assert re.findall(r"number (\d)", data["html"]) == ["2"]
    await response.flow.aclose()  # type: ignore[union-attr]


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 5000])
async def test_a_browser_that_says_nonsense_is_sent_all_lines(own: Browser, last: str) -> None:
    response = await own.get("/live", f"page=/counting&after={last}")
    _, (_, data) = await events(response, 2)
    assert re.findall(r"number (\d)", data["html"]) == ["1", "2"]
    await response.flow.aclose()  # type: ignore[union-attr]


async def test_a_visitor_who_is_shut_out_is_told_no_more(
    counting: Counting, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(Console(Guest(), feed, (counting,)), Visitors(Key("HOTFIREA", "secret"), 1))  # type: ignore[arg-type]
    response = await browser.get("/live", "page=/shared/news")
    await events(response, 2)
    monkeypatch.setattr(Guest, "visitor", lambda self, headers: None)
    feed.publish("lines", "news", {})
    assert await events(response, 1) == [("gone", {})]


async def test_a_stream_ends_with_the_region(own: Browser, feed: Feed) -> None:
    response = await own.get("/live", "page=/counting")
    await events(response, 2)
    feed.close()
    assert await events(response, 1) == []


async def test_a_page_that_is_gone_is_told_so(own: Browser, counting: Counting, feed: Feed) -> None:
    response = await own.get("/live", "page=/counting")
    await events(response, 2)
    counting.state = ""
    feed.publish("lines", "news", {})
    assert await events(response, 1) == [("gone", {})]


@pytest.mark.parametrize("page", ["", "/", "/absent", "//evil.example", "https://evil.example/"])
async def test_nothing_is_live_on_other_pages(own: Browser, page: str) -> None:
    assert (await own.get("/live", f"page={page}")).status == 404


async def test_a_guest_sees_what_is_shared_and_of_their_model_alone(counting: Counting, feed: Feed) -> None:
    guest = Browser(Console(Guest(), feed, (counting,)), Visitors(Key("HOTFIREA", "secret"), 1))  # type: ignore[arg-type]
    statuses = {
        path: (await guest.get(path)).status for path in ("/shared/news", "/shared/other", "/counting")
    }
    assert statuses == {"/shared/news": 200, "/shared/other": 403, "/counting": 403}
    for page, status in {"/shared/other": 404, "/counting": 404}.items():
        assert (await guest.get("/live", f"page={page}")).status == status
    assert 'href="/"' not in await guest.text("/shared/news")


async def test_a_fault_is_said_on_the_page_and_told_to_the_log(
    own: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    response = await own.get("/broken")
    assert (response.status, b"A fault of the local region" in response.body) == (500, True)
    assert "a bug in Hotfire, met by GET /broken" in caplog.text


async def test_what_cannot_be_shown_says_why(own: Browser) -> None:
    response = await own.get("/refusing")
    assert (response.status, "the disk is full Free some space." in tagless(response.body.decode())) == (
        500,
        True,
    )


async def test_another_method_finds_nothing(own: Browser) -> None:
    request = Request("POST", "/counting", "", {"cookie": own.cookie}, b"")
    assert (await own._console.respond(request)).status == 404


async def test_a_static_file_is_sent_once(own: Browser) -> None:
    first = await own.get("/static/live.js")
    headers = dict(first.headers)
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    again = await own._console.respond(
        Request("GET", "/static/live.js", "", {"if-none-match": headers["etag"]}, b"")
    )
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/static/absent.js", "/static/..%2Fapp.py", "/static/%2e%2e", "/static/..%2Fstatic%2Flive.js"]
)
async def test_no_other_file_is_static(own: Browser, path: str) -> None:
    assert (await own.get(path)).status == 404


def _markup(templates: Path, name: str) -> str:
    """A template, with those that it takes markup from."""
    text = (templates / name).read_text()
    others = re.findall(r'{%-? (?:from|include|import) "([^"]+)"', text)
    return text + "".join(_markup(templates, other) for other in others)


@pytest.mark.parametrize(
    ("sign", "modules"),
    [("data-copies", {"copy", "model"}), ("data-filter>", {"filters"}), ('id="pause"', {"logs"})],
)
def test_every_page_asks_for_the_scripts_that_its_markup_needs(sign: str, modules: set[str]) -> None:
    templates = Path(frame.__file__).parent / "templates"
    found = {}
    for file in templates.glob("*.html"):
        markup = _markup(templates, file.name)
        if "{% extends" in markup and sign in markup:
            asked = re.search(r"{% set modules = (\(.*?\)) %}", markup)
            found[file.name] = asked is not None and not modules.isdisjoint(literal_eval(asked[1]))
    assert found
    assert [name for name, has_it in found.items() if not has_it] == []
