"""The first page: every endpoint, as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hotfire.console.plots import spark
from hotfire.console.visits import Page, Route, Visit
from hotfire.region.endpoints import Endpoints
from hotfire.region.fleet import FleetPlan
from hotfire.region.store import Store
from hotfire.region.traffic import Figures, Traffic
from hotfire.resources import Endpoint
from hotfire.wanted import COMMIT_TAG

SPARK_WIDTH, SPARK_HEIGHT = 160, 34
_SPARK_SECONDS, _SPARK_STEP = 1800, 60


@dataclass(frozen=True, slots=True)
class VariantRow:
    """What serves a part of the requests."""

    name: str
    instances: int
    instance_type: str
    share: str
    model: str


@dataclass(frozen=True, slots=True)
class Row:
    """What the page says of one endpoint. `deployed` is when it last was, None if never."""

    record: Endpoint
    variants: Sequence[VariantRow]
    workers: int
    figures: Figures
    spark: str
    holder: str
    commit: str
    deployed: float | None


class Overview:
    """The list of endpoints."""

    def __init__(self, store: Store, endpoints: Endpoints, traffic: Traffic) -> None:
        self._store, self._endpoints, self._traffic = store, endpoints, traffic

    @property
    def routes(self) -> Sequence[Route]:
        """The first page alone."""
        return (Route("GET", "/", self.show),)

    def show(self, visit: Visit) -> Page:
        """Every endpoint."""
        rows = [self._row(endpoint) for endpoint in self._store.endpoints()]
        values: Mapping[str, Any] = {"endpoints": rows, "width": SPARK_WIDTH, "height": SPARK_HEIGHT}
        return Page("endpoints.html", values, live=("endpoints",), topics=("endpoints", "dev"))

    def _row(self, endpoint: Endpoint) -> Row:
        name, tags = endpoint.name, self._store.tags(endpoint.arn)
        plan = self._store.fleet(name)
        variants = _variants(FleetPlan.from_json(plan)) if plan is not None else []
        marks = self._traffic.marks(name)
        series = self._traffic.series(name, _SPARK_SECONDS, _SPARK_STEP)
        return Row(
            endpoint,
            variants,
            len(self._endpoints.pids(name)),
            self._traffic.figures(name),
            spark([float(point.figures.requests) for point in series], SPARK_WIDTH, SPARK_HEIGHT),
            self._endpoints.holder(name),
            tags.get(COMMIT_TAG, "")[:12],
            marks[-1].time if marks else None,
        )


def _variants(plan: FleetPlan) -> list[VariantRow]:
    whole = sum(variant.weight for variant in plan.variants) or 1.0
    return [
        VariantRow(
            name=variant.name,
            instances=max(variant.count, 1),
            instance_type=variant.instance_type or ("serverless" if variant.serverless else "local"),
            share=f"{variant.weight / whole:.0%}",
            model=variant.tree[:12],
        )
        for variant in plan.variants
    ]
