"""What the pages of one endpoint have in common: its record, its state, and where the others are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from hotfire.console.visits import Absent, Visit
from hotfire.region.store import Store

TABS = (
    ("Model", ""),
    ("API", "/api"),
    ("Requests", "/requests"),
    ("Logs", "/logs"),
    ("Charts", "/charts"),
    ("Dev", "/dev"),
)
"""The pages of an endpoint, by what follows `/e/NAME`."""
_SHARED = ("", "/api")
"""Those for whoever was let in to the model alone."""


class EndpointPages:
    """Finds the endpoint that a page is about. `holder` says who has it for themselves, if anybody."""

    def __init__(self, store: Store, holder: Callable[[str], str]) -> None:
        self._store, self._holder = store, holder

    def common(self, visit: Visit) -> Mapping[str, Any]:
        """The values of `endpoint_base.html`. Raises Absent if there is no such endpoint."""
        endpoint = self._store.endpoint(visit.places["name"])
        if endpoint is None:
            raise Absent
        here = f"/e/{quote(endpoint.name)}"
        holder = self._holder(endpoint.name)
        return {
            "endpoint": endpoint,
            "holder": holder,
            "tabs": [(words, here + rest) for words, rest in TABS if self._is_there(rest, visit, holder)],
        }

    def _is_there(self, rest: str, visit: Visit, holder: str) -> bool:
        """Whether a page is there for this visitor now."""
        if visit.visitor is None or not visit.visitor.is_owner:
            return rest in _SHARED
        return rest != "/dev" or bool(holder)
