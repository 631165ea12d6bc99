"""SageMaker's control plane as boto3 sees it: its own client, its own waiters and paginators."""

import asyncio
import datetime
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, WaiterError

from hotfire.errors import ServiceError
from hotfire.region.caller import Caller
from hotfire.region.control import Control
from hotfire.region.store import Store
from hotfire.region.wire import Request, Service
from hotfire.resources import Endpoint

ARN = "arn:aws:sagemaker:us-east-1:000000000000:"
ROLE = "arn:aws:iam::000000000000:role/r"
VARIANT = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {
    "VariantName": "v",
    "ModelName": "m",
    "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5},
}


class FakeEndpoints:
    """Endpoints whose states move when the test says so, or when somebody waits for them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waits: list[float] = []
        self.outcome = "InService"
        self.holders: dict[str, str] = {}
        self.updates: list[tuple[str, str]] = []

    def create(self, endpoint: Endpoint, tags: Mapping[str, str]) -> None:
        self.store.put_endpoint(endpoint, tags)

    def update(self, name: str, config_name: str) -> None:
        self.updates.append((name, config_name))
        self._move(name, "Updating")

    def delete(self, name: str) -> None:
        self._move(name, "Deleting")

    async def settled(self, name: str, wait: float) -> None:
        self.waits.append(wait)
        self.settle(name)

    def settle(self, name: str) -> None:
        endpoint = self.store.endpoint(name)
        assert endpoint is not None
        if endpoint.status == "Deleting":
            self.store.delete_endpoint(name)
        else:
            self._move(name, self.outcome)

    def variants(self, name: str) -> list[dict[str, Any]]:
        endpoint = self.store.endpoint(name)
        serves = endpoint is not None and endpoint.status in ("InService", "Updating")
        return [{"VariantName": "v", "CurrentWeight": 1.0, "CurrentInstanceCount": 1}] if serves else []

    def holder(self, name: str) -> str:
        return self.holders.get(name, "")

    def _move(self, name: str, status: str) -> None:
        old = self.store.endpoint(name)
        assert old is not None
        reason = "OSError: no weights" if status == "Failed" else ""
        self.store.put_endpoint(
            Endpoint(name, old.arn, old.config_name, status, old.created, old.modified + 1, reason)
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "hotfire.db") as store:
        yield store


@pytest.fixture
def endpoints(store: Store) -> FakeEndpoints:
    return FakeEndpoints(store)


Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def service() -> Service:
    return Service("sagemaker")


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """One for all tests: it keeps the service model that it has loaded."""
    return boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def connect(session: boto3.Session, service: Service, store: Store, endpoints: FakeEndpoints) -> Connect:
    """Makes boto3 clients whose requests go through the wire to one control plane, without a socket."""
    clock = itertools.count(1_800_000_000.25)
    control = Control(store, endpoints, clock=lambda: float(next(clock)))

    def connect(region: str = "us-east-1", wait: float = 20.0) -> Any:
        client = session.client("sagemaker", region_name=region)

        def send(request: Any, **_: Any) -> AWSResponse:
            headers = {
                name.lower(): value.decode() if isinstance(value, bytes) else value
                for name, value in request.headers.items()
            }
            answer = asyncio.run(_answer(service, control, Caller(region, wait), headers, request.body))
            return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.body))

        client.meta.events.register("before-send.sagemaker", send)
        return client

    return connect


async def _answer(
    service: Service, control: Control, caller: Caller, headers: dict[str, str], body: bytes
) -> Any:
    try:
        call = service.parse(Request("POST", "/", "", headers, body))
        result = control.operations[call.operation](caller, call.params)
        return service.answer(call, result if isinstance(result, dict) else await result)
    except ServiceError as error:
        return service.refuse(error, "request-id")


class _Raw:
    """The body of an answer, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect()


@pytest.fixture
def ready(client: Any) -> Any:
    """A client of a region that has the model `m` and the config `c`."""
    client.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, ExecutionRoleArn=ROLE)
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[VARIANT])
    return client


