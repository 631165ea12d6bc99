"""What browsers, and programs by plain JSON, reach of a region: its pages, its public API, shares of them."""

from __future__ import annotations

from dataclasses import dataclass

from hotfire.address import Exposure, Key
from hotfire.console.api_pages import ApiPages
from hotfire.console.app import Console
from hotfire.console.charts import ChartPage
from hotfire.console.dev_page import DevPage
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.logs import LogPage
from hotfire.console.model_page import ModelPage
from hotfire.console.overview import Overview
from hotfire.console.public import PublicApi
from hotfire.console.recorded import RecordedRequest
from hotfire.console.requests import RequestList
from hotfire.console.visits import Part
from hotfire.region.api_keys import ApiKeys
from hotfire.region.apps import Apps
from hotfire.region.blueprints import Blueprints
from hotfire.region.endpoints import Endpoints
from hotfire.region.journal import Journal
from hotfire.region.leases import Leases
from hotfire.region.observatory import Observatory
from hotfire.region.replays import Replays
from hotfire.region.runtime import Runtime
from hotfire.region.store import Store
from hotfire.server.gate import Gate, Visitors
from hotfire.server.guests import Guests
from hotfire.server.shares import Shares


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of a region that pages show and the public API asks."""

    store: Store
    endpoints: Endpoints
    blueprints: Blueprints
    runtime: Runtime
    leases: Leases
    journal: Journal
    seen: Observatory


class Website:
    """The console, the public API, and who is let in to them."""

    def __init__(self, key: Key, port: int, exposure: Exposure, gate: Gate, inside: Inside) -> None:
        needs_key = not exposure.is_local
        self.visitors = Visitors(key, port)
        apps = Apps(inside.store, inside.leases, inside.seen.invocations)
        self.api = PublicApi(inside.store, apps, inside.runtime)
        self.guests = Guests(gate, ApiKeys(inside.store), self.visitors, needs_key=needs_key)
        pages = EndpointPages(inside.store, inside.endpoints.holder)
        api_pages = ApiPages(self.api, pages, needs_key=needs_key, origins=exposure.origins)
        parts = (*_pages(inside, pages, apps, needs_key=needs_key), api_pages)
        self.console = Console(self.visitors, inside.seen.feed, parts)
        self.shares = Shares(key, inside.store, inside.seen.feed, parts, self.api)


def _pages(inside: Inside, pages: EndpointPages, apps: Apps, *, needs_key: bool) -> tuple[Part, ...]:
    """The pages about endpoints and what came to them."""
    store, seen = inside.store, inside.seen
    replays = Replays(store, inside.endpoints, inside.blueprints, inside.runtime)
    return (
        Overview(store, inside.endpoints, seen.traffic),
        ModelPage(store, inside.runtime, pages, apps, needs_key=needs_key),
        RequestList(store, seen.invocations, pages),
        RecordedRequest(store, inside.journal, seen.invocations, replays),
        LogPage(inside.journal, pages),
        ChartPage(seen.traffic, pages),
        DevPage(seen.developments, pages),
    )
