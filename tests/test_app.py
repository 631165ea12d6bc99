"""The region as its clients reach it: boto3 and plain HTTP against a region's process."""

import http.client
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from hotfire.address import Address, Exposure, Key
from hotfire.region.caller import LONGEST_WAIT
from hotfire.region.wire import Request
from hotfire.server import app

WAITS = """\
import os, time
def model_fn(model_dir):
    while not os.path.exists({flag!r}): time.sleep(0.01)
def transform_fn(model, body, content_type, accept):
    print("asked", body)
    return body
"""
ROLE = "arn:aws:iam::000000000000:role/r"

Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """One for all tests: it keeps the service models that it has loaded."""
    return boto3.Session()


@pytest.fixture
def connect(region: Address, session: boto3.Session) -> Iterator[Connect]:
    """Makes clients of the region."""
    made: list[Any] = []

    def connect(service: str = "sagemaker", aws_region: str = "us-east-1", key: Key = region.key) -> Any:
        client = session.client(
            service,
            endpoint_url=region.url,
            region_name=aws_region,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def send(region: Address) -> Callable[..., tuple[int, Mapping[str, str], bytes]]:
    """Sends a request as it is written, and tells status, headers and body of the answer."""

    def send(
        method: str,
        path: str,
        headers: Mapping[str, str] = {},
        body: bytes = b"",  # not changed
    ) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(region.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    return send


def refused(call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def authorization(key: Key, service: str = "sagemaker") -> str:
    scope = f"{key.access_key}/20261122/us-east-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize("aws_region", ["us-east-1", "eu-central-1", "cn-north-1"])
def test_each_service_answers_its_own_client(connect: Connect, aws_region: str) -> None:
    partition = "aws-cn" if aws_region.startswith("cn-") else "aws"
    assert connect("sagemaker", aws_region).list_models()["Models"] == []
    assert connect("sts", aws_region).get_caller_identity()["Account"] == "000000000000"
    role = connect("iam", aws_region).get_role(RoleName="r")["Role"]
    # IAM is one for a whole partition, and signs for the region where that is.
    assert role["Arn"] == f"arn:{partition}:iam::000000000000:role/r"
    assert refused(connect("logs", aws_region).filter_log_events, logGroupName="g")[:2] == (
        400,
        "ResourceNotFoundException",
    )
    runtime = connect("sagemaker-runtime", aws_region)
    assert refused(runtime.invoke_endpoint, EndpointName="absent", Body=b"")[:2] == (400, "ValidationError")


@pytest.mark.parametrize(
    ("service", "call", "params", "code"),
    [
        ("sagemaker", "list_models", {}, "UnrecognizedClientException"),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b""},
            "UnrecognizedClientException",
        ),
        ("logs", "filter_log_events", {"logGroupName": "g"}, "UnrecognizedClientException"),
        ("sts", "get_caller_identity", {}, "InvalidClientTokenId"),
    ],
)
def test_a_wrong_key_is_told_as_at_aws_with_the_command_to_run(
    connect: Connect, service: str, call: str, params: dict[str, Any], code: str
) -> None:
    client = connect(service, key=Key("AKIAIOSFODNN7EXAMPLE", "secret"))
    status, found, message = refused(getattr(client, call), **params)
    assert (status, found) == (403, code)
    assert 'eval "$(hotfire env)"' in message


def test_a_service_that_the_region_does_not_have(connect: Connect) -> None:
    status, code, message = refused(connect("dynamodb").list_tables)
    assert (status, code) == (400, "UnknownOperationException")
    assert message.startswith("This local region of Hotfire has no service 'dynamodb', which")


def test_an_operation_that_the_region_does_not_have_is_logged(connect: Connect, region: Address) -> None:
    assert refused(connect().list_training_jobs) == (
        400,
        "UnknownOperationException",
        "This local region of Hotfire does not have ListTrainingJobs of sagemaker.",
    )
    assert "does not have ListTrainingJobs of sagemaker" in (region.home / "region.log").read_text()


def test_a_request_that_is_signed_in_its_address_is_answered(
    connect: Connect, send: Callable[..., Any], region: Address
) -> None:
    url = urlsplit(connect("sts").generate_presigned_url("get_caller_identity"))
    status, _, body = send("GET", f"{url.path}?{url.query}")
    assert (status, b"<Account>000000000000</Account>" in body) == (200, True)


FOREIGN = [
    {"Host": "evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_what_web_pages_elsewhere_send_is_refused(
    send: Callable[..., Any], region: Address, headers: dict[str, str]
) -> None:
    bearer = {"Authorization": region.key.bearer, **headers}
    signed = {"X-Amz-Target": "SageMaker.ListModels", "Authorization": authorization(region.key), **headers}
    answers = [
        send("POST", "/", signed, b"{}"),
        send("POST", "/endpoints/e/invocations", {"Authorization": authorization(region.key), **headers}),
        send("GET", "/_hotfire/hello?nonce=1", headers),
        send("POST", "/_hotfire/stop", bearer),
        send("GET", "/", headers),
        send("GET", "/style.css", headers),
    ]
    assert [status for status, _, _ in answers] == [403] * 6
    assert answers[0][1]["x-amzn-errortype"] == "AccessDeniedException"


@pytest.mark.parametrize("given", ["", "Bearer HOTFIREWRONG", "Basic abc"])
def test_the_private_api_asks_for_the_key(send: Callable[..., Any], given: str) -> None:
    status, _, body = send("POST", "/_hotfire/stop", {"Authorization": given} if given else {})
    assert (status, "another user's region" in json.loads(body)["error"]["message"]) == (403, True)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/_hotfire/fly", b"", "the region has no POST /_hotfire/fly"),
        ("/_hotfire/warm", b"{", "the request is not understood"),
        ("/_hotfire/warm", b"{}", "the request is not understood: KeyError('python')"),
        ("/_hotfire/warm", b"[]", "the request is not understood"),
        ("/_hotfire/trees", b'{"entries": [5]}', "the request is not understood"),
        ("/_hotfire/trees", b'{"entries": 5}', "the request is not understood"),
        ("/_hotfire/warm", b'{"python": "/absent/python"}', "the project's Python cannot be started"),
    ],
)
def test_a_private_request_that_cannot_be_done_is_told(
    send: Callable[..., Any], region: Address, path: str, body: bytes, message: str
) -> None:
    status, _, answer = send("POST", path, {"Authorization": region.key.bearer}, body)
    assert (status, message in json.loads(answer)["error"]["message"]) == (400, True)


