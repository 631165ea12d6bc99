"""What SageMaker refuses beyond types, in its own words."""

import json
from typing import Any

import pytest

from hotfire.errors import ValidationError, ValidationException
from hotfire.region.wire import Request, Service

ENDPOINT_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
VARIANT = {"VariantName": "v", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, "ModelName": "m"}


@pytest.fixture(scope="module")
def sagemaker() -> Service:
    return Service("sagemaker")


def problems(sagemaker: Service, operation: str, **params: Any) -> list[str]:
    """What is wrong with a request, each without the words that all have."""
    request = Request(
        "POST", "/", "", {"x-amz-target": f"SageMaker.{operation}"}, json.dumps(params).encode()
    )
    try:
        sagemaker.parse(request)
    except ValidationException as error:
        count, found = error.message.split(" detected: ")
        assert count.split()[0] == str(len(found.split("; ")))
        return [
            one.replace(" failed to satisfy constraint: Member must", " must") for one in found.split("; ")
        ]
    return []


def test_the_whole_message_of_one_problem(sagemaker: Service) -> None:
    body = json.dumps({"ModelName": "x" * 64}).encode()
    with pytest.raises(ValidationException) as refused:
        sagemaker.parse(Request("POST", "/", "", {"x-amz-target": "SageMaker.DescribeModel"}, body))
    assert refused.value.message == (
        f"1 validation error detected: Value '{'x' * 64}' at 'modelName' failed to satisfy constraint: "
        "Member must have length less than or equal to 63"
    )


def test_the_whole_message_of_two(sagemaker: Service) -> None:
    with pytest.raises(ValidationException) as refused:
        sagemaker.parse(Request("POST", "/", "", {"x-amz-target": "SageMaker.CreateEndpoint"}, b"{}"))
    assert refused.value.message == (
        "2 validation errors detected: "
        "Value null at 'endpointName' failed to satisfy constraint: Member must not be null; "
        "Value null at 'endpointConfigName' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize("name", ["a", "a-b", "A1", "x" * 63])
def test_names_that_are_taken(sagemaker: Service, name: str) -> None:
    assert problems(sagemaker, "DescribeEndpoint", EndpointName=name) == []


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a b", "é", "a\n", "a/b"])
def test_names_that_are_not(sagemaker: Service, name: str) -> None:
    assert problems(sagemaker, "DescribeEndpoint", EndpointName=name) == [
        f"Value '{name}' at 'endpointName' must satisfy regular expression pattern: {ENDPOINT_NAME}"
    ]


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"MaxResults": 0}, "Value '0' at 'maxResults' must have value greater than or equal to 1"),
        ({"MaxResults": 101}, "Value '101' at 'maxResults' must have value less than or equal to 100"),
        ({"SortBy": "Size"}, "Value 'Size' at 'sortBy' must satisfy enum value set: [Name, CreationTime]"),
        (
            {"NameContains": "*"},
            "Value '*' at 'nameContains' must satisfy regular expression pattern: [a-zA-Z0-9-]+",
        ),
    ],
)
def test_scalars_out_of_bounds(sagemaker: Service, params: dict[str, Any], problem: str) -> None:
    assert problems(sagemaker, "ListModels", **params) == [problem]


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"ProductionVariants": []},
            "Value '[]' at 'productionVariants' must have length greater than or equal to 1",
        ),
        (
            {"ProductionVariants": [VARIANT] * 10 + [{}]},
            "Value null at 'productionVariants.11.member.variantName' must not be null",
        ),
        ({"ProductionVariants": [None]}, "Value null at 'productionVariants.1.member' must not be null"),
        (
            {"ProductionVariants": [VARIANT, {**VARIANT, "InitialVariantWeight": -1}]},
            "Value '-1.0' at 'productionVariants.2.member.initialVariantWeight' must have value greater "
            "than or equal to 0",
        ),
        (
            {"ProductionVariants": [{**VARIANT, "ServerlessConfig": {"MaxConcurrency": 1}}]},
            "Value null at 'productionVariants.1.member.serverlessConfig.memorySizeInMB' must not be null",
        ),
    ],
)
def test_paths_of_what_is_inside(sagemaker: Service, params: dict[str, Any], problem: str) -> None:
    assert problem in problems(sagemaker, "CreateEndpointConfig", EndpointConfigName="c", **params)


