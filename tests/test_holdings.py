"""Every endpoint that Hotfire made, as an imitation of AWS lists it."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from hotfire.holdings import Host, holdings
from hotfire.prices import Price

ROLE = "arn:aws:iam::123456789012:role/service-role"
JANE = "arn:aws:iam::123456789012:user/jane"
TAGS = {
    "hotfire:project": "news",
    "hotfire:hash": "a" * 64,
    "hotfire:commit": "abc1234",
    "hotfire:caller": JANE,
}


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1")
        client.create_model(ModelName="m", ExecutionRoleArn=ROLE)
        yield client


def make(sagemaker: Any, name: str, tags: dict[str, str], *kinds: str, count: int = 1) -> None:
    variants = [
        {
            "VariantName": f"v{number}",
            "ModelName": "m",
            "InstanceType": kind,
            "InitialInstanceCount": count,
            "InitialVariantWeight": 1.0,
        }
        for number, kind in enumerate(kinds or ("ml.m5.large",))
    ]
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-config", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config", Tags=listed)


def test_an_endpoint_with_all_that_is_known_of_it(sagemaker: Any) -> None:
    make(sagemaker, "news", TAGS, count=2)
    (found,) = holdings(sagemaker)
    assert (found.endpoint, found.project, found.state) == ("news", "news", "InService")
    assert (found.sha256, found.commit, found.caller) == ("a" * 64, "abc1234", JANE)
    assert found.hosts == (Host("v0", "ml.m5.large", 2, None, 1.0),)
    assert found.price == Price(0.23, date(2024, 12, 31))
    assert found.created > 0


def test_what_others_made_is_left_out(sagemaker: Any) -> None:
    make(sagemaker, "ours", TAGS)
    make(sagemaker, "theirs", {"team": "x"})
    assert [one.endpoint for one in holdings(sagemaker)] == ["ours"]


def test_all_pages_are_read(sagemaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotfire.holdings._PAGE", 2)
    for number in range(5):
        make(sagemaker, f"news-{number}", TAGS)
    assert sorted(one.endpoint for one in holdings(sagemaker)) == [f"news-{number}" for number in range(5)]


def test_an_unknown_price_makes_the_sum_unknown(sagemaker: Any) -> None:
    make(sagemaker, "news", TAGS, "ml.m5.large", "ml.m5d.large")
    (found,) = holdings(sagemaker)
    assert [str(host) for host in found.hosts] == ["1 × ml.m5.large", "1 × ml.m5d.large"]
    assert found.price is None


def test_a_config_that_is_gone_leaves_what_the_endpoint_says(sagemaker: Any) -> None:
    make(sagemaker, "news", TAGS)
    sagemaker.delete_endpoint_config(EndpointConfigName="news-config")
    (found,) = holdings(sagemaker)
    assert [host.variant for host in found.hosts] == ["v0"]


def test_a_serverless_variant_has_memory_and_no_price(sagemaker: Any) -> None:
    variant = {
        "VariantName": "v",
        "ModelName": "m",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    tags = [{"Key": "hotfire:project", "Value": "news"}]
    sagemaker.create_endpoint(EndpointName="news", EndpointConfigName="c", Tags=tags)
    (found,) = holdings(sagemaker)
    assert (str(found.hosts[0]), found.price) == ("serverless, 2048 MB", None)


def test_without_endpoints_there_is_nothing(sagemaker: Any) -> None:
    assert list(holdings(sagemaker)) == []
