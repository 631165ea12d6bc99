"""Who asks the API for what cannot be, by boto3 or by plain HTTP, is told what SageMaker would tell."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Machine, Project

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture(scope="module")
def deployed(machine: Machine, new_project: Callable[..., Any], tmp_path_factory: Any) -> Project:
    """A project, deployed; its resources are there to be asked for."""
    made: Project = new_project(tmp_path_factory.mktemp("project"))
    made.deploy()
    return made


@pytest.fixture(scope="module")
def names(deployed: Project) -> dict[str, str]:
    """The names of what the project deployed."""
    told = deployed.told("status")
    return {kind: told[kind] for kind in ("endpoint", "config", "model")}


@pytest.fixture(scope="module")
def client(machine: Machine, deployed: Project) -> Iterator[Any]:
    with machine.client() as client:
        yield client


@pytest.fixture(scope="module")
def runtime(machine: Machine, deployed: Project) -> Iterator[Any]:
    with machine.client("sagemaker-runtime") as client:
        yield client


def refused(call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
    """The status, code and message of an answer that is an error."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


class Http:
    """Requests that are written by hand."""

    def __init__(self, machine: Machine) -> None:
        exports = machine.exports()
        self._address = urlsplit(exports["AWS_ENDPOINT_URL"]).netloc
        self._key = exports["AWS_ACCESS_KEY_ID"]

    def send(
        self, path: str, body: str, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and, of JSON, body."""
        scope = f"{key or self._key}/20260101/us-east-1/sagemaker/aws4_request"
        signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request("POST", path, body.encode(), {"Authorization": signed, **given})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return response.status, answered, json.loads(content)

    def control(self, operation: str, body: str, **more: str) -> tuple[int, str, str]:
        """The status, code and message of SageMaker's API."""
        target = {"X_Amz_Target": f"SageMaker.{operation}", "Content_Type": "application/x-amz-json-1.1"}
        status, _, answer = self.send("/", body, **(target | more))
        return status, answer["__type"].rpartition("#")[2], answer["message"]

    def invoke(self, endpoint: str, body: str = "[1]", **more: str) -> tuple[int, str, str]:
        """The status, code and message of SageMaker Runtime's API."""
        status, headers, answer = self.send(f"/endpoints/{endpoint}/invocations", body, **more)
        code = headers["x-amzn-errortype"].partition(":")[0]
        return status, code, answer.get("message", answer.get("Message"))


@pytest.fixture(scope="module")
def by_hand(machine: Machine, deployed: Project) -> Http:
    return Http(machine)


@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("describe_endpoint", "EndpointName"),
        ("describe_endpoint_config", "EndpointConfigName"),
        ("describe_model", "ModelName"),
        ("delete_endpoint", "EndpointName"),
        ("delete_endpoint_config", "EndpointConfigName"),
        ("delete_model", "ModelName"),
    ],
)
def test_an_unknown_resource(client: Any, operation: str, key: str) -> None:
    status, code, message = refused(getattr(client, operation), **{key: "absent"})
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Could not find ")
    assert "absent" in message


def test_an_unknown_resource_by_hand(by_hand: Http) -> None:
    status, code, message = by_hand.control("DescribeEndpoint", '{"EndpointName": "absent"}')
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Could not find endpoint")


def test_an_endpoint_of_an_unknown_config(client: Any) -> None:
    status, code, message = refused(client.create_endpoint, EndpointName="e", EndpointConfigName="absent")
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Could not find endpoint configuration")


def test_a_config_of_an_unknown_model(client: Any) -> None:
    variant = {"VariantName": "v", "ModelName": "absent", "InitialInstanceCount": 1, "InstanceType": "local"}
    status, code, message = refused(
        client.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant]
    )
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Could not find model")


def test_a_name_that_is_too_long(client: Any) -> None:
    status, code, message = refused(client.create_model, ModelName="a" * 64, ExecutionRoleArn=ROLE)
    assert (status, code) == (400, "ValidationException")
    assert "modelName" in message
    assert "length less than or equal to 63" in message


