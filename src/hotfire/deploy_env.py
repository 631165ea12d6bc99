"""`DeployEnv`: the settings and boto3 clients of one deployment environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotfire import __version__, address
from hotfire.environment import Environment, home, load, variables_of_process
from hotfire.errors import ConfigError, RegionNotRunning
from hotfire.refusals import refusal_of

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config

    from hotfire.endpoint_session import EndpointSession

SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack"})
"""The endpoint states in which a fleet answers."""

WAIT_HEADER = "X-Hotfire-Wait"
"""How many seconds a region may hold the answer about an endpoint that is changing."""

_AWS_RUNTIME_SECONDS = 70  # SageMaker itself gives a model 60 s
_LOCAL_RUNTIME_SECONDS = 600  # a local region keeps the time itself, and not at all while one debugs


class DeployEnv:
    """The deployment environment `name`: else that of DEPLOY_ENV, else `local`.

    `config` names the `config.yml`; without it, it is looked for here and in the folders above.
    Raises ConfigError, which names the file, line, column and key.

    >>> env = DeployEnv("production")  # doctest: +SKIP
    >>> env.client().describe_endpoint(EndpointName=env.setting("model_name"))  # doctest: +SKIP
    """

    def __init__(self, name: str | None = None, *, config: str | Path | None = None) -> None:
        self._use(load(name, config=None if config is None else Path(config)))

    @classmethod
    def of(cls, environment: Environment) -> DeployEnv:
        """The same for an environment that is loaded already."""
        env = cls.__new__(cls)
        env._use(environment)
        return env

    def _use(self, environment: Environment) -> None:
        self.environment = environment
        self._clients: dict[tuple[str, str, bool], Any] = {}
        # Kept for all clients: what botocore reads for the first serves the others.
        self._local_session: EndpointSession | None = None
        self._aws_session: boto3.Session | None = None

    def current_env(self) -> str:
        """Its name."""
        return self.environment.name

    def setting(self, name: str) -> Any:
        """A key of `config.yml`, the user's own keys too. Raises ConfigError if there is none."""
        return self.environment.setting(name)

    def is_local(self) -> bool:
        """Whether this machine hosts it."""
        return self.environment.is_local

    def is_production(self) -> bool:
        """Whether it is the environment `production`."""
        return self.environment.name == "production"

    def is_deployed(self) -> bool:
        """Whether the endpoint exists and answers requests. False if the local region is not running."""
        from botocore.exceptions import BotoCoreError, ClientError

        name = self.environment.model_name
        try:
            answer = self.client_for("sagemaker").describe_endpoint(EndpointName=name)
        except RegionNotRunning:
            return False
        except ClientError as error:
            if is_absent(error):
                return False
            raise refusal_of(error, doing=f"whether {name!r} is deployed cannot be told") from error
        except BotoCoreError as error:
            raise refusal_of(error, doing=f"whether {name!r} is deployed cannot be told") from error
        return answer["EndpointStatus"] in SERVING

    def client(self) -> Any:
        """A boto3 `sagemaker` client, of AWS or of the local region. Raises RegionNotRunning.

        Its waiters return as soon as the endpoint's state changes in a local region, not at their next poll.
        """
        return self.client_for("sagemaker", at_once=False)

    def runtime_client(self) -> Any:
        """A boto3 `sagemaker-runtime` client, of AWS or of the local region. Raises RegionNotRunning."""
        return self.client_for("sagemaker-runtime")

    def session(self) -> Any:
        """A session of the SageMaker SDK, of its version 2 or 3, whichever is installed here.

        Its default bucket is that of `model_data_path`, if this names one. In the local region all of its
        clients are the region's, so that `get_execution_role(session)` finds a role there.
        Raises RegionNotRunning, PackageMissing.
        """
        from hotfire import sagemaker_sdk

        make = sagemaker_sdk.session_class()
        return make(
            boto_session=self._boto_session(),
            sagemaker_client=self.client(),
            sagemaker_runtime_client=self.runtime_client(),
            default_bucket=_bucket(self.environment.model_data_path),
            sagemaker_config=_sdk_config(self.environment),
        )

    def client_for(self, service: str, *, at_once: bool = True) -> Any:
        """A boto3 client of any service, kept for the next call.

        With `at_once` a local region answers DescribeEndpoint at once, even while the state changes.
        """
        if not self.environment.is_local:
            return self._client(service, "", at_once)
        region = _running()
        return self._client(service, region.url, at_once, region)

    def registry_client(self, region_name: str) -> Any:
        """A client of AWS's registry of images, by the user's own credentials, wherever this deploys to."""
        with _aws_errors(self.environment):
            return _aws_session(self.environment).client("ecr", region_name=region_name)

    def _client(self, service: str, url: str, at_once: bool, region: address.Address | None = None) -> Any:
        key = (service, url, at_once)
        if key not in self._clients:
            if region is None:
                self._clients[key] = self._aws_client(service)
            else:
                self._clients[key] = self._local_client(service, region, at_once)
        return self._clients[key]

    def _local_client(self, service: str, region: address.Address, at_once: bool) -> Any:
        client = self._session_of(region).create_client(
            service, config=_config(service, _LOCAL_RUNTIME_SECONDS)
        )
        if at_once:
            client.meta.events.register("before-call.sagemaker.DescribeEndpoint", _do_not_wait)
        return client

    def _session_of(self, region: address.Address) -> EndpointSession:
        # botocore's own, whose clients are those that boto3 hands out: boto3 takes twice as long to import.
        from hotfire.endpoint_session import of_region

        if self._local_session is None or self._local_session.url != region.url:
            self._local_session = of_region(region, self.environment.region)
        return self._local_session

    def _boto_session(self) -> boto3.Session:
        import boto3

        if self.environment.is_local:
            return boto3.Session(botocore_session=self._session_of(_running()))
        with _aws_errors(self.environment):
            self._aws_session = self._aws_session or _aws_session(self.environment)
            return self._aws_session

    def _aws_client(self, service: str) -> Any:
        session = self._boto_session()
        with _aws_errors(self.environment):
            return session.client(service, config=_config(service, _AWS_RUNTIME_SECONDS))

    isLocal = is_local
    isProduction = is_production
    isDeployed = is_deployed