@pytest.fixture
def serving(ready: Any, endpoints: FakeEndpoints) -> Any:
    """A client of a region whose endpoint `e` is in service."""
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    endpoints.settle("e")
    return ready


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """The code and the message of the error that a call gets."""
    with pytest.raises(ClientError) as refused:
        call(**params)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


def described(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


# Models


def test_a_model_is_described_as_it_was_given(client: Any) -> None:
    container = {
        "Image": "i",
        "ModelDataSource": {
            "S3DataSource": {"S3Uri": "file:///data/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        },
        "Environment": {"A": "1"},
    }
    created = client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    assert created["ModelArn"] == ARN + "model/m"
    assert described(client.describe_model(ModelName="m")) == {
        "ModelName": "m",
        "PrimaryContainer": container,
        "ExecutionRoleArn": ROLE,
        "EnableNetworkIsolation": False,
        "ModelArn": ARN + "model/m",
        "CreationTime": datetime.datetime.fromtimestamp(1_800_000_000.25, datetime.UTC),
    }


def test_network_isolation_is_described_as_it_was_given(client: Any) -> None:
    client.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, EnableNetworkIsolation=True)
    assert client.describe_model(ModelName="m")["EnableNetworkIsolation"] is True


@pytest.mark.parametrize(
    "containers", [{}, {"PrimaryContainer": {"Image": "i"}, "Containers": [{"Image": "i"}]}]
)
def test_a_model_has_one_way_to_name_its_containers(client: Any, containers: dict[str, Any]) -> None:
    code, message = refusal(client.create_model, ModelName="m", **containers)
    assert code == "ValidationException"
    assert message == "Give one of PrimaryContainer and Containers, and not both."


def test_an_unknown_model_is_not_found(client: Any) -> None:
    missing = ("ValidationException", f'Could not find model "{ARN}model/x".')
    assert refusal(client.describe_model, ModelName="x") == missing
    assert refusal(client.delete_model, ModelName="x") == missing


def test_a_models_name_is_used_once(ready: Any) -> None:
    assert refusal(ready.create_model, ModelName="m", PrimaryContainer={"Image": "j"}) == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}model/m".',
    )


def test_a_deleted_models_name_is_free_again(ready: Any) -> None:
    ready.delete_model(ModelName="m")
    ready.create_model(ModelName="m", PrimaryContainer={"Image": "j"})
    assert ready.describe_model(ModelName="m")["PrimaryContainer"]["Image"] == "j"


def test_a_model_may_go_before_its_config(ready: Any) -> None:
    ready.delete_model(ModelName="m")
    assert ready.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"][0]["ModelName"] == "m"


# Endpoint configs


def test_a_config_is_described_as_it_was_given(ready: Any) -> None:
    config = described(ready.describe_endpoint_config(EndpointConfigName="c"))
    assert config.pop("CreationTime") > datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    assert config == {
        "EndpointConfigName": "c",
        "EndpointConfigArn": ARN + "endpoint-config/c",
        "ProductionVariants": [{**VARIANT, "InitialVariantWeight": 1.0}],
    }


def test_a_serverless_variant_needs_no_instance(ready: Any) -> None:
    ready.create_endpoint_config(EndpointConfigName="s", ProductionVariants=[SERVERLESS])
    (variant,) = ready.describe_endpoint_config(EndpointConfigName="s")["ProductionVariants"]
    assert variant["ServerlessConfig"] == SERVERLESS["ServerlessConfig"]


@pytest.mark.parametrize("instance_type", ["local", "local_process", "local_container", "ray"])
def test_the_regions_own_instance_types_are_taken(ready: Any, instance_type: str) -> None:
    variant = {**VARIANT, "InstanceType": instance_type}
    ready.create_endpoint_config(EndpointConfigName="l", ProductionVariants=[variant])
    (described,) = ready.describe_endpoint_config(EndpointConfigName="l")["ProductionVariants"]
    assert described["InstanceType"] == instance_type