def test_a_name_that_is_too_long_by_hand(by_hand: Http) -> None:
    body = json.dumps({"EndpointName": "a" * 64, "EndpointConfigName": "c"})
    status, code, message = by_hand.control("CreateEndpoint", body)
    assert (status, code) == (400, "ValidationException")
    assert "length less than or equal to 63" in message


def test_a_model_of_a_name_that_is_taken(client: Any, names: dict[str, str]) -> None:
    status, code, message = refused(
        client.create_model,
        ModelName=names["model"],
        PrimaryContainer={"Image": "any"},
        ExecutionRoleArn=ROLE,
    )
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Cannot create already existing model")


def test_a_config_of_a_name_that_is_taken(client: Any, names: dict[str, str]) -> None:
    variant = {
        "VariantName": "v",
        "ModelName": names["model"],
        "InitialInstanceCount": 1,
        "InstanceType": "local",
    }
    status, code, message = refused(
        client.create_endpoint_config, EndpointConfigName=names["config"], ProductionVariants=[variant]
    )
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Cannot create already existing endpoint configuration")


def test_an_endpoint_of_a_name_that_is_taken(client: Any, names: dict[str, str]) -> None:
    status, code, message = refused(
        client.create_endpoint, EndpointName=names["endpoint"], EndpointConfigName=names["config"]
    )
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Cannot create already existing endpoint")


def test_an_endpoint_of_a_name_that_is_taken_by_hand(by_hand: Http, names: dict[str, str]) -> None:
    body = json.dumps({"EndpointName": names["endpoint"], "EndpointConfigName": names["config"]})
    status, code, _ = by_hand.control("CreateEndpoint", body)
    assert (status, code) == (400, "ValidationException")


Make = Callable[[str, str], str]


