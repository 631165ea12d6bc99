"""The region's pages: who is let in, and what none of them lets through."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfire.address import Key
from hotfire.console.app import Console
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.model_page import ModelPage
from hotfire.console.overview import Overview
from hotfire.region.apps import Apps
from hotfire.region.caller import Caller
from hotfire.region.feed import Feed
from hotfire.region.store import Store
from hotfire.region.traffic import Traffic
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
