"""Sessions that say where their clients lead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from hotfire.address import Address, Key
from hotfire.endpoint_session import AwsSession, EndpointSession, of_region

URL = "http://127.0.0.1:9"


@contextmanager
def client(session: Any, service: str = "sts", **options: Any) -> Iterator[Any]:
    made = boto3.Session(botocore_session=session).client(service, **options)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def region() -> Address:
    return Address(URL, 1, "0", Key("HOTFIREKEY", "secret"), Path("/nowhere"))


def test_every_client_has_the_one_address(region: Address) -> None:
    with client(of_region(region), "s3", endpoint_url="https://s3.amazonaws.com") as made:
        assert made.meta.endpoint_url == URL


def test_the_users_settings_do_not_come_in(
    region: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "[profile work]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:8\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    session = of_region(region)
    with client(session) as made:
        assert made.meta.region_name == "us-east-1"
    assert session.get_credentials().access_key == "HOTFIREKEY"


def test_a_region_name_can_be_given(region: Address) -> None:
    with client(of_region(region, "ap-south-1")) as made:
        assert made.meta.region_name == "ap-south-1"


def test_the_local_region_is_reached_by_no_proxy(region: Address) -> None:
    given = Config(read_timeout=7, proxies={"http": "http://127.0.0.1:8"})
    with client(of_region(region), config=given) as made:
        assert (made.meta.config.proxies, made.meta.config.read_timeout) == ({}, 7)


def test_an_imitation_may_be_behind_a_proxy() -> None:
    proxies = {"http": "http://127.0.0.1:8"}
    with client(EndpointSession(URL), config=Config(proxies=proxies), region_name="eu-west-1") as made:
        assert made.meta.config.proxies == proxies


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AwsSession]:
    """Makes a session of AWS where an address is configured."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", URL)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return AwsSession


def test_a_client_of_aws_passes_over_our_address(aws: Callable[..., AwsSession]) -> None:
    with client(aws(lambda url: url == URL), config=Config(read_timeout=7)) as made:
        assert made.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
        assert made.meta.config.read_timeout == 7


def test_a_client_of_aws_keeps_the_users_own_address(aws: Callable[..., AwsSession]) -> None:
    with client(aws(lambda url: False)) as made:
        assert made.meta.endpoint_url == URL