@pytest.fixture(scope="module")
def endpoint_of(client: Any, deployed: Project) -> Iterator[Make]:
    """Creates an endpoint of that name whose model is loaded by this body of `model_fn`."""
    made: list[str] = []

    def make(name: str, body: str) -> str:
        handler = deployed.write(f"{name}/code/serve.py", f"def model_fn(model_dir):\n    {body}\n")
        source = {
            "S3Uri": f"{handler.parent.parent.as_uri()}/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
        container = {
            "ModelDataSource": {"S3DataSource": source},
            "Environment": {"SAGEMAKER_PROGRAM": "serve.py"},
        }
        variant = {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "local"}
        client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        made.append(name)
        return name

    yield make
    for name in made:
        client.delete_endpoint(EndpointName=name)
        client.delete_endpoint_config(EndpointConfigName=name)
        client.delete_model(ModelName=name)


@pytest.fixture(scope="module")
def creating(endpoint_of: Make, client: Any, deployed: Project) -> Iterator[str]:
    """The name of an endpoint whose model takes as long to load as the tests take."""
    go_on = deployed.folder / "go-on"
    wait = f"import pathlib, time\n    while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)"
    yield endpoint_of("creating", wait)
    go_on.touch()
    client.get_waiter("endpoint_in_service").wait(EndpointName="creating", WaiterConfig={"Delay": 1})


@pytest.fixture(scope="module")
def failed(endpoint_of: Make, client: Any) -> str:
    """The name of an endpoint whose model cannot be loaded."""
    name = endpoint_of("failed", "raise KeyError('weights')")
    # Answered when the state moves no more.
    assert client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Failed"
    return name


def test_a_config_that_an_endpoint_moves_to_is_kept(client: Any, creating: str) -> None:
    status, code, message = refused(client.delete_endpoint_config, EndpointConfigName=creating)
    assert (status, code) == (400, "ValidationException")
    assert 'because it is in use by endpoint "creating"' in message
    assert client.describe_endpoint_config(EndpointConfigName=creating)["EndpointConfigName"] == creating


def test_a_config_that_an_endpoint_moves_to_is_kept_by_hand(by_hand: Http, creating: str) -> None:
    body = json.dumps({"EndpointConfigName": creating})
    assert by_hand.control("DeleteEndpointConfig", body)[:2] == (400, "ValidationException")


def test_an_endpoint_on_its_way_is_not_updated(client: Any, creating: str, names: dict[str, str]) -> None:
    status, code, message = refused(
        client.update_endpoint, EndpointName=creating, EndpointConfigName=names["config"]
    )
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("Cannot update in-progress endpoint")


def test_an_endpoint_on_its_way_is_asked(runtime: Any, by_hand: Http, creating: str) -> None:
    status, code, message = refused(runtime.invoke_endpoint, EndpointName=creating, Body=b"[1]")
    assert (status, code) == (400, "ValidationError")
    assert "its state is Creating" in message
    assert by_hand.invoke(creating)[:2] == (400, "ValidationError")


def test_an_endpoint_that_failed_is_asked(runtime: Any, by_hand: Http, failed: str) -> None:
    status, code, message = refused(runtime.invoke_endpoint, EndpointName=failed, Body=b"[1]")
    assert (status, code) == (400, "ValidationError")
    assert "its state is Failed" in message
    assert "KeyError: 'weights'" in message
    assert by_hand.invoke(failed)[:2] == (400, "ValidationError")


def test_an_endpoint_that_failed_is_not_updated(client: Any, failed: str, names: dict[str, str]) -> None:
    status, code, message = refused(
        client.update_endpoint, EndpointName=failed, EndpointConfigName=names["config"]
    )
    assert (status, code) == (400, "ValidationException")
    assert "in Failed state" in message


def test_an_unknown_endpoint_is_asked(runtime: Any) -> None:
    status, code, message = refused(runtime.invoke_endpoint, EndpointName="absent", Body=b"[1]")
    assert (status, code) == (400, "ValidationError")
    assert message.startswith("Endpoint absent of account 000000000000 not found")


def test_an_unknown_endpoint_is_asked_by_hand(by_hand: Http) -> None:
    status, code, message = by_hand.invoke("absent")
    assert (status, code) == (400, "ValidationError")
    assert "not found" in message


def test_a_wrong_key(machine: Machine, deployed: Project) -> None:
    import boto3

    client = boto3.Session(
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x", region_name="us-east-1"
    ).client("sagemaker", endpoint_url=machine.exports()["AWS_ENDPOINT_URL"])
    status, code, message = refused(client.list_endpoints)
    assert (status, code) == (403, "UnrecognizedClientException")
    assert 'eval "$(hotfire env)"' in message


def test_a_wrong_key_by_hand(by_hand: Http, names: dict[str, str]) -> None:
    wrong = "HOTFIREAAAAAAAAAAAAA"
    assert by_hand.control("ListEndpoints", "{}", key=wrong)[:2] == (403, "UnrecognizedClientException")
    assert by_hand.invoke(names["endpoint"], key=wrong)[:2] == (403, "UnrecognizedClientException")


def test_a_foreign_host(by_hand: Http, names: dict[str, str]) -> None:
    foreign = "rebound.example:4774"
    assert by_hand.control("ListEndpoints", "{}", Host=foreign)[:2] == (403, "AccessDeniedException")
    status, code, message = by_hand.invoke(names["endpoint"], Host=foreign)
    assert (status, code) == (403, "AccessDeniedException")
    assert foreign in message


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_page_of_another_site(by_hand: Http, headers: dict[str, str]) -> None:
    assert by_hand.control("ListEndpoints", "{}", **headers)[:2] == (403, "AccessDeniedException")


def test_a_body_that_is_not_json(by_hand: Http) -> None:
    assert by_hand.control("DescribeEndpoint", "{")[:2] == (400, "SerializationException")


def test_an_operation_that_there_is_not(by_hand: Http) -> None:
    assert by_hand.control("MakeCoffee", "{}")[:2] == (400, "UnknownOperationException")


def test_what_the_model_raises_is_a_model_error(runtime: Any, deployed: Project) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=deployed.name, Body=b"not json", ContentType="application/json")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 500
    assert "JSONDecodeError" in answer["OriginalMessage"]
    assert deployed.name in answer["LogStreamArn"]
