"""What the region does not have is refused as AWS refuses what it does not know; the log says what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Machine


@pytest.fixture(scope="module")
def region(machine: Machine) -> Machine:
    machine.hotfire("up")
    return machine


@pytest.fixture
def refused(region: Machine) -> Callable[..., tuple[int, str, str]]:
    """`refused(service, method)`: status, code and message of what boto3 raises."""

    def refused(service: str, method: str, **params: Any) -> tuple[int, str, str]:
        with (
            region.client(service, retries={"total_max_attempts": 1}) as client,
            pytest.raises(ClientError) as caught,
        ):
            getattr(client, method)(**params)
        answer = caught.value.response
        return (
            answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"]["Code"],
            answer["Error"]["Message"],
        )

    return refused


def log(region: Machine) -> str:
    return (region.home / "region.log").read_text()


@pytest.mark.parametrize(
    ("service", "method", "params", "status", "code", "name"),
    [
        ("sagemaker", "list_training_jobs", {}, 400, "UnknownOperationException", "ListTrainingJobs"),
        ("logs", "describe_metric_filters", {}, 400, "UnknownOperationException", "DescribeMetricFilters"),
        ("iam", "list_users", {}, 400, "InvalidAction", "ListUsers"),
        ("sts", "get_session_token", {}, 400, "InvalidAction", "GetSessionToken"),
    ],
)
def test_an_operation_of_a_service_that_is_there(
    region: Machine,
    refused: Callable[..., tuple[int, str, str]],
    service: str,
    method: str,
    params: dict[str, Any],
    status: int,
    code: str,
    name: str,
) -> None:
    message = f"This local region of Hotfire does not have {name} of {service}."
    assert refused(service, method, **params) == (status, code, message)
    assert message in log(region)


@pytest.mark.parametrize(
    ("service", "method", "status", "code", "asked"),
    [
        ("dynamodb", "list_tables", 400, "UnknownOperationException", "DynamoDB_20120810.ListTables"),
        ("sns", "list_topics", 400, "InvalidAction", "ListTopics"),
        ("ec2", "describe_instances", 400, "InvalidAction", "DescribeInstances"),
        ("lambda", "list_functions", 404, "UnknownOperationException", "GET /2015-03-31/functions"),
        ("route53", "list_hosted_zones", 404, "UnknownOperationException", "GET /2013-04-01/hostedzone"),
    ],
)
def test_a_service_that_is_not_there(
    region: Machine,
    refused: Callable[..., tuple[int, str, str]],
    service: str,
    method: str,
    status: int,
    code: str,
    asked: str,
) -> None:
    found_status, found_code, message = refused(service, method)
    assert (found_status, found_code) == (status, code)
    assert message.startswith(f"This local region of Hotfire has no service '{service}', which {asked}")
    assert "sagemaker-runtime" in message
    assert message in log(region)


def test_the_region_goes_on(region: Machine) -> None:
    with region.client("sts") as client:
        assert client.get_caller_identity()["Account"] == "000000000000"
