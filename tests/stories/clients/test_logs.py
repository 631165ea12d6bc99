"""What a worker prints, by the AWS CLI: version 2 follows it, version 1 reads it by the exports alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project

SECONDS = 60.0
HANDLER = """\
def model_fn(model_dir):
    print("loaded")

def transform_fn(model, body, content_type, accept):
    print("asked for", body)
    return body
"""


@pytest.fixture(scope="module")
def deployed(machine: Machine, new_project: Callable[..., Project], tmp_path_factory: Any) -> Project:
    """An endpoint that has printed two lines."""
    project = new_project(tmp_path_factory.mktemp("project"), "talks")
    project.write("serve.py", HANDLER)
    project.deploy()
    project.ask("[1]")
    return project


@pytest.fixture(scope="module")
def group(deployed: Project) -> str:
    return f"/aws/sagemaker/Endpoints/{deployed.name}"


@pytest.fixture(scope="module")
def version_1(machine: Machine, deployed: Project, clients: Callable[[str], Any]) -> Callable[..., Any]:
    """`version_1(*arguments)`: what a command that succeeds prints; nothing but the exports leads it."""
    client = clients("awscli-1")
    program = [str(client.python), str(client.folder / "bin" / "aws")]

    def run(*arguments: str) -> Any:
        done = machine.run([*program, *arguments, "--output", "json"], **machine.exports())
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def version_2(machine: Machine, deployed: Project, require: Callable[[str, str], str]) -> list[str]:
    """The command that the system has."""
    # Older than the variable that names an address for all services.
    return [require("/usr/bin/aws", "awscli"), "--endpoint-url", machine.exports()["AWS_ENDPOINT_URL"]]


@contextmanager
def started(machine: Machine, command: list[str]) -> Iterator[Iterator[str]]:
    """The lines of a program that goes on, as they come."""
    with machine.started(command, **machine.exports()) as process:
        give_up = Timer(SECONDS, process.kill)
        give_up.start()
        try:
            assert process.stdout is not None
            yield (line.rstrip("\n") for line in process.stdout)
        finally:
            give_up.cancel()
            process.kill()


def test_version_2_follows_what_a_worker_prints(
    machine: Machine, deployed: Project, version_2: list[str], group: str
) -> None:
    with started(machine, [*version_2, "logs", "tail", group, "--follow", "--format", "short"]) as lines:
        assert [next(lines).partition(" ")[2] for _ in range(2)] == ["loaded", "asked for [1]"]
        deployed.ask("[2]")
        assert next(lines).partition(" ")[2] == "asked for [2]"
        deployed.ask("[3]")
        assert next(lines).partition(" ")[2] == "asked for [3]"


def test_version_2_shows_what_there_is(machine: Machine, version_2: list[str], group: str) -> None:
    done = machine.run([*version_2, "logs", "tail", group], **machine.exports())
    time, stream, text = done.stdout.splitlines()[0].split(" ", 2)
    assert (time.startswith("20"), stream.startswith("AllTraffic/i-"), text) == (True, True, "loaded")


def test_version_1_filters_by_the_exports_alone(version_1: Callable[..., Any], group: str) -> None:
    told = version_1("logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "asked")
    found = [event["message"] for event in told["events"]]
    assert "asked for [1]" in found
    assert "loaded" not in found


def test_version_1_pages_through_by_itself(version_1: Callable[..., Any], group: str) -> None:
    command = ("logs", "filter-log-events", "--log-group-name", group)
    by_one = version_1(*command, "--page-size", "1")["events"]
    assert by_one == version_1(*command)["events"]
    assert len(by_one) >= 2


def test_version_1_finds_group_and_stream_and_reads_it(version_1: Callable[..., Any], group: str) -> None:
    (found,) = version_1("logs", "describe-log-groups", "--log-group-name-prefix", group)["logGroups"]
    name = found["logGroupName"]
    order = ("--order-by", "LastEventTime", "--descending")
    (stream,) = version_1("logs", "describe-log-streams", "--log-group-name", name, *order)["logStreams"]
    read = ("logs", "get-log-events", "--log-group-name", name, "--log-stream-name", stream["logStreamName"])
    told = version_1(*read, "--limit", "1", "--start-from-head")
    assert [event["message"] for event in told["events"]] == ["loaded"]
    told = version_1(*read, "--limit", "1", "--start-from-head", "--next-token", told["nextForwardToken"])
    assert [event["message"] for event in told["events"]] == ["asked for [1]"]


def test_a_log_that_is_not_there(machine: Machine, version_2: list[str]) -> None:
    done = machine.run([*version_2, "logs", "tail", "/aws/sagemaker/Endpoints/absent"], **machine.exports())
    assert done.returncode != 0
    assert "(ResourceNotFoundException)" in done.stderr
    assert "The specified log group does not exist." in done.stderr


def test_nothing_left_the_machine(deployed: Project, sent: Callable[[], list[str]]) -> None:
    assert sent() == []
