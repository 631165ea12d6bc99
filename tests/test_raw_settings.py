from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from hotfire.environment import Environment
from hotfire.errors import ConfigError
from hotfire.raw_settings import check, merged, mistakes

ROOT = Path("/home/ada/news")
VARIANT = {"VariantName": "AllTraffic", "ModelName": "news-1", "InstanceType": "ml.m5.large"}
CAPTURE: dict[str, Any] = {"InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://bucket/captured"}
REQUEST = {"EndpointConfigName": "news-1-1", "ProductionVariants": [VARIANT]}


@pytest.fixture(scope="module")
def shape() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateEndpointConfig").input_shape


def test_what_is_not_there_is_added() -> None:
    assert merged({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}


def test_mappings_are_merged_by_key() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


def test_lists_of_mappings_are_merged_by_position() -> None:
    both = merged({"v": [{"a": 1}, {"b": 2}]}, {"v": [{"c": 3}]})
    assert both == {"v": [{"a": 1, "c": 3}, {"b": 2}]}


def test_a_longer_list_adds_items() -> None:
    assert merged([{"a": 1}], [{"b": 2}, {"c": 3}]) == [{"a": 1, "b": 2}, {"c": 3}]


def test_lists_of_other_things_are_replaced() -> None:
    assert merged({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}


def test_nothing_that_was_given_is_changed() -> None:
    request = {"v": [{"a": 1}]}
    merged(request, {"v": [{"a": 2}]})
    assert request == {"v": [{"a": 1}]}


def test_a_whole_request_has_no_mistake(shape: Any) -> None:
    assert list(mistakes(shape, REQUEST)) == []


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ({"Tags": {}}, ("Tags",), "must be a list, not {}"),
        ({"KmsKeyId": 1}, ("KmsKeyId",), "must be text, not 1"),
        ({"EnableNetworkIsolation": 1}, ("EnableNetworkIsolation",), "must be true or false, not 1"),
        ({"KmsKey": "a"}, ("KmsKey",), "is not a member of SageMaker's CreateEndpointConfigInput"),
        (
            {"ProductionVariants": [{"InitialInstanceCount": True}]},
            ("ProductionVariants", 0, "InitialInstanceCount"),
            "must be a whole number, not True",
        ),
        (
            {"ProductionVariants": [{"VolumeSizeInGB": 9000}]},
            ("ProductionVariants", 0, "VolumeSizeInGB"),
            "must be at most 512, not 9000",
        ),
        (
            {"DataCaptureConfig": CAPTURE | {"CaptureOptions": [{"CaptureMode": "Both"}]}},
            ("DataCaptureConfig", "CaptureOptions", 0, "CaptureMode"),
            "must be Input, Output or InputAndOutput, not 'Both'",
        ),
        (
            {"ProductionVariants": [{"RoutingConfig": {}}]},
            ("ProductionVariants", 0, "RoutingConfig"),
            "needs RoutingStrategy, as SageMaker's ProductionVariantRoutingConfig does",
        ),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_named_with_its_place(
    shape: Any, raw: dict[str, Any], path: tuple[Any, ...], message: str
) -> None:
    (found,) = mistakes(shape, merged(REQUEST, raw))
    assert (found.path, found.message) == (path, message)


def test_an_instance_type_that_botocore_does_not_know_is_left_to_aws(shape: Any) -> None:
    raw = {"ProductionVariants": [{"InstanceType": "ml.m99.large"}]}
    assert list(mistakes(shape, merged(REQUEST, raw))) == []


def test_a_slip_names_what_was_meant(shape: Any) -> None:
    (found,) = mistakes(shape, merged(REQUEST, {"DataCaptureConfg": {}}))
    assert found.advice == "Did you mean 'DataCaptureConfig'?"


def test_a_mistake_is_told_with_the_line_of_the_nearest_key(shape: Any) -> None:
    places = {
        ("endpoint_config",): (7, 5),
        ("endpoint_config", "ProductionVariants"): (8, 7),
        ("endpoint_config", "ProductionVariants", 0): (9, 9),
    }
    environment = Environment(
        name="production",
        file=ROOT / "config.yml",
        root=ROOT,
        model_name="news",
        examples=ROOT / "examples",
        places=places,
    )
    raw = {"ProductionVariants": [{"RoutingConfig": {}}]}
    with pytest.raises(ConfigError) as raised:
        check(environment, "endpoint_config", shape, merged(REQUEST, raw))
    assert raised.value.message == (
        f"{ROOT}/config.yml:9:9: endpoint_config.ProductionVariants.0.RoutingConfig needs RoutingStrategy, "
        "as SageMaker's ProductionVariantRoutingConfig does"
    )
