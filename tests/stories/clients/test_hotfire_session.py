"""`DeployEnv.session()` and `use_local()` beside the SageMaker SDK, which no export leads anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project


@pytest.fixture(scope="module", params=["sagemaker-2", "sagemaker-3"])
def seen(
    request: pytest.FixtureRequest,
    machine: Machine,
    new_project: Callable[..., Project],
    clients: Callable[[str], Any],
    package: Path,
    scaling: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What a program saw that has the SDK, Hotfire, and a project that is deployed."""
    project = new_project(tmp_path_factory.mktemp("project"), "tiny")
    project.deploy()
    program = clients(request.param).program("hotfire_session.py")
    done = machine.run([*program, str(project.folder / "config.yml"), scaling[0]], PYTHONPATH=str(package))
    project.told("delete", "--yes")
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_it_is_a_session_of_the_sdk_that_is_there(seen: dict[str, Any]) -> None:
    assert seen["class"] is True


def test_it_finds_an_execution_role(seen: dict[str, Any]) -> None:
    assert seen["role"] == "arn:aws:iam::000000000000:role/hotfire"


def test_it_uploads_to_the_local_region(seen: dict[str, Any]) -> None:
    assert seen["uploaded"] == "s3://sagemaker-us-east-1-000000000000/models/weights.tar.gz"


def test_it_sees_what_is_deployed(seen: dict[str, Any]) -> None:
    assert seen["endpoints"] == ["tiny"]


def test_in_a_notebook_an_execution_role_is_found_without_a_session(seen: dict[str, Any]) -> None:
    assert seen["role in a notebook"] == "arn:aws:iam::000000000000:role/hotfire"


def test_in_a_notebook_the_sdks_own_session_is_the_regions(seen: dict[str, Any]) -> None:
    uploaded = "s3://sagemaker-us-east-1-000000000000/notebook/weights.tar.gz"
    assert (seen["uploaded in a notebook"], seen["account"]) == (uploaded, "000000000000")


def test_nothing_left_the_machine(seen: dict[str, Any], sent: Callable[[], list[str]]) -> None:
    assert sent() == []