def test_too_many_of_a_list(sagemaker: Service) -> None:
    (problem,) = problems(
        sagemaker, "CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[VARIANT] * 11
    )
    assert problem.endswith("…' at 'productionVariants' must have length less than or equal to 10")


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (
            {"1A": "x"},
            "Value '1A' at 'primaryContainer.environment.key' must satisfy regular expression pattern: "
            "[a-zA-Z_][a-zA-Z0-9_]*",
        ),
        (
            {"A": "x" * 1025},
            f"Value '{'x' * 256}…' at 'primaryContainer.environment.A.member' must have length less than or "
            "equal to 1024",
        ),
        ({"A": None}, "Value null at 'primaryContainer.environment.A.member' must not be null"),
    ],
)
def test_keys_and_values_of_a_map(sagemaker: Service, environment: dict[str, Any], problem: str) -> None:
    container = {"Image": "i", "Environment": environment}
    assert problems(sagemaker, "CreateModel", ModelName="m", PrimaryContainer=container) == [problem]


def test_too_many_of_a_map(sagemaker: Service) -> None:
    container = {"Image": "i", "Environment": {f"A{number}": "" for number in range(101)}}
    (problem,) = problems(sagemaker, "CreateModel", ModelName="m", PrimaryContainer=container)
    assert problem.endswith("at 'primaryContainer.environment' must have length less than or equal to 100")


@pytest.mark.parametrize(
    "address", ["s3://b/m.tar.gz", "https://b/m", "file:///m.tar.gz", "file://build/m.tar.gz"]
)
def test_addresses_of_model_data_that_are_taken(sagemaker: Service, address: str) -> None:
    container = {"Image": "i", "ModelDataUrl": address}
    assert problems(sagemaker, "CreateModel", ModelName="m", PrimaryContainer=container) == []


@pytest.mark.parametrize("address", ["ftp://b/m", "/m.tar.gz", "s3:/b", "xfile:///m"])
def test_addresses_of_model_data_that_are_not(sagemaker: Service, address: str) -> None:
    container = {"Image": "i", "ModelDataUrl": address}
    assert problems(sagemaker, "CreateModel", ModelName="m", PrimaryContainer=container) == [
        f"Value '{address}' at 'primaryContainer.modelDataUrl' must satisfy regular expression pattern: "
        "(https|s3)://([^/]+)/?(.*)"
    ]


def test_a_file_is_no_repository(sagemaker: Service) -> None:
    config = {"RepositoryUrl": "file:///r"}
    assert len(problems(sagemaker, "CreateCodeRepository", CodeRepositoryName="r", GitConfig=config)) == 1


@pytest.mark.parametrize(
    "instance_type",
    ["local", "local_process", "local_container", "local_container_gpu", "local_gpu", "ray", "ml.m5.large"],
)
def test_instance_types_that_are_taken(sagemaker: Service, instance_type: str) -> None:
    variants = [{**VARIANT, "InstanceType": instance_type}]
    params = {"EndpointConfigName": "c", "ProductionVariants": variants}
    assert problems(sagemaker, "CreateEndpointConfig", **params) == []


def test_an_unknown_instance_type_is_told_ours_first(sagemaker: Service) -> None:
    variants = [{**VARIANT, "InstanceType": "ml.none"}]
    params = {"EndpointConfigName": "c", "ProductionVariants": variants}
    (problem,) = problems(sagemaker, "CreateEndpointConfig", **params)
    assert problem.startswith(
        "Value 'ml.none' at 'productionVariants.1.member.instanceType' must satisfy enum value set: [local, "
    )


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"TabularJobConfig": {"TargetAttributeName": "y"}}, 0),
        ({"OfTomorrow": {}}, 0),
        ({}, 1),
        ({"TabularJobConfig": {"TargetAttributeName": "y"}, "ImageClassificationJobConfig": {}}, 1),
    ],
)
def test_a_union_has_exactly_one_member(sagemaker: Service, config: dict[str, Any], count: int) -> None:
    found = problems(
        sagemaker,
        "CreateAutoMLJobV2",
        AutoMLJobName="j",
        AutoMLJobInputDataConfig=[
            {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b"}}}
        ],
        OutputDataConfig={"S3OutputPath": "s3://b"},
        RoleArn="arn:aws:iam::000000000000:role/r",
        AutoMLProblemTypeConfig=config,
    )
    assert len(found) == count
    assert all(
        "at 'autoMLProblemTypeConfig' must have exactly one of these set: [image" in one for one in found
    )


def test_a_sensitive_value_is_not_shown() -> None:
    headers = {"x-amzn-sagemaker-custom-attributes": "secret" * 200}
    with pytest.raises(ValidationError) as refused:
        Service("sagemaker-runtime").parse(Request("POST", "/endpoints/e/invocations", "", headers, b""))
    assert "Value at 'customAttributes' failed" in refused.value.message
    assert "secret" not in refused.value.message