def _running() -> address.Address:
    region = address.find(home())
    if region is None:
        raise address.not_running()
    return region


def _sdk_config(environment: Environment) -> dict[str, Any] | None:
    """The SageMaker SDK's configuration, where it is not the user's own."""
    from copy import deepcopy

    if environment.is_local:
        return deepcopy(dict(address.SDK_CONFIG))
    return {"SchemaVersion": "1.0"} if _exported_by_us() else None


def _bucket(url: str | None) -> str | None:
    """The bucket that an `s3://` address names."""
    from urllib.parse import urlsplit

    parts = urlsplit(url or "")
    return parts.netloc if parts.scheme == "s3" else None


def _do_not_wait(params: dict[str, Any], **_: Any) -> None:
    params["headers"][WAIT_HEADER] = "0"


def is_absent(error: Any) -> bool:
    """Whether SageMaker says that there is no such resource, which has no error code of its own."""
    reason = error.response["Error"]
    return bool(reason["Code"] == "ValidationException" and reason["Message"].startswith("Could not find"))


@contextmanager
def _aws_errors(environment: Environment) -> Iterator[None]:
    """botocore's errors about the user's AWS settings, as ours."""
    from botocore.exceptions import BotoCoreError, NoRegionError

    try:
        yield
    except NoRegionError as error:
        message = f"the AWS region of the environment {environment.name!r} is not known"
        raise ConfigError(message, "Add `region:` to it.", file=environment.file, key="region") from error
    except BotoCoreError as error:
        refusal = refusal_of(error)
        name = environment.name
        message = f"the AWS settings of the environment {name!r} cannot be used: {refusal.message}"
        advice = refusal.advice or "See `aws configure list`."
        raise ConfigError(message, advice, file=environment.file) from error


def _aws_session(environment: Environment) -> boto3.Session:
    """A session with the user's own credentials, and no others.

    It is of AWS, or of the imitation that `endpoint_url` names; never of a local region.
    """
    import boto3

    from hotfire.endpoint_session import AwsSession, EndpointSession

    url = environment.endpoint_url
    if url and _is_ours(url):
        message = f"endpoint_url of the environment {environment.name!r} is the local region's address"
        raise ConfigError(
            message, "Use `instance_type: local` instead.", file=environment.file, key="endpoint_url"
        )
    session = boto3.Session(
        botocore_session=EndpointSession(url) if url else AwsSession(_is_ours),
        profile_name=environment.profile,
        region_name=_region_name(environment),
    )
    credentials = session.get_credentials()
    if credentials is None:
        message = f"there are no AWS credentials for the environment {environment.name!r}"
        raise ConfigError(
            message, "Set them up (`aws configure`), or name a `profile:`.", file=environment.file
        )
    if credentials.access_key.startswith(address.KEY_PREFIX):
        message = (
            f"the environment {environment.name!r} is at AWS, but this shell's keys are the local region's"
        )
        advice = 'Run `eval "$(hotfire env --unset)"` first, or name a `profile:` in config.yml.'
        raise ConfigError(message, advice, file=environment.file)
    return session


def _region_name(environment: Environment) -> str | None:
    """The region that is given, or None for boto3's own choice."""
    from botocore.exceptions import NoRegionError
    from botocore.session import Session

    if environment.region or environment.profile is None or not _exported_by_us():
        return environment.region
    # AWS_DEFAULT_REGION is the local region's here: what counts is the profile's own.
    name = Session(profile=environment.profile).get_scoped_config().get("region")
    if name is None:
        raise NoRegionError
    return str(name)


def _is_ours(url: str) -> bool:
    """Whether a URL is the local region's: by region.json, or because `hotfire env` exported it."""
    region = address.RegionFile.read(home())
    exported = variables_of_process().get("AWS_ENDPOINT_URL") if _exported_by_us() else None
    ours = {one.rstrip("/") for one in (region and region.url, exported) if one}
    return url.rstrip("/") in ours


def _exported_by_us() -> bool:
    return variables_of_process().get("AWS_ACCESS_KEY_ID", "").startswith(address.KEY_PREFIX)


def _config(service: str, runtime_seconds: int, **more: Any) -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=10,
        read_timeout=runtime_seconds if service == "sagemaker-runtime" else 60,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra=f"hotfire/{__version__}",
        **more,
    )
