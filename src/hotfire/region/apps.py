"""What is known of each endpoint's model as people and programs meet it: its app and its examples."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotfire.app_inference import Sample, completed
from hotfire.app_schema import App, Source
from hotfire.errors import StoreError
from hotfire.region.invocations import Query
from hotfire.region.records import Invocation

_MOST_REQUESTS = 20
_UNDECLARED = App()


class Pages(Protocol):
    """What endpoints' pages are made of; None of one of which it knows nothing."""

    def page(self, endpoint: str) -> Mapping[str, Any] | None:
        """A mapping with `app`, as `App.as_json` has it, or None; and `examples`."""
        ...


class Stored(Protocol):
    """What was deployed with an endpoint."""

    def page(self, endpoint_name: str) -> Any | None:
        """What was deployed with the config that it has now: a mapping with `app` and `examples`."""
        ...

    def app(self, endpoint_name: str) -> Any | None:
        """What was declared last, as JSON."""
        ...

    def examples(self, endpoint_name: str) -> Any | None:
        """The last examples, as JSON."""
        ...


class Requests(Protocol):
    """The requests that were recorded."""

    async def recent(self, query: Query, limit: int, *, bodies: bool) -> list[Invocation]:
        """The latest, the newest first. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class PageExample:
    """A request of the project's examples; `status` is the one that it expects."""

    name: str
    body: bytes
    content_type: str
    accept: str = ""
    custom_attributes: str = ""
    status: int = 200


@dataclass(frozen=True, slots=True)
class _Known:
    """What was made of a page, for as long as it is the same."""

    made_of: str
    declared: App
    app: App
    examples: tuple[PageExample, ...] = field(repr=False)


class Apps:
    """The apps of a region's endpoints: what `hotfire dev` shows there, else what was deployed."""

    def __init__(self, store: Stored, pages: Pages, requests: Requests) -> None:
        self._store, self._pages, self._requests = store, pages, requests
        self._known: dict[str, _Known] = {}

    def of(self, endpoint: str) -> App:
        """What is declared of an endpoint's model, or can be told from its examples."""
        return self._look(endpoint).app

    def examples(self, endpoint: str) -> tuple[PageExample, ...]:
        """The examples of an endpoint's project."""
        return self._look(endpoint).examples

    async def shown(self, endpoint: str) -> App:
        """What a page shows: as `of`, but told from the recorded requests where there is nothing else.

        The public API does not go by those: what it takes must not change with what comes.
        """
        known = self._look(endpoint)
        if known.app.source is not Source.NOTHING:
            return known.app
        query = Query(endpoint=endpoint, status="2xx", failed=False)
        try:
            found = await self._requests.recent(query, _MOST_REQUESTS, bodies=True)
        except StoreError:
            return known.app
        samples = [Sample(one.sent.body or b"", one.sent.content_type) for one in found if one.sent.is_whole]
        return completed(known.declared, samples, Source.REQUESTS) if samples else known.app

    def _look(self, endpoint: str) -> _Known:
        page = self._pages.page(endpoint) or self._store.page(endpoint)
        if page is None:
            page = {"app": self._store.app(endpoint), "examples": self._store.examples(endpoint) or []}
        made_of = json.dumps(page)
        known = self._known.get(endpoint)
        if known is None or known.made_of != made_of:
            known = _made(made_of, page)
            self._known[endpoint] = known
        return known


def _made(made_of: str, page: Mapping[str, Any]) -> _Known:
    declared = _UNDECLARED if page["app"] is None else App.of_json(page["app"])
    examples = tuple(map(_example, page["examples"]))
    good = [Sample(one.body, one.content_type, one.accept) for one in examples if one.status < 300]
    return _Known(made_of, declared, completed(declared, good, Source.EXAMPLES), examples)


def _example(value: Mapping[str, Any]) -> PageExample:
    body = base64.b64decode(value["body_base64"]) if "body_base64" in value else value["body"].encode()
    return PageExample(
        value["name"],
        body,
        value["content_type"],
        value.get("accept", ""),
        value.get("custom_attributes", ""),
        value.get("status", 200),
    )
