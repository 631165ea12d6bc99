"""Two users, and two projects, on one machine do not meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from conftest import Machine, Project

NewProject = Callable[..., Any]


@pytest.fixture(scope="module")
def other(machines: Callable[[], Machine]) -> Machine:
    """Another user of the same machine."""
    return machines()


@pytest.fixture(scope="module")
def projects(
    machine: Machine, other: Machine, new_project: NewProject, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Project]:
    """A project of each user, deployed under one name; they answer differently."""
    mine = new_project(tmp_path_factory.mktemp("mine"), of=machine)
    theirs = new_project(tmp_path_factory.mktemp("theirs"), of=other)
    theirs.edit("ANSWER = 1", "ANSWER = 2")
    mine.deploy()
    theirs.deploy()
    return mine, theirs


def test_each_user_gets_the_answer_of_their_own(projects: tuple[Project, Project]) -> None:
    assert [one.ask()["answer"] for one in projects] == [1, 2]


def test_each_user_has_a_region_of_their_own(machine: Machine, other: Machine) -> None:
    assert machine.told("up")["url"] != other.told("up")["url"]


def test_the_key_of_one_does_not_open_the_region_of_the_other(machine: Machine, other: Machine) -> None:
    mixed = {**machine.exports(), "AWS_ENDPOINT_URL": other.exports()["AWS_ENDPOINT_URL"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mixed.items():
            patch.setenv(name, value)
        import boto3

        client = boto3.Session().client("sagemaker")
    with pytest.raises(ClientError, match="UnrecognizedClientException") as caught:
        client.list_endpoints()
    assert 'eval "$(hotfire env)"' in str(caught.value)


def test_what_one_deletes_the_other_keeps(projects: tuple[Project, Project]) -> None:
    mine, theirs = projects
    mine.told("delete", "--yes")
    assert theirs.ask()["answer"] == 2
    assert mine.told("status")["state"] is None
    mine.deploy()


def test_to_stop_ones_region_leaves_that_of_the_other(
    machine: Machine, projects: tuple[Project, Project]
) -> None:
    machine.told("down")
    assert projects[1].ask()["answer"] == 2
    projects[0].deploy()


def test_a_region_is_for_its_user_alone(machine: Machine) -> None:
    assert machine.home.stat().st_mode & 0o777 == 0o700
    secrets = [machine.home / name for name in ("key.json", "region.json")]
    assert [file.stat().st_mode & 0o777 for file in secrets] == [0o600, 0o600]


def test_two_projects_of_one_user_live_side_by_side(
    projects: tuple[Project, Project], new_project: NewProject, tmp_path: Path
) -> None:
    second = new_project(tmp_path / "second", "second")
    second.edit("ANSWER = 1", "ANSWER = 3")
    second.deploy()
    assert (projects[0].ask()["answer"], second.ask()["answer"]) == (1, 3)
    second.told("delete", "--yes")


def test_the_endpoint_of_another_project_is_not_touched(
    projects: tuple[Project, Project], new_project: NewProject, tmp_path: Path
) -> None:
    copy = new_project(tmp_path / "copy")
    copy.edit("ANSWER = 1", "ANSWER = 4")
    for command in (["deploy"], ["delete", "--yes"], ["rollback"]):
        done = copy.hotfire(*command)
        assert done.returncode == 1
        assert f"belongs to another project, {projects[0].folder}" in done.stderr
    assert projects[0].ask()["answer"] == 1


def test_the_endpoint_of_another_project_can_be_adopted(
    projects: tuple[Project, Project], new_project: NewProject, tmp_path: Path
) -> None:
    mine = projects[0]
    copy = new_project(tmp_path / "copy")
    copy.edit("ANSWER = 1", "ANSWER = 4")
    assert copy.hotfire("deploy", "--adopt").returncode == 0
    assert copy.ask()["answer"] == 4
    assert mine.hotfire("deploy").returncode == 1
    assert mine.hotfire("deploy", "--adopt").returncode == 0
    assert mine.ask()["answer"] == 1
