"""DeployEnv: which clients a deployment environment has, and what they must never reach."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hotfire import DeployEnv, __version__, address
from hotfire.address import Key, RegionFile
from hotfire.environment import home, load
from hotfire.errors import ConfigError, DeployError, RegionMismatch, RegionNotRunning

CONFIG = """\
environments:
  default: &default
    model_name: news
    slack: ops
  local:
    <<: *default
  production:
    <<: *default
    instance_type: ml.m5.large
    region: eu-west-1
  regionless:
    <<: *default
    instance_type: ml.m5.large
  profiled:
    <<: *default
    instance_type: ml.m5.large
    profile: work
  imitation:
    <<: *default
    instance_type: ml.m5.large
    region: eu-west-1
    endpoint_url: ${IMITATION:-http://127.0.0.1:9}
"""


class Sagemaker(ThreadingHTTPServer):
    """Plays a region: its hello, and SageMaker's DescribeEndpoint; every other request is answered by {}."""

    daemon_threads = False  # closing waits for every thread

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = Key("", "")
        self.version = __version__
        self.endpoints: dict[str, str] = {}
        self.refusal: dict[str, str] | None = None
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def describe(self, name: str) -> tuple[int, dict[str, Any]]:
        if self.refusal:
            return 400, self.refusal
        if name not in self.endpoints:
            return 400, {"__type": "ValidationException", "message": f'Could not find endpoint "{name}".'}
        times = {"CreationTime": 1.0, "LastModifiedTime": 1.0}
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
        return 200, {
            "EndpointName": name,
            "EndpointArn": arn,
            "EndpointStatus": self.endpoints[name],
            **times,
        }


class Handler(BaseHTTPRequestHandler):
    server: Sagemaker

    def do_GET(self) -> None:
        nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
        proof = address.prove(self.server.key.secret_key, nonce)
        self.reply(200, {"proof": proof, "version": self.server.version, "pid": 1})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(headers | {":path": self.path})
        if headers.get("x-amz-target") == "SageMaker.DescribeEndpoint":
            self.reply(*self.server.describe(json.loads(body)["EndpointName"]))
        else:
            self.reply(200, {})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Sagemaker]:
    """A server that is not (yet) this user's region."""
    with Sagemaker() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def region(server: Sagemaker) -> Sagemaker:
    server.key = address.load_or_create_key(home())
    port = int(server.server_address[1])
    RegionFile(server.url, "127.0.0.1", port, 1, 1.0, __version__, server.key.access_key).write(home())
    return server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def _users_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "users-secret")


