"""The SageMaker SDK in its two versions, of which neither is installed where these tests run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire import DeployEnv, sagemaker_sdk
from hotfire.address import Address
from hotfire.errors import PackageMissing, RegionNotRunning

SESSION = """\
class Session:
    def __init__(self, **given):
        self.given = given
"""
CONFIG = """\
environments:
  local: {model_name: news}
  bucket: {model_name: news, instance_type: local, model_data_path: "s3://mine/news/model.tar.gz"}
  production: {model_name: news, instance_type: ml.m5.large, region: eu-west-1}
  profiled: {model_name: news, instance_type: ml.m5.large, region: eu-west-1, profile: work}
  imitation: {model_name: news, instance_type: ml.m5.large, region: eu-west-1, endpoint_url: "http://127.0.0.1:9"}
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, which are forgotten in the end."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "sagemaker"]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "sagemaker"]:
        del sys.modules[name]


def put(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def version_2(packages: Path) -> None:
    put(packages / "sagemaker" / "__init__.py", SESSION)


@pytest.fixture
def version_3(packages: Path) -> None:
    for folder in ("", "core", "core/helper"):
        put(packages / "sagemaker" / folder / "__init__.py")
    put(packages / "sagemaker" / "core" / "helper" / "session_helper.py", SESSION)


@pytest.fixture
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("project") / "config.yml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def at_home(region: Address, monkeypatch: pytest.MonkeyPatch) -> Address:
    """This module's region, as the user's own."""
    monkeypatch.setenv("HOTFIRE_HOME", str(region.home))
    return region


def closed(given: dict[str, Any]) -> dict[str, Any]:
    """What a session was made of, its clients closed."""
    for name in ("sagemaker_client", "sagemaker_runtime_client"):
        given[name].close()
    return given


def test_version_2_is_found(version_2: None) -> None:
    assert sagemaker_sdk.session_class().__module__ == "sagemaker"


def test_version_3_is_found(version_3: None) -> None:
    assert sagemaker_sdk.session_class().__module__ == "sagemaker.core.helper.session_helper"


def test_where_there_is_none_the_line_that_installs_it_is_told(packages: Path) -> None:
    with pytest.raises(PackageMissing, match="the SageMaker SDK is not installed") as caught:
        sagemaker_sdk.session_class()
    assert "pip install sagemaker" in caught.value.advice


def test_a_part_of_the_sdk_that_is_missing_is_not_taken_for_the_other_version(
    version_3: None, packages: Path
) -> None:
    put(packages / "sagemaker" / "core" / "helper" / "session_helper.py", "import absent_package\n")
    with pytest.raises(ModuleNotFoundError, match="absent_package"):
        sagemaker_sdk.session_class()


def test_a_local_session_has_the_environments_clients(
    version_2: None, at_home: Address, config: Path
) -> None:
    env = DeployEnv(config=config)
    given = closed(env.session().given)
    assert given["sagemaker_client"] is env.client()
    assert given["sagemaker_runtime_client"] is env.runtime_client()


def test_all_clients_of_a_local_session_are_the_regions(
    version_2: None, at_home: Address, config: Path
) -> None:
    given = closed(DeployEnv(config=config).session().given)
    sts = given["boto_session"].client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    try:
        assert sts.get_caller_identity()["Account"] == "000000000000"
    finally:
        sts.close()


def test_a_local_session_sends_no_telemetry(version_3: None, at_home: Address, config: Path) -> None:
    given = closed(DeployEnv(config=config).session().given)
    assert given["sagemaker_config"]["SageMaker"]["PythonSDK"]["Modules"]["TelemetryOptOut"] is True


def test_the_default_bucket_is_that_of_the_model_data(
    version_2: None, at_home: Address, config: Path
) -> None:
    given = closed(DeployEnv("bucket", config=config).session().given)
    assert given["default_bucket"] == "mine"


def test_without_a_region_there_is_no_local_session(version_2: None, config: Path) -> None:
    with pytest.raises(RegionNotRunning):
        DeployEnv(config=config).session()


def test_a_session_of_aws_is_of_the_users_own_settings(
    version_2: None, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = closed(DeployEnv("production", config=config).session().given)
    assert given["boto_session"].get_credentials().access_key == "AKIAUSER"
    assert given["sagemaker_client"].meta.endpoint_url == "https://api.sagemaker.eu-west-1.amazonaws.com"
    assert (given["default_bucket"], given["sagemaker_config"]) == (None, None)


def test_all_clients_of_an_imitations_session_are_the_imitations(
    version_2: None, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = closed(DeployEnv("imitation", config=config).session().given)
    sts = given["boto_session"].client("sts", endpoint_url="https://sts.eu-west-1.amazonaws.com")
    sts.close()
    assert sts.meta.endpoint_url == "http://127.0.0.1:9"


def test_in_a_shell_that_points_at_the_region_a_session_of_aws_has_nothing_of_it(
    version_2: None, config: Path, at_home: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in at_home.exports().items():
        monkeypatch.setenv(name, value)
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    given = closed(DeployEnv("profiled", config=config).session().given)
    s3 = given["boto_session"].client("s3")
    s3.close()
    assert s3.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"
    assert given["boto_session"].get_credentials().access_key == "AKIAWORK"
    assert given["sagemaker_config"] == {"SchemaVersion": "1.0"}