def without(variant: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in variant.items() if key != name}


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{**VARIANT, "ModelName": "x"}], f'Could not find model "{ARN}model/x".'),
        ([VARIANT, VARIANT], 'Two production variants are named "v"; names must differ.'),
        (
            [without(VARIANT, "ModelName")],
            'Production variant "v" has no ModelName. Inference components are not supported here.',
        ),
        (
            [without(VARIANT, "InstanceType")],
            'Production variant "v" must have either InstanceType or ServerlessConfig.',
        ),
        ([VARIANT | SERVERLESS], 'Production variant "v" must have either InstanceType or ServerlessConfig.'),
        (
            [without(VARIANT, "InitialInstanceCount")],
            'Production variant "v" must have an InitialInstanceCount.',
        ),
        (
            [SERVERLESS, {**VARIANT, "VariantName": "w"}],
            "A serverless production variant must be the only one of its endpoint.",
        ),
        (
            [{**VARIANT, "InitialVariantWeight": 0.0}],
            "At least one production variant must have a weight above 0.",
        ),
    ],
)
def test_variants_that_cannot_serve_are_refused(ready: Any, variants: list[Any], message: str) -> None:
    refused = refusal(ready.create_endpoint_config, EndpointConfigName="n", ProductionVariants=variants)
    assert refused == ("ValidationException", message)
    assert refusal(ready.describe_endpoint_config, EndpointConfigName="n")[1].startswith("Could not find")


OUTPUTS = {"S3OutputPath": "s3://b/out", "S3FailurePath": "file:///failed"}


def test_a_config_that_queues_requests_is_kept(ready: Any, caplog: pytest.LogCaptureFixture) -> None:
    topic = "arn:aws:sns:eu-west-1:000000000000:t"
    queued = {
        "OutputConfig": {**OUTPUTS, "NotificationConfig": {"SuccessTopic": topic}},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 7},
    }
    ready.create_endpoint_config(
        EndpointConfigName="q", ProductionVariants=[VARIANT], AsyncInferenceConfig=queued
    )
    assert ready.describe_endpoint_config(EndpointConfigName="q")["AsyncInferenceConfig"] == queued
    assert "NotificationConfig has no effect here" in caplog.text
    ready.create_endpoint(EndpointName="q", EndpointConfigName="q")
    assert ready.describe_endpoint(EndpointName="q")["AsyncInferenceConfig"] == queued


@pytest.mark.parametrize(
    ("variant", "outputs", "message"),
    [
        (VARIANT, {"S3FailurePath": "s3://b/f"}, "AsyncInferenceConfig has no OutputConfig.S3OutputPath: "),
        (VARIANT, {"S3OutputPath": "https://b/o"}, "S3OutputPath is https://b/o: the local region writes"),
        (VARIANT, {**OUTPUTS, "S3FailurePath": "https://b/f"}, "S3FailurePath is https://b/f: the local "),
        (SERVERLESS, OUTPUTS, "A serverless production variant cannot have an AsyncInferenceConfig."),
    ],
)
def test_a_config_whose_requests_could_not_be_answered_is_refused(
    ready: Any, variant: Any, outputs: dict[str, str], message: str
) -> None:
    code, said = refusal(
        ready.create_endpoint_config,
        EndpointConfigName="q",
        ProductionVariants=[variant],
        AsyncInferenceConfig={"OutputConfig": outputs},
    )
    assert (code, said[: len(message)]) == ("ValidationException", message)


def test_a_configs_name_is_used_once(ready: Any) -> None:
    assert refusal(ready.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[VARIANT]) == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{ARN}endpoint-config/c".',
    )


def test_an_unknown_config_is_not_found(ready: Any) -> None:
    missing = ("ValidationException", f'Could not find endpoint configuration "{ARN}endpoint-config/x".')
    assert refusal(ready.describe_endpoint_config, EndpointConfigName="x") == missing
    assert refusal(ready.delete_endpoint_config, EndpointConfigName="x") == missing
    assert refusal(ready.create_endpoint, EndpointName="e", EndpointConfigName="x") == missing


def test_a_config_of_an_endpoint_in_service_may_go(serving: Any) -> None:
    serving.delete_endpoint_config(EndpointConfigName="c")
    assert serving.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
    assert serving.list_endpoint_configs()["EndpointConfigs"] == []


