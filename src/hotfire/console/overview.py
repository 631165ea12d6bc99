"""The first page: every endpoint, as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotfire.console.visits import Page, Route, Visit
from hotfire.region.store import Store
from hotfire.resources import Endpoint


@dataclass(frozen=True, slots=True)
class Row:
    """What the page says of one endpoint."""

    record: Endpoint


class Overview:
    """The list of endpoints."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def routes(self) -> Sequence[Route]:
        """The first page alone."""
        return (Route("GET", "/", self.show),)

    def show(self, visit: Visit) -> Page:
        """Every endpoint."""
        rows = [Row(endpoint) for endpoint in self._store.endpoints()]
        return Page(
            "endpoints.html", {"endpoints": rows}, live=("endpoints",), topics=("endpoints", "requests")
        )