@pytest.fixture
def _profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials, settings = tmp_path / "credentials", tmp_path / "aws-config"
    credentials.write_text("[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = s\n")
    settings.write_text("[profile work]\nregion = ap-south-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))


def export(region: Sagemaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `eval "$(hotfire env)"` does."""
    there = address.find(home())
    assert there is not None
    for name, value in there.exports().items():
        monkeypatch.setenv(name, value)


def key_of(client: Any) -> str:
    return str(client._request_signer._credentials.access_key)


def describe(client: Any, name: str = "news") -> str:
    return str(client.describe_endpoint(EndpointName=name)["EndpointStatus"])


def test_an_environment_is_chosen_as_load_does(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_ENV", "production")
    monkeypatch.chdir(config.parent)
    assert DeployEnv().current_env() == "production"
    assert DeployEnv("local").current_env() == "local"
    assert DeployEnv.of(load("profiled")).current_env() == "profiled"


def test_a_config_may_be_named_by_its_path_as_text(config: Path) -> None:
    assert DeployEnv(config=str(config)).environment.file == config


def test_settings_are_those_of_the_environment(config: Path) -> None:
    env = DeployEnv(config=config)
    assert (env.setting("model_name"), env.setting("slack")) == ("news", "ops")
    with pytest.raises(ConfigError, match="no setting 'slac'"):
        env.setting("slac")


@pytest.mark.parametrize(
    ("name", "local", "production"), [("local", True, False), ("production", False, True)]
)
def test_what_an_environment_is(config: Path, name: str, local: bool, production: bool) -> None:
    env = DeployEnv(name, config=config)
    assert (env.is_local(), env.is_production()) == (local, production)


def test_the_articles_names_are_there(config: Path) -> None:
    env = DeployEnv(config=config)
    assert (env.isLocal(), env.isProduction(), env.isDeployed()) == (True, False, False)
    for name in ("current_env", "setting", "client", "runtime_client"):
        assert callable(getattr(env, name))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, False),
        ("Creating", False),
        ("InService", True),
        ("Updating", True),
        ("SystemUpdating", True),
        ("RollingBack", True),
        ("Failed", False),
        ("Deleting", False),
        ("OutOfService", False),
    ],
)
def test_what_is_deployed(config: Path, region: Sagemaker, status: str | None, expected: bool) -> None:
    region.endpoints = {"news": status} if status else {"other": "InService"}
    assert DeployEnv(config=config).is_deployed() is expected


def test_without_a_region_nothing_is_deployed(config: Path) -> None:
    assert DeployEnv(config=config).is_deployed() is False


def test_whether_it_is_deployed_is_not_guessed(config: Path, region: Sagemaker) -> None:
    region.refusal = {"__type": "AccessDeniedException", "message": "not you"}
    with pytest.raises(DeployError, match=r"whether 'news' is deployed cannot be told: .*not you"):
        DeployEnv(config=config).is_deployed()


def test_without_a_region_a_client_says_how_to_start_it(config: Path) -> None:
    with pytest.raises(RegionNotRunning) as caught:
        DeployEnv(config=config).client()
    assert caught.value.advice == "Start it: `hotfire up`."


def test_a_region_of_another_version_is_said(config: Path, region: Sagemaker) -> None:
    region.version = "0.0.9"
    with pytest.raises(RegionMismatch):
        DeployEnv(config=config).client()


def test_a_local_client_carries_the_regions_key_and_never_the_users(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "users-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "users-token")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    region.endpoints = {"news": "InService"}
    assert describe(DeployEnv(config=config).client()) == "InService"
    headers = region.asked[-1]
    credential = f"Credential={region.key.access_key}/"
    assert credential in headers["authorization"]
    assert "/us-east-1/sagemaker/" in headers["authorization"]
    assert "x-amz-security-token" not in headers


@pytest.mark.parametrize(
    "text", ["[default\n", "[default]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-3\n"]
)
def test_a_local_client_does_not_read_the_users_aws_settings(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / "aws").write_text(text)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = DeployEnv(config=config).client()
    assert (client.meta.endpoint_url, client.meta.region_name) == (region.url, "us-east-1")
    region.endpoints = {"news": "InService"}
    assert describe(client) == "InService"


def test_a_local_environment_may_name_its_region(config: Path, region: Sagemaker) -> None:
    config.write_text("environments:\n  local: {model_name: news, region: eu-north-1}\n")
    assert DeployEnv(config=config).client().meta.region_name == "eu-north-1"


def test_our_own_clients_do_not_wait_for_a_moving_endpoint(config: Path, region: Sagemaker) -> None:
    region.endpoints = {"news": "Creating"}
    describe(DeployEnv(config=config).client_for("sagemaker"))
    assert region.asked[-1]["x-hotfire-wait"] == "0"


def test_a_users_waiter_waits_for_the_region(config: Path, region: Sagemaker) -> None:
    region.endpoints = {"news": "InService"}
    DeployEnv(config=config).client().get_waiter("endpoint_in_service").wait(EndpointName="news")
    assert "x-hotfire-wait" not in region.asked[-1]


def test_a_runtime_client_reaches_the_same_region(config: Path, region: Sagemaker) -> None:
    DeployEnv(config=config).runtime_client().invoke_endpoint(EndpointName="news", Body=b"[]")
    assert region.asked[-1][":path"] == "/endpoints/news/invocations"


@pytest.mark.parametrize("service", ["sts", "iam", "logs"])
def test_every_service_is_at_the_same_address(config: Path, region: Sagemaker, service: str) -> None:
    assert DeployEnv(config=config).client_for(service).meta.endpoint_url == region.url


def test_a_client_is_made_once(config: Path, region: Sagemaker) -> None:
    env = DeployEnv(config=config)
    assert env.client() is env.client()
    assert env.client() is not env.runtime_client()


@pytest.mark.usefixtures("_users_keys")
def test_an_aws_client_is_the_users(config: Path) -> None:
    client = DeployEnv("production", config=config).client()
    assert client.meta.endpoint_url == "https://api.sagemaker.eu-west-1.amazonaws.com"
    assert key_of(client) == "AKIAUSER"


@pytest.mark.usefixtures("_profile", "_users_keys")
def test_a_profile_gives_keys_and_region(config: Path) -> None:
    client = DeployEnv("profiled", config=config).client()
    assert (key_of(client), client.meta.region_name) == ("AKIAWORK", "ap-south-1")


def test_a_shell_at_the_local_region_cannot_deploy_to_aws(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(region, monkeypatch)
    with pytest.raises(ConfigError) as caught:
        DeployEnv("production", config=config).client()
    said = "the environment 'production' is at AWS, but this shell's keys are the local region's"
    assert caught.value.message == f"{config}: {said}"
    assert caught.value.advice.startswith('Run `eval "$(hotfire env --unset)"` first')
    assert region.asked == []


@pytest.mark.usefixtures("_profile")
def test_a_profile_reaches_aws_from_a_shell_at_the_local_region(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(region, monkeypatch)
    client = DeployEnv("profiled", config=config).client()
    assert client.meta.endpoint_url == "https://api.sagemaker.ap-south-1.amazonaws.com"


@pytest.mark.usefixtures("_profile")
def test_that_shell_is_known_after_its_region_has_ended(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(region, monkeypatch)
    (home() / "region.json").unlink()
    client = DeployEnv("profiled", config=config).client()
    assert client.meta.endpoint_url == "https://api.sagemaker.ap-south-1.amazonaws.com"


@pytest.mark.usefixtures("_profile")
def test_the_local_regions_name_is_not_taken_for_the_profiles(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "aws-config").write_text("[profile work]\n")
    export(region, monkeypatch)
    with pytest.raises(ConfigError, match="the AWS region of the environment 'profiled' is not known"):
        DeployEnv("profiled", config=config).client()


@pytest.mark.usefixtures("_users_keys")
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"])
def test_a_configured_address_that_is_ours_is_ignored(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"{region.url}/")
    client = DeployEnv("production", config=config).client()
    assert client.meta.endpoint_url == "https://api.sagemaker.eu-west-1.amazonaws.com"


@pytest.mark.usefixtures("_users_keys")
def test_a_configured_address_that_is_not_ours_counts(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert DeployEnv("production", config=config).client().meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.usefixtures("_users_keys")
def test_an_imitation_of_aws_is_deployed_to(
    config: Path, server: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMITATION", server.url)
    server.endpoints = {"news": "InService"}
    assert DeployEnv("imitation", config=config).is_deployed() is True
    assert "Credential=AKIAUSER/" in server.asked[-1]["authorization"]


@pytest.mark.usefixtures("_users_keys")
def test_the_local_region_is_no_imitation(
    config: Path, region: Sagemaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMITATION", region.url)
    with pytest.raises(
        ConfigError, match="endpoint_url of the environment 'imitation' is the local region's"
    ):
        DeployEnv("imitation", config=config).client()


def test_without_credentials_it_says_so(config: Path) -> None:
    with pytest.raises(ConfigError, match="there are no AWS credentials for the environment 'production'"):
        DeployEnv("production", config=config).client()


@pytest.mark.usefixtures("_users_keys")
def test_without_a_region_name_it_says_so(config: Path) -> None:
    with pytest.raises(ConfigError, match="the AWS region of the environment 'regionless' is not known"):
        DeployEnv("regionless", config=config).client()


def test_a_profile_that_is_absent_is_said(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"the environment 'profiled' cannot be used: .*work"):
        DeployEnv("profiled", config=config).client()


@pytest.mark.usefixtures("_users_keys")
def test_aws_that_does_not_answer_is_an_error_of_ours(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the retries
    with pytest.raises(DeployError, match="whether 'news' is deployed cannot be told"):
        DeployEnv("production", config=config).is_deployed()