def test_a_config_of_an_endpoint_being_created_must_not_go(ready: Any) -> None:
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    code, message = refusal(ready.delete_endpoint_config, EndpointConfigName="c")
    assert code == "ValidationException"
    assert message.startswith(f'Cannot delete endpoint configuration "{ARN}endpoint-config/c"')
    assert 'in use by endpoint "e", whose state is Creating' in message


@pytest.mark.parametrize("config", ["c", "c2"])
def test_configs_of_an_endpoint_being_updated_must_not_go(serving: Any, config: str) -> None:
    serving.create_endpoint_config(EndpointConfigName="c2", ProductionVariants=[VARIANT])
    serving.update_endpoint(EndpointName="e", EndpointConfigName="c2")
    _, message = refusal(serving.delete_endpoint_config, EndpointConfigName=config)
    assert 'in use by endpoint "e", whose state is Updating' in message


# Endpoints


def test_an_endpoint_is_described(serving: Any) -> None:
    endpoint = described(serving.describe_endpoint(EndpointName="e"))
    created = endpoint.pop("CreationTime")
    assert endpoint.pop("LastModifiedTime") > created
    assert endpoint == {
        "EndpointName": "e",
        "EndpointArn": ARN + "endpoint/e",
        "EndpointConfigName": "c",
        "EndpointStatus": "InService",
        "ProductionVariants": [{"VariantName": "v", "CurrentWeight": 1.0, "CurrentInstanceCount": 1}],
    }


def test_an_endpoint_being_created_has_no_variants_yet(ready: Any, connect: Connect) -> None:
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    endpoint = connect(wait=0.0).describe_endpoint(EndpointName="e")
    assert endpoint["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in endpoint
    assert "FailureReason" not in endpoint


def test_a_description_is_held_until_the_state_is_still(ready: Any, endpoints: FakeEndpoints) -> None:
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    assert ready.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"
    assert endpoints.waits == [20.0]


def test_a_still_endpoint_is_described_at_once(serving: Any, endpoints: FakeEndpoints) -> None:
    serving.describe_endpoint(EndpointName="e")
    assert endpoints.waits == []


def test_nobody_is_held_longer_than_twenty_seconds(
    ready: Any, connect: Connect, endpoints: FakeEndpoints
) -> None:
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    connect(wait=3600.0).describe_endpoint(EndpointName="e")
    assert endpoints.waits == [20.0]


def test_a_failed_endpoint_says_why(ready: Any, endpoints: FakeEndpoints) -> None:
    endpoints.outcome = "Failed"
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    endpoint = ready.describe_endpoint(EndpointName="e")
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"] == "OSError: no weights"
    with pytest.raises(WaiterError, match="Failed"):
        ready.get_waiter("endpoint_in_service").wait(EndpointName="e")


def test_boto3s_waiters_see_the_end_at_their_first_look(ready: Any, endpoints: FakeEndpoints) -> None:
    once = {"Delay": 0, "MaxAttempts": 1}
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c")
    ready.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=once)
    ready.delete_endpoint(EndpointName="e")
    ready.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig=once)
    assert ready.list_endpoints()["Endpoints"] == []
    assert len(endpoints.waits) == 2


def test_a_long_reason_is_cut_to_what_the_api_allows(serving: Any, store: Store) -> None:
    store.put_endpoint(Endpoint("e", ARN + "endpoint/e", "c", "Failed", 1.0, 2.0, "x" * 5000))
    assert serving.describe_endpoint(EndpointName="e")["FailureReason"] == "x" * 1024


def test_an_endpoints_config_is_not_needed_to_describe_it(serving: Any) -> None:
    serving.delete_endpoint_config(EndpointConfigName="c")
    assert serving.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "c"


def test_an_asynchronous_endpoint_is_described_as_one(ready: Any, endpoints: FakeEndpoints) -> None:
    output = {"OutputConfig": {"S3OutputPath": "s3://b/out"}}
    ready.create_endpoint_config(
        EndpointConfigName="a", ProductionVariants=[VARIANT], AsyncInferenceConfig=output
    )
    ready.create_endpoint(EndpointName="e", EndpointConfigName="a")
    assert ready.describe_endpoint(EndpointName="e")["AsyncInferenceConfig"] == output


