"""The AWS CLI against the local region: version 1 by the exports alone, an old version 2 by its address."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

HANDLER = """\
import json

def model_fn(model_dir):
    return "model"

def transform_fn(model, body, content_type, accept):
    return json.dumps([model, content_type, json.loads(body)])
"""


class Cli:
    """One AWS CLI of this user's."""

    def __init__(self, machine: Machine, command: list[str]) -> None:
        self._machine, self._command = machine, command
        self._exports = machine.exports()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self._machine.run([*self._command, *arguments], **self._exports)

    def told(self, *arguments: str) -> Any:
        """What a command that succeeds prints."""
        done = self.run(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(scope="module", params=["1", "2"])
def cli(
    request: pytest.FixtureRequest,
    machine: Machine,
    clients: Callable[[str], Any],
    require: Callable[[str, str], str],
) -> Cli:
    """The version of its own environment, and the one that the system has."""
    machine.hotfire("up")
    if request.param == "1":
        client = clients("awscli-1")
        return Cli(machine, [str(client.python), str(client.folder / "bin" / "aws")])
    # Older than the variable that names an address for all services.
    version_2 = require("/usr/bin/aws", "awscli")
    return Cli(machine, [version_2, "--endpoint-url", machine.exports()["AWS_ENDPOINT_URL"]])


@pytest.fixture(scope="module")
def endpoint(cli: Cli, archive: Callable[[str], Path]) -> Iterator[str]:
    """An endpoint that was made by commands alone, and is deleted by commands."""
    name, role = "by-cli", "arn:aws:iam::000000000000:role/anybody"
    container = f"Image=pytorch-inference:2.6.0,ModelDataUrl=file://{archive(HANDLER)}"
    variant = f"VariantName=AllTraffic,ModelName={name},InstanceType=ml.m5.large,InitialInstanceCount=1"
    of_model, of_config, of_endpoint = (
        ("--model-name", name),
        ("--endpoint-config-name", name),
        ("--endpoint-name", name),
    )
    cli.told(
        "sagemaker", "create-model", *of_model, "--execution-role-arn", role, "--primary-container", container
    )
    cli.told("sagemaker", "create-endpoint-config", *of_config, "--production-variants", variant)
    cli.told("sagemaker", "create-endpoint", *of_endpoint, *of_config)
    cli.told("sagemaker", "wait", "endpoint-in-service", *of_endpoint)
    yield name
    cli.told("sagemaker", "delete-endpoint", *of_endpoint)
    cli.told("sagemaker", "wait", "endpoint-deleted", *of_endpoint)
    cli.told("sagemaker", "delete-endpoint-config", *of_config)
    cli.told("sagemaker", "delete-model", *of_model)


def test_the_waiter_waits_until_it_is_in_service(cli: Cli, endpoint: str) -> None:
    told = cli.told("sagemaker", "describe-endpoint", "--endpoint-name", endpoint)
    assert told["EndpointStatus"] == "InService"


def test_an_endpoint_is_invoked(cli: Cli, endpoint: str, tmp_path: Path) -> None:
    body, answer = tmp_path / "body.json", tmp_path / "answer.json"
    body.write_text("[1, 2]")
    told = cli.told(
        *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint),
        *("--content-type", "application/json", "--body", f"fileb://{body}", str(answer)),
    )
    assert told["InvokedProductionVariant"] == "AllTraffic"
    assert json.loads(answer.read_text()) == ["model", "application/json", [1, 2]]


def test_a_query_picks_what_is_asked(cli: Cli, endpoint: str) -> None:
    told = cli.told("sagemaker", "list-endpoints", "--query", "Endpoints[].EndpointName")
    assert told == [endpoint]


def test_tags_are_added_and_listed(cli: Cli, endpoint: str) -> None:
    arn = cli.told("sagemaker", "describe-endpoint", "--endpoint-name", endpoint)["EndpointArn"]
    cli.told("sagemaker", "add-tags", "--resource-arn", arn, "--tags", "Key=team,Value=news")
    assert cli.told("sagemaker", "list-tags", "--resource-arn", arn)["Tags"] == [
        {"Key": "team", "Value": "news"}
    ]


def test_what_is_not_there_is_an_error(cli: Cli) -> None:
    done = cli.run("sagemaker", "describe-endpoint", "--endpoint-name", "absent")
    assert done.returncode != 0
    assert "(ValidationException)" in done.stderr
    assert "Could not find endpoint" in done.stderr


def test_it_knows_who_it_is(cli: Cli) -> None:
    assert cli.told("sts", "get-caller-identity")["Account"] == "000000000000"


def test_nothing_left_the_machine(cli: Cli, endpoint: str, sent: Callable[[], list[str]]) -> None:
    assert sent() == []
