"""The list of recorded requests: what came, of all endpoints or of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.visits import Page, Route, Visit, number
from hotfire.region.invocations import Invocations, Query
from hotfire.region.records import VIAS
from hotfire.region.store import Store

_ON_A_PAGE = 100
STATUSES = {
    "2xx": "2xx, answered",
    "4xx": "4xx, refused",
    "5xx": "5xx, failed",
    "none": "no answer",
}
WAYS = {
    "invoke": "InvokeEndpoint",
    "stream": "response stream",
    "async": "asynchronous",
    "page": "a page",
    "api": "public API",
}
"""What `Invocation.via` means to people."""
assert set(WAYS) == set(VIAS)


class RequestList:
    """`/requests` and `/e/NAME/requests`: filtered, searched, a page at a time."""

    def __init__(self, store: Store, invocations: Invocations, pages: EndpointPages) -> None:
        self._store, self._invocations, self._pages = store, invocations, pages

    @property
    def routes(self) -> Sequence[Route]:
        """The lists."""
        return (
            Route("GET", "/requests", self.show_all),
            Route("GET", "/e/{name}/requests", self.show_of_endpoint),
        )

    async def show_all(self, visit: Visit) -> Page:
        """Those of every endpoint."""
        names = [endpoint.name for endpoint in self._store.endpoints()]
        values = {"names": names, "endpoint": None}
        return await self._page("requests.html", visit, visit.query.get("endpoint", ""), values)

    async def show_of_endpoint(self, visit: Visit) -> Page:
        """Those of one endpoint."""
        values = {"names": [], **self._pages.common(visit)}
        return await self._page("endpoint_requests.html", visit, visit.places["name"], values)

    async def _page(self, template: str, visit: Visit, endpoint: str, values: Mapping[str, Any]) -> Page:
        asked = visit.query
        query = Query(
            endpoint=endpoint,
            via=asked.get("via", ""),
            status=asked.get("status", ""),
            text=asked.get("text", "").strip(),
            before=number(asked.get("before", "")),
        )
        found = await self._invocations.recent(query, _ON_A_PAGE + 1)
        rows, is_more = found[:_ON_A_PAGE], len(found) > _ON_A_PAGE
        older = {**asked, "before": rows[-1].id} if is_more else None
        return Page(
            template,
            {
                **values,
                "rows": rows,
                "asked": asked,
                "is_filtered": bool(query.text or query.via or query.status or asked.get("endpoint")),
                "statuses": STATUSES,
                "ways": WAYS,
                "older": f"{visit.request.path}?{urlencode(older)}" if older else "",
            },
            # Older pages stay as they are.
            live=("rows", *(("state",) if values["endpoint"] else ())) if query.before is None else (),
            # To search all bodies takes a while: that is done now and then, and not for each request.
            topics=("endpoints",) if query.text else ("requests", "endpoints"),
            endpoint=endpoint,
        )
