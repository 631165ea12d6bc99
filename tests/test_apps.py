"""What the region knows of a model: from its deploy, from `hotfire dev`, from the requests that came."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfire.app_inputs import Input
from hotfire.app_schema import App, Source
from hotfire.errors import StoreError
from hotfire.region.apps import Apps, PageExample
from hotfire.region.invocations import Query
from hotfire.region.records import Invocation, Message
from hotfire.region.store import Store
from hotfire.resources import Endpoint

pytestmark = pytest.mark.anyio

EXAMPLE = {"name": "one", "body": '[["a"]]', "content_type": "application/json", "accept": "text/csv"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Leases:
    def __init__(self) -> None:
        self.pages: dict[str, Mapping[str, Any]] = {}

    def page(self, endpoint: str) -> Mapping[str, Any] | None:
        return self.pages.get(endpoint)


class Journal:
    """Recorded requests that were answered well."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.size: int | None = None
        self.is_broken = False

    async def recent(self, query: Query, limit: int, *, bodies: bool) -> list[Invocation]:
        assert (query, bodies) == (Query(endpoint="e", status="2xx", failed=False), True)
        if self.is_broken:
            raise StoreError("it is broken")
        return [self.invocation(body) for body in self.bodies[:limit]]

    def invocation(self, body: bytes) -> Invocation:
        size = len(body) if self.size is None else self.size
        sent = Message({"Content-Type": "application/json"}, body, size)
        facts: Any = (1, "r", 0, "e", "v", "c", "invoke", 200, "", "", 0.1, None, True, {}, None)
        return Invocation(*facts, sent, Message({}, b"", 0))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def apps(store: Store, leases: Leases, journal: Journal) -> Apps:
    return Apps(store, leases, journal)


def test_of_an_endpoint_of_another_client_nothing_is_known(apps: Apps) -> None:
    assert (apps.of("e").source, apps.examples("e")) == (Source.NOTHING, ())


def test_what_is_declared_was_deployed(apps: Apps, store: Store) -> None:
    declared = App(title="News", inputs=(Input("text"),), template=[["{text}"]])
    store.put_app("e", declared.as_json())
    assert apps.of("e") == declared


def test_what_is_not_declared_is_told_from_the_examples(apps: Apps, store: Store) -> None:
    store.put_examples("e", [EXAMPLE])
    app = apps.of("e")
    assert (app.source, app.template, app.accept) == (Source.EXAMPLES, [["{text}"]], "text/csv")
    assert apps.examples("e") == (PageExample("one", b'[["a"]]', "application/json", "text/csv"),)


def test_an_example_that_is_to_fail_says_nothing_of_good_inputs(apps: Apps, store: Store) -> None:
    store.put_examples("e", [{**EXAMPLE, "body": "nonsense", "status": 400}, EXAMPLE])
    assert apps.of("e").template == [["{text}"]]
    assert [one.status for one in apps.examples("e")] == [400, 200]


def test_an_example_may_be_of_bytes(apps: Apps, store: Store) -> None:
    store.put_examples("e", [{"name": "i", "body_base64": "iVBORw==", "content_type": "image/png"}])
    assert apps.examples("e") == (PageExample("i", b"\x89PNG", "image/png"),)


def test_a_newer_deploy_is_seen(apps: Apps, store: Store) -> None:
    store.put_examples("e", [EXAMPLE])
    apps.of("e")
    store.put_examples("e", [{**EXAMPLE, "body": '{"q": "a"}'}])
    assert apps.of("e").template == {"q": "{q}"}


def test_while_dev_holds_it_the_page_is_devs(apps: Apps, store: Store, leases: Leases) -> None:
    store.put_app("e", App(title="Deployed").as_json())
    store.put_examples("e", [EXAMPLE])
    leases.pages["e"] = {"app": App(title="Edited").as_json(), "examples": []}
    assert (apps.of("e").title, apps.examples("e")) == ("Edited", ())
    del leases.pages["e"]
    assert (apps.of("e").title, len(apps.examples("e"))) == ("Deployed", 1)


async def test_a_page_goes_by_recorded_requests_where_there_is_nothing_else(
    apps: Apps, store: Store, journal: Journal
) -> None:
    journal.bodies = [b'{"q": "why?"}', b"null"]
    store.put_app("e", App(title="Answers").as_json())
    shown = await apps.shown("e")
    assert (shown.title, shown.template, shown.source) == ("Answers", {"q": "{q}"}, Source.REQUESTS)
    assert apps.of("e").source is Source.NOTHING


async def test_examples_go_before_requests(apps: Apps, store: Store, journal: Journal) -> None:
    journal.bodies = [b'{"q": "why?"}']
    store.put_examples("e", [EXAMPLE])
    assert (await apps.shown("e")).template == [["{text}"]]


async def test_requests_that_were_cut_say_nothing(apps: Apps, journal: Journal) -> None:
    journal.bodies, journal.size = [b'{"q": "why?"}'], 100_000
    assert (await apps.shown("e")).source is Source.NOTHING


async def test_without_a_journal_the_page_is_there(apps: Apps, journal: Journal) -> None:
    journal.is_broken = True
    assert (await apps.shown("e")).source is Source.NOTHING


def test_a_deleted_endpoint_leaves_no_page(apps: Apps, store: Store) -> None:
    store.put_endpoint(Endpoint("e", "arn", "c", "InService", 0.0, 0.0))
    store.put_app("e", App(title="News").as_json())
    store.put_examples("e", [EXAMPLE])
    store.delete_endpoint("e")
    assert (apps.of("e"), apps.examples("e")) == (Apps(store, Leases(), Journal()).of("e"), ())
    assert apps.of("e").title == ""
