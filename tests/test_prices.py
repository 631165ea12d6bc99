"""What is said of prices, and what is not."""

from datetime import date

import pytest

from hotfire.prices import Price, hourly


def test_a_known_price_has_its_date() -> None:
    assert hourly("ml.m5.large", "us-east-1") == Price(0.115, date(2024, 12, 31))


def test_prices_are_of_a_region() -> None:
    prices = [hourly("ml.m5.xlarge", region) for region in ("us-east-1", "eu-west-1")]
    assert [price and price.usd for price in prices] == [0.23, 0.257]


@pytest.mark.parametrize(
    ("kind", "region"),
    [
        ("ml.m5.large", "eu-west-1"),
        ("ml.m5.large", "sa-east-1"),
        ("ml.p5.48xlarge", "us-east-1"),
        ("local", ""),
    ],
)
def test_what_is_not_known_is_not_guessed(kind: str, region: str) -> None:
    assert hourly(kind, region) is None


def test_a_larger_size_of_a_family_costs_more() -> None:
    sizes = ["ml.g4dn.xlarge", "ml.g4dn.2xlarge", "ml.g4dn.4xlarge", "ml.g4dn.8xlarge", "ml.g4dn.12xlarge"]
    prices = [price.usd for kind in sizes if (price := hourly(kind, "us-east-1"))]
    assert prices == sorted(prices)
    assert len(prices) == len(sizes)
