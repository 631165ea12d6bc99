"""What `hotfire dev` does with an endpoint: its reloads, its examples, where their time goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hotfire.comparison import Difference
from hotfire.console.differences import Place, place_of
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.times import TimeSpent, times_spent
from hotfire.console.visits import Page, Route, Visit
from hotfire.failure import DOUBTS
from hotfire.region.developments import Developments

_MOST_DIFFERENCES = 50


class DevPage:
    """`/e/NAME/dev`, while `hotfire dev` has the endpoint."""

    def __init__(self, developments: Developments, pages: EndpointPages) -> None:
        self._developments, self._pages = developments, pages

    @property
    def routes(self) -> Sequence[Route]:
        """The page."""
        return (Route("GET", "/e/{name}/dev", self.show),)

    def show(self, visit: Visit) -> Page:
        """The last reload and what the examples came to; or that nobody works there."""
        common, name = self._pages.common(visit), visit.places["name"]
        development = self._developments.of(name)
        report = development.report if development is not None else None
        values = {
            **common,
            "development": development,
            "reloads": list(development.reloads)[::-1] if development is not None else [],
            "report": report,
            "examples": [_example(one) for one in (report or {}).get("examples", ())],
        }
        return Page(
            "dev.html",
            values,
            live=("state", "dev"),
            topics=("dev", "endpoints"),
            endpoint=name,
        )


def _example(told: Mapping[str, Any]) -> dict[str, Any]:
    """An example as the page shows it."""
    differences: list[Place] = [place_of(Difference(**one)) for one in told["differences"]]
    times: list[TimeSpent] = times_spent(told["times"], told["seconds"])
    return {
        **told,
        "places": differences[:_MOST_DIFFERENCES],
        "more": max(len(differences) - _MOST_DIFFERENCES, 0),
        "spent": times,
        "advice": [DOUBTS[name] for name in told["doubts"] if name in DOUBTS],
    }
