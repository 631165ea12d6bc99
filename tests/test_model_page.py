"""The page of a model over a store and a runtime that answers as the test says."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hotfire.app_inputs import Input, Kind
from hotfire.app_schema import App
from hotfire.console.app import Console
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.kept import Keeper, Kept
from hotfire.console.model_page import ModelPage
from hotfire.console.visits import Visitors
from hotfire.errors import ModelError, ServiceError, Throttling, ValidationError
from hotfire.instances.base import Answer
from hotfire.region.apps import Apps
from hotfire.region.caller import Caller
from hotfire.region.feed import Feed
from hotfire.region.runtime import Outcome
from hotfire.region.store import Store
from hotfire.region.visitor import OWNER, Visitor
from hotfire.region.wire import Request, Response
from hotfire.resources import Endpoint, EndpointConfig

pytestmark = pytest.mark.anyio

JSON = "application/json"
EXAMPLES: list[dict[str, Any]] = [
    {"name": "one", "body": '[["Oil falls"]]', "content_type": JSON, "accept": "text/plain"},
    {"name": "both", "body": '[["a"], ["b"]]', "content_type": JSON, "accept": "text/plain"},
    {"name": "other", "body": '{"x": 1}', "content_type": JSON, "accept": "text/plain", "status": 400},
]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
PHOTO = {"name": "dot", "body_base64": base64.b64encode(PNG).decode(), "content_type": "image/png"}
FAILURE = {
    "function": "predict_fn",
    "errors": [{"type": "ValueError", "message": "no such word"}],
    "frames": [{"file": "/i/code/serve.py", "place": "code/serve.py", "line": 7, "function": "predict_fn"}],
    "source": [[6, "    words = []"], [7, "    raise ValueError('no such word')"]],
    "focus": {"file": "/i/code/serve.py", "place": "code/serve.py", "line": 7, "function": "predict_fn"},
    "locals": {"words": "[]"},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Runtime:
    """Answers always the same, and notes what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer | None = Answer(200, {"Content-Type": JSON}, b'{"sports": 0.75, "world": 0.25}')
        self.error: ServiceError | None = None
        self.asked: list[Mapping[str, Any]] = []

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Outcome:
        assert caller.via == "page"
        self.asked.append(params)
        return Outcome(7, "v", 0.25, self.answer, self.error, "the-id")

    def says(self, body: bytes, content_type: str = JSON, **more: Any) -> None:
        self.answer = Answer(200, {"Content-Type": content_type}, body, **more)

    def fails(self, trace: str, status: int = 500, **more: Any) -> None:
        self.answer = Answer(status, {}, trace.encode(), **more)
        self.error = ModelError("Received server error", OriginalStatusCode=status, OriginalMessage=trace)


class Everybody:
    """Whoever comes is the same visitor."""

    def __init__(self, visitor: Visitor) -> None:
        self.is_who = visitor

    def enter(self, token: str) -> None:
        return None

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        return self.is_who


class Pages:
    """`hotfire dev` serves nothing, and no request was recorded."""

    def page(self, endpoint: str) -> None:
        return None

    async def recent(self, query: Any, limit: int, *, bodies: bool) -> list[Any]:
        return []


class Browser:
    """Asks for the page of the model."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self.visitors = Everybody(OWNER)
        self.holder = ""
        visitors: Visitors = self.visitors
        pages = EndpointPages(store, lambda name: self.holder)
        page = ModelPage(store, runtime, pages, Apps(store, Pages(), Pages()))  # type: ignore[arg-type]
        self._console = Console(visitors, Feed(), [page])

    async def get(self, path: str = "/e/news", query: str = "") -> Response:
        headers = {"host": "127.0.0.1:4774"}
        return await self._console.respond(Request("GET", path, query, headers, b""))

    async def text(self, query: str = "") -> str:
        response = await self.get(query=query)
        assert response.status == 200
        return response.body.decode()

    async def send(self, status: int = 200, **fields: str) -> str:
        """The page after its form was sent; `__` in a field's name stands for a dot."""
        given = {name.replace("__", ".").removeprefix("_"): value for name, value in fields.items()}
        headers = {"host": "127.0.0.1:4774"}
        request = Request("POST", "/e/news", "", headers, urlencode(given).encode())
        response = await self._console.respond(request)
        assert response.status == status
        return response.body.decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        store.put_endpoint(Endpoint("news", "arn", "c", "InService", 0.0, 0.0))
        store.put_examples("news", EXAMPLES)
        yield store


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def browser(store: Store, runtime: Runtime) -> Browser:
    return Browser(store, runtime)