def test_a_body_that_nobody_takes_is_refused_when_it_has_come_in(
    send: Callable[..., Any], region: Address
) -> None:
    """Not before, since the client would see a broken connection in place of the answer."""
    signed = {"X-Amz-Target": "SageMaker.ListModels", "Authorization": authorization(region.key)}
    assert send("POST", "/", signed, bytes(app.MOST_BYTES + 1))[0] == 413


def test_a_body_over_the_services_own_limit_is_told_in_its_words(connect: Connect) -> None:
    runtime = connect("sagemaker-runtime")
    status, code, message = refused(runtime.invoke_endpoint, EndpointName="e", Body=bytes(6_291_457))
    assert (status, code, "6291456" in message) == (400, "ValidationError", True)


@pytest.fixture(scope="module")
def endpoint(region: Address, session: boto3.Session, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An endpoint whose model is loaded when a file comes: the file."""
    folder = tmp_path_factory.mktemp("model")
    flag = folder / "flag"
    archive = folder / "model.tar.gz"
    source = WAITS.format(flag=str(flag)).encode()
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(source)
        tar.addfile(member, io.BytesIO(source))
    client = session.client(
        "sagemaker",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
    )
    container = {
        "Image": "image:1",
        "ModelDataUrl": f"file://{archive}",
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "HOTFIRE_PYTHON": sys.executable},
    }
    client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InstanceType": "ml.t2.medium",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    client.close()
    return flag


def test_a_client_that_waits_is_answered_when_the_state_changes(
    endpoint: Path, connect: Connect, send: Callable[..., Any], region: Address
) -> None:
    client = connect()

    def described_at_once() -> str:
        headers = {
            "X-Amz-Target": "SageMaker.DescribeEndpoint",
            "Authorization": authorization(region.key),
            "X-Hotfire-Wait": "0",
        }
        _, _, body = send("POST", "/", headers, b'{"EndpointName": "e"}')
        status: str = json.loads(body)["EndpointStatus"]
        return status

    with ThreadPoolExecutor() as pool:
        held = pool.submit(client.describe_endpoint, EndpointName="e")
        for _ in range(3):
            assert described_at_once() == "Creating"
        assert not held.done()
        endpoint.touch()
        described = held.result(60)
    assert (described["EndpointStatus"], described_at_once()) == ("InService", "InService")
    (variant,) = described["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DeployedImages"][0]["SpecifiedImage"]) == (1, "image:1")


def test_an_invocation_is_answered_and_its_lines_are_in_the_logs(endpoint: Path, connect: Connect) -> None:
    endpoint.touch()
    connect().get_waiter("endpoint_in_service").wait(EndpointName="e")
    answer = connect("sagemaker-runtime").invoke_endpoint(
        EndpointName="e", ContentType="application/json", Body=b'"hi"'
    )
    assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (b'"hi"', "AllTraffic")
    events = connect("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/e")["events"]
    assert 'asked "hi"' in [event["message"] for event in events]


def test_a_variant_that_is_not_there_is_a_validation_error(endpoint: Path, connect: Connect) -> None:
    endpoint.touch()
    connect().get_waiter("endpoint_in_service").wait(EndpointName="e")
    runtime = connect("sagemaker-runtime")
    assert refused(runtime.invoke_endpoint, EndpointName="e", TargetVariant="blue", Body=b"") == (
        400,
        "ValidationError",
        "There is no variant blue in this endpoint.",
    )


def test_an_endpoint_can_be_deleted_and_made_again_at_once(endpoint: Path, connect: Connect) -> None:
    endpoint.touch()
    client = connect()
    client.get_waiter("endpoint_in_service").wait(EndpointName="e")
    client.delete_endpoint(EndpointName="e")
    client.get_waiter("endpoint_deleted").wait(EndpointName="e")
    client.create_endpoint(EndpointName="e", EndpointConfigName="c")
    client.get_waiter("endpoint_in_service").wait(EndpointName="e")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("nan", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        ("x", LONGEST_WAIT),
    ],
)
def test_how_long_an_answer_may_be_held(given: str, seconds: float) -> None:
    assert app._wait({"x-hotfire-wait": given}) == seconds


# What no client can bring about at will: the application itself.

pytest_anyio = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def bare(tmp_path: Path) -> Any:
    bare = app.Region(
        tmp_path, Key("HOTFIREA", "s"), Exposure(), 4774, Path(sys.executable), dict(os.environ)
    )
    yield bare
    await bare.close()


SCOPE = {
    "type": "http",
    "method": "POST",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [(b"host", b"127.0.0.1:4774")],
}


@pytest_anyio
async def test_half_a_request_of_a_client_that_went_away_is_not_answered(bare: app.Region) -> None:
    messages = [
        {"type": "http.request", "body": b"{}", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await bare(SCOPE, receive, send)
    assert sent == []


async def answered(region: app.Region, scope: Mapping[str, Any]) -> tuple[int, str]:
    """What a connection gets."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await region(scope, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


@pytest_anyio
@pytest.mark.parametrize(
    ("client", "status"), [(("127.0.0.1", 5000), 200), (("192.0.2.7", 5000), 403), (None, 403)]
)
async def test_the_private_api_answers_this_machine_alone(
    bare: app.Region, client: tuple[str, int] | None, status: int
) -> None:
    hello = {**SCOPE, "method": "GET", "raw_path": b"/_hotfire/hello", "query_string": b"nonce=1"}
    assert (await answered(bare, {**hello, "client": client}))[0] == status


@pytest_anyio
async def test_a_fault_of_ours_is_told_and_the_region_goes_on(
    bare: app.Region, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bare._store, "models", fails)
    monkeypatch.setattr(bare._store, "put_examples", fails)
    key = Key("HOTFIREA", "s")
    host = {"host": "127.0.0.1:4774"}
    signed = {**host, "x-amz-target": "SageMaker.ListModels", "authorization": authorization(key)}
    answer = await bare.respond(Request("POST", "/", "", signed, b"{}"))
    assert (answer.status, json.loads(answer.body)["__type"]) == (500, "InternalFailure")
    bearer = {**host, "authorization": key.bearer}
    body = b'{"endpoint": "e", "examples": []}'
    answer = await bare.respond(Request("POST", "/_hotfire/examples", "", bearer, body))
    assert (answer.status, "a fault of the local region" in answer.body.decode()) == (500, True)
    assert caplog.text.count("a bug in Hotfire, met by") == 2


def test_the_figures_are_for_this_machines_programs_and_holders_of_keys(
    send: Callable[..., tuple[int, Mapping[str, str], bytes]], region: Address
) -> None:
    host = {"Host": urlsplit(region.url).netloc}
    status, headers, body = send("GET", "/metrics", host)
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b"hotfire_build_info" in body
    proxied = {**host, "X-Forwarded-For": "10.0.0.1"}
    assert send("GET", "/metrics", proxied)[0] == 401
    given = {"name": "scraper", "models": [], "seconds": 60}
    key = region.call("POST", "/_hotfire/keys", given)["key"]
    assert send("GET", "/metrics", {**proxied, "Authorization": f"Bearer {key}"})[0] == 200
    narrow = region.call("POST", "/_hotfire/keys", {**given, "name": "narrow", "models": ["m"]})["key"]
    assert send("GET", "/metrics", {**proxied, "X-Api-Key": narrow})[0] == 403
    assert send("GET", "/metrics", {"Host": "elsewhere:4774"})[0] == 403
    assert send("GET", "/metrics", {**host, "Origin": "http://elsewhere"})[0] == 403
    assert send("POST", "/metrics", host)[0] == 405