@pytest.mark.parametrize("name", ["e", "E"])
def test_an_endpoints_name_is_used_once_in_whichever_case(serving: Any, name: str) -> None:
    assert refusal(serving.create_endpoint, EndpointName=name, EndpointConfigName="c") == (
        "ValidationException",
        f'Cannot create already existing endpoint "{ARN}endpoint/e".',
    )


def test_an_unknown_endpoint_is_not_found(ready: Any) -> None:
    missing = ("ValidationException", f'Could not find endpoint "{ARN}endpoint/x".')
    assert refusal(ready.describe_endpoint, EndpointName="x") == missing
    assert refusal(ready.update_endpoint, EndpointName="x", EndpointConfigName="c") == missing
    assert refusal(ready.delete_endpoint, EndpointName="x") == missing


def test_an_update_takes_more_than_it_uses(serving: Any, endpoints: FakeEndpoints) -> None:
    serving.create_endpoint_config(EndpointConfigName="c2", ProductionVariants=[VARIANT])
    answer = serving.update_endpoint(
        EndpointName="e", EndpointConfigName="c2", RetainAllVariantProperties=True
    )
    assert answer["EndpointArn"] == ARN + "endpoint/e"
    assert endpoints.updates == [("e", "c2")]


@pytest.mark.parametrize("status", ["Creating", "Updating", "Deleting", "RollingBack"])
def test_a_moving_endpoint_is_not_updated(serving: Any, store: Store, status: str) -> None:
    store.put_endpoint(Endpoint("e", ARN + "endpoint/e", "c", status, 1.0, 2.0))
    refused = refusal(serving.update_endpoint, EndpointName="e", EndpointConfigName="c")
    assert refused == ("ValidationException", f'Cannot update in-progress endpoint "{ARN}endpoint/e".')


def test_a_failed_endpoint_is_not_updated(serving: Any, store: Store) -> None:
    store.put_endpoint(Endpoint("e", ARN + "endpoint/e", "c", "Failed", 1.0, 2.0, "it broke"))
    _, message = refusal(serving.update_endpoint, EndpointName="e", EndpointConfigName="c")
    assert (
        message == f'Cannot update endpoint "{ARN}endpoint/e" in Failed state. Delete it and create it again.'
    )


def test_an_update_to_an_unknown_config_changes_nothing(serving: Any) -> None:
    _, message = refusal(serving.update_endpoint, EndpointName="e", EndpointConfigName="x")
    assert message == f'Could not find endpoint configuration "{ARN}endpoint-config/x".'
    assert serving.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService"


@pytest.mark.parametrize("status", ["Creating", "Updating", "InService", "Failed"])
def test_an_endpoint_is_deleted_in_any_state(serving: Any, store: Store, status: str) -> None:
    store.put_endpoint(Endpoint("e", ARN + "endpoint/e", "c", status, 1.0, 2.0))
    serving.delete_endpoint(EndpointName="e")
    assert refusal(serving.describe_endpoint, EndpointName="e")[1].startswith("Could not find")


def test_an_endpoint_is_deleted_once(serving: Any) -> None:
    serving.delete_endpoint(EndpointName="e")
    assert refusal(serving.delete_endpoint, EndpointName="e") == (
        "ValidationException",
        f'Cannot update in-progress endpoint "{ARN}endpoint/e".',
    )


# AWS region names


def test_a_resource_is_seen_under_every_region_name(ready: Any, connect: Connect) -> None:
    elsewhere = connect("eu-central-1")
    assert elsewhere.describe_model(ModelName="m")["ModelArn"] == ARN + "model/m"
    created = elsewhere.create_endpoint_config(EndpointConfigName="d", ProductionVariants=[VARIANT])
    assert created["EndpointConfigArn"] == "arn:aws:sagemaker:eu-central-1:000000000000:endpoint-config/d"


def test_arns_of_china_are_of_its_partition(connect: Connect) -> None:
    created = connect("cn-north-1").create_model(ModelName="m", PrimaryContainer={"Image": "i"})
    assert created["ModelArn"] == "arn:aws-cn:sagemaker:cn-north-1:000000000000:model/m"


