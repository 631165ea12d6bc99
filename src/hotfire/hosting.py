"""What a variant runs on, as one says it and as it is paid for; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hotfire.prices import hourly


@dataclass(frozen=True, slots=True)
class Hosting:
    """One variant's instances, or what it has in place of them (no `instance_type`)."""

    instance_type: str | None
    count: int = 1
    memory_mb: int = 0
    at_once: int = 0

    def __str__(self) -> str:
        if self.instance_type is None:
            return f"serverless with {self.memory_mb} MB, {self.at_once} at once"
        return f"{self.count} × {self.instance_type}"

    def priced(self, region: str) -> str:
        """The same, with what it costs an hour where that is known."""
        price = None if self.instance_type is None else hourly(self.instance_type, region)
        if price is None:
            return str(self)
        return f"{self} (about ${price.usd * self.count:.2f} an hour, as of {price.as_of:%B %Y})"


def hostings(variants: Iterable[Mapping[str, Any]]) -> tuple[Hosting, ...]:
    """Of variants as CreateEndpointConfig and DescribeEndpointConfig have them."""
    return tuple(_hosting(variant) for variant in variants)


def change(now: Sequence[Hosting], then: Sequence[Hosting], most: int, region: str) -> str:
    """What is to be paid for, and in place of what; `most` is how many autoscaling may make, 0 without."""
    text = " and ".join(one.priced(region) for one in then)
    if most:
        text += f", up to {most} by autoscaling"
    before = " and ".join(map(str, now))
    return f"{text}, in place of {before}" if before and now != then else text


def _hosting(variant: Mapping[str, Any]) -> Hosting:
    serverless = variant.get("ServerlessConfig")
    if serverless:
        memory, at_once = serverless["MemorySizeInMB"], serverless["MaxConcurrency"]
        return Hosting(None, memory_mb=memory, at_once=at_once)
    return Hosting(variant.get("InstanceType", "?"), variant.get("InitialInstanceCount", 1))
