"""A region that others may use: under another name, with any key, from other machines."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Machine

SERVICES = [
    ("sagemaker", "list_models", {}),
    ("sts", "get_caller_identity", {}),
    ("iam", "get_role", {"RoleName": "r"}),
    ("logs", "describe_log_groups", {}),
]


@pytest.fixture
def opened(machine: Machine) -> Iterator[Callable[..., dict[str, Any]]]:
    """`opened(*options)`: what `hotfire up` says of a region with these options; it is stopped in the end."""

    def up(*options: str) -> dict[str, Any]:
        told: dict[str, Any] = machine.told("up", *options)
        return told

    yield up
    machine.hotfire("down")


@pytest.fixture
def client(machine: Machine) -> Iterator[Callable[..., Any]]:
    """`client(service, access_key, secret)`: by default with the region's own key."""
    made: list[Any] = []

    def client(service: str, access_key: str | None = None, secret: str | None = None) -> Any:
        exports = machine.exports()
        made.append(
            boto3.Session().client(
                service,
                endpoint_url=exports["AWS_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=access_key or exports["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=secret or exports["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"total_max_attempts": 1}),
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


def code_of(call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def asked(url: str, path: str, **headers: str) -> tuple[int, str]:
    """The answer to a GET by hand."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(("service", "method", "params"), SERVICES)
def test_any_key_will_do(
    opened: Callable[..., dict[str, Any]],
    client: Callable[..., Any],
    service: str,
    method: str,
    params: dict[str, Any],
) -> None:
    assert opened("--any-key")["any_key"] is True
    for access_key in ("AKIAIOSFODNN7EXAMPLE", "test", None):
        assert getattr(client(service, access_key, "anything"), method)(**params)


def test_any_key_opens_no_more_than_aws_has(machine: Machine, opened: Callable[..., dict[str, Any]]) -> None:
    url = opened("--any-key")["url"]
    assert asked(url, "/_hotfire/stop", Authorization="Bearer anything")[0] == 403
    assert asked(url, "/")[0] in (401, 403)


def test_any_key_is_not_for_other_machines(machine: Machine) -> None:
    done = machine.hotfire("up", "--any-key", "--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: --any-key lets in whoever can reach the region")


def test_another_name_is_allowed(opened: Callable[..., dict[str, Any]]) -> None:
    url = opened("--allow-host", "host.docker.internal")["url"]
    port = urlsplit(url).port
    refused = "This region does not answer for the host"
    assert refused not in asked(url, "/", Host=f"host.docker.internal:{port}")[1]
    assert refused in asked(url, "/", Host=f"evil.example:{port}")[1]


@pytest.mark.parametrize(("service", "method", "params"), SERVICES)
def test_beyond_the_machine_a_signature_must_be_the_keys(
    opened: Callable[..., dict[str, Any]],
    client: Callable[..., Any],
    service: str,
    method: str,
    params: dict[str, Any],
) -> None:
    opened("--host", "0.0.0.0")
    assert getattr(client(service), method)(**params)
    query = {"sts", "iam"}
    code = code_of(getattr(client(service, secret="guess"), method), **params)
    assert code == ("SignatureDoesNotMatch" if service in query else "InvalidSignatureException")


def test_beyond_the_machine_model_data_is_signed_too(
    machine: Machine,
    opened: Callable[..., dict[str, Any]],
    client: Callable[..., Any],
) -> None:
    opened("--host", "0.0.0.0")
    s3 = client("s3")
    s3.create_bucket(Bucket="weights")
    s3.put_object(Bucket="weights", Key="a b/é.txt", Body=b"content" * 1000)
    assert s3.get_object(Bucket="weights", Key="a b/é.txt")["Body"].read() == b"content" * 1000
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="weights")["Contents"]] == ["a b/é.txt"]
    address = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": "weights", "Key": "a b/é.txt"}))
    url = machine.exports()["AWS_ENDPOINT_URL"]
    assert asked(url, f"{address.path}?{address.query}") == (200, "content" * 1000)
    assert "SignatureDoesNotMatch" in asked(url, f"{address.path}x?{address.query}")[1]
    s3.delete_objects(Bucket="weights", Delete={"Objects": [{"Key": "a b/é.txt"}]})
    guess = client("s3", secret="guess")
    assert code_of(guess.put_object, Bucket="weights", Key="k", Body=b"x") == "SignatureDoesNotMatch"


def test_hotfires_own_commands_go_on_by_the_loopback(
    machine: Machine, opened: Callable[..., dict[str, Any]], project: Any
) -> None:
    told = opened("--host", "0.0.0.0")
    assert (told["host"], told["url"].startswith("http://127.0.0.1:")) == ("0.0.0.0", True)
    project.deploy()
    assert project.ask("[1]")["data"] == [1]


def test_a_region_that_is_up_is_not_opened_by_the_way(
    machine: Machine, opened: Callable[..., dict[str, Any]]
) -> None:
    url = opened()["url"]
    done = machine.hotfire("up", "--host", "0.0.0.0", "--allow-host", "proxy.example")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: the region at {url} is up already, with other options",
        "  → Start it anew: `hotfire down && hotfire up --host 0.0.0.0 --allow-host proxy.example`.",
    ]
    other = str((urlsplit(url).port or 0) + 1)
    assert machine.hotfire("up", "--port", other).returncode == 1


def test_who_asks_for_nothing_takes_the_region_as_it_is(
    machine: Machine, opened: Callable[..., dict[str, Any]]
) -> None:
    opened("--any-key")
    told = opened()
    assert (told["started"], told["any_key"]) == (False, True)
    assert "It takes any credentials" in machine.hotfire("up").stdout


def test_the_region_says_whom_it_answers(machine: Machine, opened: Callable[..., dict[str, Any]]) -> None:
    opened("--host", "0.0.0.0", "--allow-host", "proxy.example")
    written = json.loads((machine.home / "region.json").read_text())
    assert (written["host"], written["allowed"], written["any_key"]) == ("0.0.0.0", ["proxy.example"], False)
    assert "What they send is not encrypted" in machine.hotfire("up").stdout


@pytest.mark.parametrize("host", ["here", "0.0.0.0:80", ""])
def test_an_address_that_is_none_is_told(machine: Machine, host: str) -> None:
    done = machine.hotfire("up", "--host", host)
    assert done.returncode == 2
    assert "is no IP address" in done.stderr
