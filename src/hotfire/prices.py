"""What an instance of a hosted endpoint costs an hour, as far as it was published; for orientation only.

us-east-1: figures of 2024 on which several public lists agree, as do AWS's own samples; ml.m5.large was
still so by AWS's price list in July 2026. eu-west-1: the bill of December 2023 that AWS's samples publish.
An instance type that is not here is one for which nothing certain was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

_US_EAST_1: Mapping[str, float] = {
    "ml.t2.medium": 0.056,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.9xlarge": 1.836,
    "ml.r5.large": 0.151,
    "ml.r5.2xlarge": 0.605,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g4dn.4xlarge": 1.505,
    "ml.g4dn.8xlarge": 2.72,
    "ml.g4dn.12xlarge": 4.89,
    "ml.g4dn.16xlarge": 5.44,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g5.12xlarge": 7.09,
    "ml.g5.48xlarge": 20.36,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
    "ml.p3.16xlarge": 28.152,
    "ml.inf2.xlarge": 0.99,
}
_EU_WEST_1: Mapping[str, float] = {
    "ml.m5.xlarge": 0.257,
    "ml.g4dn.xlarge": 0.821,
    "ml.g4dn.4xlarge": 1.678,
    "ml.g4dn.12xlarge": 5.453,
    "ml.g5.12xlarge": 7.91,
}


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars an hour, on demand, without tax, storage and traffic; as published on `as_of` or before."""

    usd: float
    as_of: date


_TABLES = {
    "us-east-1": (_US_EAST_1, date(2024, 12, 31)),
    "eu-west-1": (_EU_WEST_1, date(2023, 12, 31)),
}


def hourly(instance_type: str, region: str) -> Price | None:
    """The price of one instance, or None if it is not known for that region."""
    table, as_of = _TABLES.get(region, ({}, date.min))
    usd = table.get(instance_type)
    return None if usd is None else Price(usd, as_of)


def priced(region: str) -> tuple[str, ...]:
    """The instance types whose price is known for that region."""
    table, _ = _TABLES.get(region, ({}, date.min))
    return tuple(table)