# Tags


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def test_tags_of_the_making_are_listed(ready: Any) -> None:
    ready.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=tags(b="1", a="2"))
    assert ready.list_tags(ResourceArn=ARN + "endpoint/e")["Tags"] == tags(b="1", a="2")


def test_tags_are_no_part_of_the_description(client: Any) -> None:
    client.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, Tags=tags(a="1"))
    assert "Tags" not in client.describe_model(ModelName="m")


def test_tags_are_added_by_key(ready: Any) -> None:
    arn = ARN + "model/m"
    ready.add_tags(ResourceArn=arn, Tags=tags(a="1", b="2"))
    assert ready.add_tags(ResourceArn=arn, Tags=tags(b="3", c="4"))["Tags"] == tags(a="1", b="3", c="4")
    assert ready.list_tags(ResourceArn=arn)["Tags"] == tags(a="1", b="3", c="4")


def test_tags_are_deleted_by_key(ready: Any) -> None:
    arn = ARN + "endpoint-config/c"
    ready.add_tags(ResourceArn=arn, Tags=tags(a="1", b="2"))
    ready.delete_tags(ResourceArn=arn, TagKeys=["a", "absent"])
    assert ready.list_tags(ResourceArn=arn)["Tags"] == tags(b="2")


def test_tags_are_found_whichever_region_the_arn_names(ready: Any) -> None:
    ready.add_tags(ResourceArn="arn:aws:sagemaker:eu-west-1:000000000000:model/m", Tags=tags(a="1"))
    assert ready.list_tags(ResourceArn=ARN + "model/m")["Tags"] == tags(a="1")


def test_a_resource_has_fifty_tags_at_most(ready: Any) -> None:
    arn = ARN + "model/m"
    fifty = tags(**{f"t{number}": "" for number in range(50)})
    ready.add_tags(ResourceArn=arn, Tags=fifty)
    code, message = refusal(ready.add_tags, ResourceArn=arn, Tags=tags(more=""))
    assert (code, message) == ("ValidationException", f'"{arn}" would have 51 tags; at most 50 are allowed.')
    assert ready.list_tags(ResourceArn=arn)["Tags"] == fifty


def test_a_tag_given_twice_is_refused(client: Any) -> None:
    code, message = refusal(
        client.create_model, ModelName="m", PrimaryContainer={"Image": "i"}, Tags=tags(a="1") * 2
    )
    assert (code, message) == ("ValidationException", 'Tag key "a" is given twice.')
    assert client.list_models()["Models"] == []


@pytest.mark.parametrize(
    "resource", ["model/x", "endpoint/x", "endpoint-config/x", "training-job/x", "model"]
)
def test_tags_of_what_is_not_there_are_not_found(client: Any, resource: str) -> None:
    code, message = refusal(client.list_tags, ResourceArn=ARN + resource)
    assert (code, message) == ("ValidationException", f'Could not find resource "{ARN}{resource}".')


# Lists


@pytest.fixture
def many(client: Any) -> Any:
    """A client of a region with 25 models, made in the order of their names."""
    for number in range(25):
        client.create_model(ModelName=f"m{number:02}", PrimaryContainer={"Image": "i"})
    return client


def names(models: list[dict[str, Any]]) -> list[str]:
    return [model["ModelName"] for model in models]


def test_ten_are_listed_the_newest_first(many: Any) -> None:
    answer = many.list_models()
    assert names(answer["Models"]) == [f"m{number:02}" for number in range(24, 14, -1)]
    assert "NextToken" in answer


def test_a_paginator_sees_each_once(many: Any) -> None:
    pages = list(
        many.get_paginator("list_models").paginate(MaxResults=7, SortBy="Name", SortOrder="Ascending")
    )
    assert [len(page["Models"]) for page in pages] == [7, 7, 7, 4]
    assert [name for page in pages for name in names(page["Models"])] == [f"m{n:02}" for n in range(25)]


def test_a_full_last_page_has_no_token(many: Any) -> None:
    assert "NextToken" not in many.list_models(MaxResults=25)