def tagless(page: str) -> str:
    """What is to be read on a page."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


def texts(page: str) -> list[str]:
    """What stands in the larger fields."""
    return [html.unescape(text) for text in re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)]


async def test_a_form_begins_with_the_first_example(browser: Browser) -> None:
    page = await browser.text()
    assert texts(page) == ["Oil falls"]
    assert re.findall(r"\?example=(\w+)#try", page) == ["one", "both", "other"]
    assert "Not asked yet." in page
    assert "made from the project's examples" in tagless(page)


async def test_an_example_of_one_input_is_the_first_to_begin_with(browser: Browser, store: Store) -> None:
    store.put_examples("news", [EXAMPLES[2] | {"status": 200}, EXAMPLES[1], EXAMPLES[0]])
    store.put_app("news", App(inputs=(Input("text", Kind.LONG_TEXT),), template=[["{text}"]]).as_json())
    assert texts(await browser.text()) == ["Oil falls"]
    store.put_examples("news", [EXAMPLES[2] | {"status": 200}, EXAMPLES[1]])
    assert texts(await browser.text()) == ["a", "b"]
    store.put_examples("news", [EXAMPLES[2] | {"status": 200}])
    assert texts(await browser.text()) == ['{"x": 1}']


async def test_an_example_fills_the_form_by_its_link(browser: Browser) -> None:
    page = await browser.text("example=both")
    assert texts(page) == ["a", "b"]
    assert re.findall(r'example=(\w+)#try" aria-current="true"', page) == ["both"]


async def test_an_example_of_another_shape_is_edited_as_it_is(browser: Browser, runtime: Runtime) -> None:
    page = await browser.text("example=other")
    assert texts(page) == ['{"x": 1}']
    assert 'name="mode" value="raw"' in page
    await browser.send(mode="raw", raw__body='{"x":  2}', raw__type=JSON)
    assert runtime.asked[0]["Body"] == b'{"x":  2}'


async def test_the_form_makes_the_request(browser: Browser, runtime: Runtime) -> None:
    page = await browser.send(_0__text="Stocks rise", accept="text/plain", rows="1")
    assert runtime.asked == [
        {"EndpointName": "news", "Body": b'[["Stocks rise"]]', "ContentType": JSON, "Accept": "text/plain"}
    ]
    assert texts(page) == ["Stocks rise"]


async def test_headers_go_along(browser: Browser, runtime: Runtime) -> None:
    await browser.send(_0__text="a", attributes="x=1", variant="b")
    assert (runtime.asked[0]["CustomAttributes"], runtime.asked[0]["TargetVariant"]) == ("x=1", "b")


async def test_a_variant_is_chosen_where_there_are_several(browser: Browser, store: Store) -> None:
    assert 'name="variant"' not in await browser.text()
    variants = {"ProductionVariants": [{"VariantName": "a"}, {"VariantName": "b"}]}
    store.put_config(EndpointConfig("c", "arn:c", 0.0, variants))
    assert '<option value="b">' in await browser.text()


async def test_lines_end_as_they_were_typed_and_not_as_browsers_send_them(
    browser: Browser, runtime: Runtime
) -> None:
    await browser.send(_0__text="one\r\ntwo")
    assert runtime.asked[0]["Body"] == b'[["one\\ntwo"]]'


async def test_an_input_comes_and_goes_without_being_sent(browser: Browser, runtime: Runtime) -> None:
    page = await browser.send(_0__text="x", rows="1", action="add")
    assert texts(page) == ["x", ""]
    page = await browser.send(_0__text="x", _1__text="y", rows="2", action="remove.0")
    assert (texts(page), runtime.asked) == (["y"], [])


async def test_the_form_becomes_its_request_and_a_form_again(browser: Browser, runtime: Runtime) -> None:
    page = await browser.send(_0__text="x", _1__text="é", rows="2", action="raw")
    assert texts(page) == ['[["x"], ["é"]]']
    page = await browser.send(mode="raw", raw__body='[["y"]]', raw__type=JSON, action="form")
    assert (texts(page), runtime.asked) == (["y"], [])


async def test_a_request_that_no_form_makes_stays_as_it_is(browser: Browser) -> None:
    page = await browser.send(mode="raw", raw__body='{"x": 1}', raw__type=JSON, action="form")
    assert texts(page) == ['{"x": 1}']
    assert "The form has no fields that make this request." in tagless(page)


async def test_what_does_not_fit_is_said_at_its_field(
    browser: Browser, store: Store, runtime: Runtime
) -> None:
    inputs = (Input("title"), Input("top", Kind.NUMBER, min=1))
    store.put_app("news", App(inputs=inputs, template=[["{title}", "{top}"]]).as_json())
    page = await browser.send(_0__title="x", _0__top="0", rows="1")
    assert re.search(r'id="field-0-1" [^>]*aria-invalid="true"', page)
    assert '<a href="#field-0-1">Top must be 1 or more, not 0.</a>' in page
    page = await browser.send(_0__title="x", _0__top="1", _1__title="", _1__top="1", rows="2")
    assert re.search(r'id="field-1-0" [^>]*aria-invalid="true"', page)
    assert (page.count("aria-invalid"), runtime.asked) == (1, [])


async def test_a_form_says_what_is_declared(browser: Browser, store: Store) -> None:
    inputs = (
        Input(
            "text",
            Kind.LONG_TEXT,
            label="Head<line>",
            description="As printed.",
            default="d",
            examples=("e<1>",),
        ),
        Input("top", Kind.NUMBER, min=1, max=9, step=2, required=False),
        Input("kind", Kind.CHOICE, choices=("a", 2)),
        Input("sure", Kind.BOOLEAN, default=True),
        Input("photo", Kind.IMAGE),
        Input("more", Kind.JSON, required=False),
    )
    app = App(title="What <is> it?", description="Tells.", inputs=inputs)
    store.put_app("news", app.as_json())
    page = await browser.text()
    assert "<h2>What &lt;is&gt; it?</h2>" in page
    assert re.search(r'<label for="field-0-0">Head&lt;line&gt;</label>', page)
    assert re.search(
        r'<textarea id="field-0-0" name="0.text" aria-describedby="field-0-0-about" required', page
    )
    assert re.search(r'<input type="number" [^>]*name="0.top"[^>]* step="2" min="1" max="9">', page)
    assert re.search(r'<select id="field-0-2" name="0.kind" required>\s*<option value=""></option>', page)
    assert re.search(r'<input type="checkbox" [^>]*value="true" checked>', page)
    assert re.search(r'<input type="file" [^>]*name="0.photo" required accept="image/\*"', page)
    assert 'data-value="e&lt;1&gt;"' in page
    assert texts(page) == ["d", ""]
    assert "made from" not in page


async def test_a_file_that_was_chosen_need_not_be_chosen_again(
    browser: Browser, store: Store, runtime: Runtime
) -> None:
    store.put_examples("news", [PHOTO])
    page = await browser.text()
    kept = re.search(r'name="0.image.kept" value="([^"]*)"', page)
    assert kept is not None
    assert base64.b64encode(PNG).decode() in page
    page = await browser.send(_0__image__kept=html.unescape(kept[1]))
    assert (runtime.asked[0]["Body"], runtime.asked[0]["ContentType"]) == (PNG, "image/png")
    assert kept[0] in page


async def test_no_token_leads_to_what_is_anothers(browser: Browser, store: Store, runtime: Runtime) -> None:
    store.put_examples("news", [PHOTO])
    await browser.send(_0__image__kept="example/0/image/../../x")
    assert runtime.asked == []
    assert (await browser.get("/e/news/kept/abc")).status == 404


async def test_probabilities_are_shown_the_highest_first(browser: Browser) -> None:
    page = tagless(await browser.send(_0__text="a"))
    assert re.search(r"sports 75.0 % world 25.0 %", page)


async def test_each_input_has_its_bars(browser: Browser, runtime: Runtime) -> None:
    runtime.says(json.dumps([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]).encode())
    page = tagless(await browser.send(_0__text="x", _1__text="y", rows="2"))
    assert re.search(r"x a 90.0 % b 10.0 % y b 80.0 % a 20.0 %", page)


async def test_the_time_in_each_function_is_told(browser: Browser, runtime: Runtime) -> None:
    runtime.says(b"1", times={"input_fn": 0.01, "predict_fn": 0.2})
    page = tagless(await browser.send(_0__text="a"))
    assert "input_fn 10 ms predict_fn 200 ms 250 ms in all" in page


async def test_the_owner_is_led_to_the_record(browser: Browser) -> None:
    page = await browser.send(_0__text="a")
    assert '<a href="/requests/7">Request 7</a>' in page


async def test_an_answer_that_is_cut_can_be_had_whole_as_text(browser: Browser, runtime: Runtime) -> None:
    whole = json.dumps(["x" * 30_000, [[1]]]).encode()
    runtime.says(whole)
    page = await browser.send(_0__text="a")
    link = re.search(r'href="(/e/news/kept/\w+)" download', page)
    assert link is not None
    assert "characters are not shown here" in page
    response = await browser.get(link[1])
    headers = dict(response.headers)
    assert response.body == whole
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_short_answer_is_not_offered_for_download(browser: Browser) -> None:
    assert "kept/" not in await browser.send(_0__text="a")


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
async def test_nothing_that_a_model_or_a_visitor_says_is_markup(
    browser: Browser, runtime: Runtime, store: Store, hostile: str
) -> None:
    store.put_examples("news", [{**EXAMPLES[0], "name": hostile}])
    store.put_endpoint(Endpoint("news", "arn", "c", "Failed", 0.0, 0.0, hostile))
    store.put_app("news", App(title=hostile, description=hostile).as_json())
    for answer in (hostile, {hostile: 0.5, "b": 0.5}, [hostile], [{hostile: hostile}], {"a": [[[hostile]]]}):
        runtime.says(json.dumps(answer).encode())
        assert hostile not in await browser.send(_0__text=hostile)
    runtime.says(hostile.encode(), f"text/html; {hostile}")
    assert hostile not in await browser.send(_0__text=hostile)
    runtime.fails(hostile)
    assert hostile not in await browser.send(_0__text=hostile, accept=hostile, attributes=hostile)
    assert hostile not in await browser.send(mode="raw", raw__body=hostile, action="form")


async def test_a_failure_is_told_as_dev_tells_it(browser: Browser, runtime: Runtime) -> None:
    runtime.fails("Traceback …\nValueError: no such word", findings={"failure": FAILURE})
    page = await browser.send(_0__text="a")
    said = tagless(page)
    assert "The model answered with status 500." in said
    assert "ValueError: no such word" in said
    assert "code/serve.py:7 in predict_fn" in said
    assert "▸ 7 │ raise ValueError('no such word')" in said
    assert "What a client is told: ModelError, 424" in said
    assert "Traceback …" in said
    assert "It failed: The model answered with status 500." in html.unescape(page)


async def test_a_failure_of_a_container_is_told_by_what_it_said(browser: Browser, runtime: Runtime) -> None:
    runtime.fails("ModuleNotFoundError: No module named 'sklearn'")
    said = tagless(await browser.send(_0__text="a"))
    assert "scikit-learn" in said


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValidationError("Endpoint news is not in service."), "The endpoint cannot answer now."),
        (ValidationError("x does not support this inference type."), "This endpoint is asynchronous"),
        (Throttling("full"), "More requests wait for this model than it takes."),
        (ModelError("m", OriginalStatusCode=0, OriginalMessage="x"), "did not answer within the 60 seconds"),
    ],
)
async def test_an_endpoint_that_does_not_answer_says_why(
    browser: Browser, runtime: Runtime, error: ServiceError, why: str
) -> None:
    runtime.answer, runtime.error = None, error
    said = tagless(await browser.send(_0__text="a"))
    assert why in said
    assert error.message in said


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("Creating", "", "The model is being loaded"),
        ("Updating", "", "Another version is being loaded"),
        ("Failed", "OSError: no weights", "OSError: no weights"),
        (
            "InService",
            "OSError: no weights",
            "The last update failed, and what served before goes on: OSError",
        ),
        ("Deleting", "", "It is being deleted."),
    ],
)
async def test_the_state_is_told_with_its_reason(
    browser: Browser, store: Store, status: str, reason: str, said: str
) -> None:
    store.put_endpoint(Endpoint("news", "arn", "c", status, 0.0, 0.0, reason))
    assert said in tagless(await browser.text())


async def test_it_is_told_who_holds_the_endpoint(browser: Browser) -> None:
    browser.holder = "`hotfire dev` (process 12) serves it"
    assert "`hotfire dev` (process 12) serves it: what it serves answers here." in tagless(
        await browser.text()
    )


async def test_the_code_is_of_the_request_that_was_sent(browser: Browser) -> None:
    assert "Oil falls" in tagless(await browser.text()).split("The same as code")[1]
    page = tagless(await browser.send(_0__text="Stocks rise", accept="text/plain"))
    assert "--data-raw '[[\"Stocks rise\"]]'" in page
    assert '{"text": "Stocks rise"}' in page


async def test_who_sees_one_model_sees_no_way_elsewhere_and_no_traceback(
    browser: Browser, runtime: Runtime
) -> None:
    browser.visitors.is_who = Visitor(models=frozenset({"news"}), key="hotfire_abc")
    runtime.fails("Traceback: a secret", findings={"failure": FAILURE})
    page = await browser.send(_0__text="a", accept="text/plain")
    assert "The model answered with status 500. Whoever serves it can see why." in tagless(page)
    for hidden in ("secret", "no such word", "/requests", "ModelError", "hotfire env", "AWS_"):
        assert hidden not in page
    assert "export HOTFIRE_KEY=hotfire_abc" in page
    links = set(re.findall(r'(?:href|action)="(/[^"#?]*)', page))
    assert {one for one in links if not one.startswith(("/static/", "/e/news"))} == set()


async def test_who_sees_another_model_does_not_see_this_one(browser: Browser, runtime: Runtime) -> None:
    browser.visitors.is_who = Visitor(models=frozenset({"other"}))
    assert (await browser.get()).status == 403
    await browser.send(403, _0__text="a")
    assert ((await browser.get("/e/news/kept/x")).status, runtime.asked) == (403, [])


def test_what_is_kept_is_of_one_endpoint() -> None:
    keeper = Keeper()
    token = keeper.keep("a", Kept("x", b"1", "text/plain"))
    assert keeper.find("a", token) == Kept("x", b"1", "text/plain")
    assert keeper.find("b", token) is None
    assert keeper.keep("a", Kept("x", b"1", "text/plain")) == token


def test_the_oldest_goes_where_there_is_no_room() -> None:
    keeper = Keeper(most=10, most_bytes=5)
    first, second = (keeper.keep("a", Kept(name, b"12", "x")) for name in "xy")
    keeper.keep("a", Kept("x", b"12", "x"))
    keeper.keep("a", Kept("z", b"12", "x"))
    assert (keeper.find("a", first) is not None, keeper.find("a", second)) == (True, None)
    large = keeper.keep("a", Kept("l", b"123456789", "x"))
    assert (keeper.find("a", first), keeper.find("a", large) is not None) == (None, True)
