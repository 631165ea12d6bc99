"""Every endpoint of a region that Hotfire made, and what it costs as far as that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.inventory import Inventory, errors
from hotfire.prices import Price, hourly
from hotfire.wanted import CALLER_TAG, COMMIT_TAG, HASH_TAG, PROJECT_TAG

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Host:
    """What one variant runs on: instances of a type, or memory; and its share of the traffic."""

    variant: str
    instance_type: str | None
    count: int
    memory_mb: int | None
    weight: float

    def __str__(self) -> str:
        if self.instance_type is None:
            return f"serverless, {self.memory_mb} MB" if self.memory_mb else "?"
        return f"{self.count} × {self.instance_type}"


@dataclass(frozen=True, slots=True)
class Holding:
    """One endpoint. Times in seconds since the epoch; `price` is that of all instances, if known."""

    endpoint: str
    project: str
    state: str
    created: float
    modified: float
    sha256: str | None
    commit: str | None
    caller: str | None
    hosts: tuple[Host, ...]
    price: Price | None


def holdings(client: Any) -> Iterator[Holding]:
    """The endpoints with our tag in the region of a boto3 `sagemaker` client, the newest first."""
    inventory = Inventory(client)
    region = str(client.meta.region_name)
    for summary in _endpoints(client):
        tags = inventory.tags(summary["EndpointArn"])
        found = inventory.endpoint(summary["EndpointName"]) if PROJECT_TAG in tags else None
        if found is not None:  # else it is another's, or was deleted meanwhile
            yield _holding(found, tags, tuple(hosts(inventory, found)), region)


def hosts(inventory: Inventory, found: Mapping[str, Any]) -> Iterator[Host]:
    """What the variants of an endpoint run on, by its config and by what is there now."""
    now = {variant["VariantName"]: variant for variant in found.get("ProductionVariants", ())}
    for variant in inventory.variants(found["EndpointConfigName"]):
        yield _host({**variant, **now.pop(variant["VariantName"], {})})
    yield from map(_host, now.values())


def _endpoints(client: Any) -> Iterator[dict[str, Any]]:
    params = {"MaxResults": _PAGE, "SortBy": "CreationTime", "SortOrder": "Descending"}
    with errors("list the endpoints"):
        while True:
            answer = client.list_endpoints(**params)
            yield from answer["Endpoints"]
            if not answer.get("NextToken"):
                return
            params["NextToken"] = answer["NextToken"]


def _holding(found: Mapping[str, Any], tags: Mapping[str, str], on: tuple[Host, ...], region: str) -> Holding:
    return Holding(
        endpoint=found["EndpointName"],
        project=tags[PROJECT_TAG],
        state=found["EndpointStatus"],
        created=found["CreationTime"].timestamp(),
        modified=found["LastModifiedTime"].timestamp(),
        sha256=tags.get(HASH_TAG),
        commit=tags.get(COMMIT_TAG) or None,
        caller=tags.get(CALLER_TAG) or None,
        hosts=on,
        price=_price(on, region),
    )


def _host(variant: Mapping[str, Any]) -> Host:
    serverless = variant.get("CurrentServerlessConfig") or variant.get("ServerlessConfig")
    weight = float(variant.get("CurrentWeight", variant.get("InitialVariantWeight", 1.0)))
    if serverless:
        return Host(variant["VariantName"], None, 0, serverless["MemorySizeInMB"], weight)
    count = variant.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 1))
    return Host(variant["VariantName"], variant.get("InstanceType"), count, None, weight)


def _price(on: tuple[Host, ...], region: str) -> Price | None:
    """Of all instances together; None if that of one of them is not known."""
    prices = [(host.count, hourly(host.instance_type or "", region)) for host in on]
    known = [(count, price) for count, price in prices if price is not None]
    if not known or len(known) < len(prices):
        return None
    total = sum(count * price.usd for count, price in known)
    return Price(total, min(price.as_of for _, price in known))