def test_pages_stay_whole_while_models_come_and_go(many: Any) -> None:
    first = many.list_models(MaxResults=5)
    many.delete_model(ModelName="m20")
    many.create_model(ModelName="n", PrimaryContainer={"Image": "i"})
    second = many.list_models(MaxResults=5, NextToken=first["NextToken"])
    assert names(second["Models"]) == ["m19", "m18", "m17", "m16", "m15"]


@pytest.mark.parametrize("token", ["x", "e30=", "é", "WzEsMl0="])
def test_a_foreign_token_is_refused(many: Any, token: str) -> None:
    code, message = refusal(many.list_models, SortBy="Name", NextToken=token)
    assert code == "ValidationException"
    assert message.startswith("NextToken is not one that this operation gave")


def test_names_are_filtered_by_a_part(many: Any) -> None:
    assert names(many.list_models(NameContains="2")["Models"]) == [
        "m24",
        "m23",
        "m22",
        "m21",
        "m20",
        "m12",
        "m02",
    ]


def test_times_are_filtered_from_one_to_before_another(many: Any) -> None:
    after = many.describe_model(ModelName="m03")["CreationTime"]
    before = many.describe_model(ModelName="m06")["CreationTime"]
    chosen = many.list_models(CreationTimeAfter=after, CreationTimeBefore=before)["Models"]
    assert names(chosen) == ["m05", "m04", "m03"]


def test_configs_are_listed(ready: Any) -> None:
    ready.create_endpoint_config(EndpointConfigName="b", ProductionVariants=[VARIANT])
    answer = ready.list_endpoint_configs(SortBy="Name", SortOrder="Ascending")
    assert [config["EndpointConfigName"] for config in answer["EndpointConfigs"]] == ["b", "c"]
    assert answer["EndpointConfigs"][1]["EndpointConfigArn"] == ARN + "endpoint-config/c"


@pytest.fixture
def states(client: Any, store: Store) -> Any:
    """A client of a region with three endpoints in different states."""
    for name, status, modified in (("a", "InService", 30.0), ("b", "Failed", 20.0), ("c", "Creating", 10.0)):
        store.put_endpoint(Endpoint(name, f"{ARN}endpoint/{name}", "c", status, 5.0, modified))
    return client


@pytest.mark.parametrize(
    ("params", "listed"),
    [
        ({}, "cba"),
        ({"SortBy": "Status"}, "abc"),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, "cba"),
        ({"StatusEquals": "Failed"}, "b"),
        ({"LastModifiedTimeAfter": 10}, "ba"),
        ({"LastModifiedTimeBefore": 20}, "c"),
        ({"LastModifiedTimeAfter": 10, "LastModifiedTimeBefore": 30}, "b"),
        ({"NameContains": "z"}, ""),
    ],
)
def test_endpoints_are_listed(states: Any, params: dict[str, Any], listed: str) -> None:
    answer = states.list_endpoints(**params)
    assert "".join(endpoint["EndpointName"] for endpoint in answer["Endpoints"]) == listed


def test_a_listed_endpoint_has_its_state(states: Any) -> None:
    (endpoint,) = states.list_endpoints(NameContains="a")["Endpoints"]
    assert endpoint == {
        "EndpointName": "a",
        "EndpointArn": ARN + "endpoint/a",
        "EndpointStatus": "InService",
        "CreationTime": datetime.datetime.fromtimestamp(5.0, datetime.UTC),
        "LastModifiedTime": datetime.datetime.fromtimestamp(30.0, datetime.UTC),
    }


# What there is none of


def test_an_endpoint_is_not_monitored(serving: Any) -> None:
    assert serving.list_monitoring_schedules(EndpointName="e")["MonitoringScheduleSummaries"] == []


def test_an_endpoint_has_no_lineage(serving: Any) -> None:
    assert serving.list_contexts(SourceUri=ARN + "endpoint/e")["ContextSummaries"] == []


# Every operation


def test_every_operation_is_one_of_sagemakers(client: Any, store: Store, endpoints: FakeEndpoints) -> None:
    operations = Control(store, endpoints).operations
    assert set(operations) <= set(client.meta.service_model.operation_names)
    assert "CreateTrainingJob" not in operations
