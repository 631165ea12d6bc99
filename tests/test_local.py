"""`use_local`: where this process's AWS clients lead, before, between and after."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from hotfire import address, use_local
from hotfire.address import Address
from hotfire.environment import home
from hotfire.local import Redirection, variables
from hotfire.server import daemon

OF_THE_USER = {
    "AWS_ACCESS_KEY_ID": "AKIAUSER",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_PROFILE": "work",
    "AWS_ENDPOINT_URL_SAGEMAKER": "http://127.0.0.1:9",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@pytest.fixture(autouse=True)
def no_default_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 as it is before anything used it."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def at_home(region: Address, monkeypatch: pytest.MonkeyPatch) -> Address:
    """This module's region, as the user's own."""
    monkeypatch.setenv("HOTFIRE_HOME", str(region.home))
    return region


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with AWS settings."""
    for name, value in OF_THE_USER.items():
        monkeypatch.setenv(name, value)
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def aws_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def url_of(client: Any) -> str:
    try:
        return str(client.meta.endpoint_url)
    finally:
        client.close()


def account(client: Any) -> str:
    try:
        return str(client.get_caller_identity()["Account"])
    finally:
        client.close()


@pytest.fixture
def redirection(at_home: Address) -> Iterator[Redirection]:
    """What `use_local` returns."""
    with use_local() as redirection:
        yield redirection


def test_it_starts_the_region_if_it_is_not_up() -> None:
    try:
        with use_local() as redirection:
            running = address.find(home())
            assert running is not None
            assert redirection.url == running.url
    finally:
        daemon.stop(home())


def test_it_says_where_clients_lead(at_home: Address) -> None:
    redirection = use_local()
    said = repr(redirection)
    redirection.undo()
    assert said == f"<AWS clients lead to the local region at {at_home.url}; .undo() takes that back>"
    assert repr(redirection) == "<undone: AWS clients lead where they led before>"


def test_clients_of_the_default_session_are_the_regions(redirection: Redirection) -> None:
    assert account(boto3.client("sts")) == "000000000000"


def test_clients_of_a_session_that_is_made_later_are_the_regions(
    user: dict[str, str], redirection: Redirection
) -> None:
    assert account(boto3.Session().client("sts")) == "000000000000"


def test_the_address_of_one_service_is_no_way_out(user: dict[str, str], redirection: Redirection) -> None:
    assert url_of(boto3.Session().client("sagemaker")) == redirection.url


def test_an_address_that_code_names_is_no_way_out(redirection: Redirection) -> None:
    client = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    assert account(client) == "000000000000"


def test_no_proxy_comes_between(redirection: Redirection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert account(boto3.client("sts")) == "000000000000"


def test_no_proxy_comes_before_a_session_that_is_made_later(
    at_home: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with use_local():
        assert account(boto3.Session().client("sts")) == "000000000000"
    assert "no_proxy" not in os.environ


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy"}, None),
        ({"HTTP_PROXY": "http://proxy"}, "127.0.0.1"),
        ({"all_proxy": "http://proxy", "NO_PROXY": "a.example, b.example"}, "a.example,b.example,127.0.0.1"),
        ({"HTTP_PROXY": "http://proxy", "no_proxy": "localhost,127.0.0.1"}, None),
        ({"HTTP_PROXY": "http://proxy", "no_proxy": "*"}, None),
    ],
)
def test_only_where_there_is_a_proxy_the_region_is_excepted(
    region: Address, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = variables(region)
    assert (found.get("no_proxy"), found.get("NO_PROXY")) == (expected, expected)


def test_programs_that_are_started_are_pointed_there_too(redirection: Redirection) -> None:
    program = "import boto3; print(boto3.client('sagemaker').meta.endpoint_url)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == redirection.url


def test_a_client_can_name_another_aws_region(redirection: Redirection) -> None:
    client = boto3.client("sagemaker", region_name="ap-south-1")
    assert (client.meta.region_name, url_of(client)) == ("ap-south-1", redirection.url)


def test_it_is_undone_whole(user: dict[str, str], at_home: Address) -> None:
    before = boto3.DEFAULT_SESSION
    use_local().undo()
    assert aws_variables() == user
    assert "SAGEMAKER_USER_CONFIG_OVERRIDE" not in os.environ
    assert boto3.DEFAULT_SESSION is before


def test_it_is_undone_by_an_error_in_its_block(user: dict[str, str], at_home: Address) -> None:
    with pytest.raises(ZeroDivisionError), use_local():
        raise ZeroDivisionError
    assert aws_variables() == user


def test_undone_twice_it_is_undone_once(at_home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    redirection = use_local()
    redirection.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    redirection.undo()
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"


def test_a_program_that_used_boto3_before_is_told_so(at_home: Address) -> None:
    boto3.setup_default_session(region_name="eu-west-1")
    before = boto3.DEFAULT_SESSION
    with pytest.warns(UserWarning, match="boto3 clients made before") as told, use_local():
        assert boto3.DEFAULT_SESSION is not before
    assert boto3.DEFAULT_SESSION is before
    assert told[0].filename == __file__


def test_a_cell_that_is_run_again_is_not_warned(at_home: Address) -> None:
    with use_local(), warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_local() as again:
            assert again.url == at_home.url


def test_version_3_of_the_sdk_makes_its_clients_anew(
    at_home: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sdk:
        class SageMakerClient:
            resets = 0

            @classmethod
            def reset(cls) -> None:
                cls.resets += 1

    monkeypatch.setitem(sys.modules, "sagemaker.core.utils.utils", Sdk)  # type: ignore[arg-type]
    with use_local():
        assert Sdk.SageMakerClient.resets == 1
    assert Sdk.SageMakerClient.resets == 2
