"""What points AWS clients at the local region: a process's variables, and `use_local` for this process."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hotfire import address, sagemaker_sdk
from hotfire.environment import home, set_variables, variables_of_process

if TYPE_CHECKING:
    from types import TracebackType

_IN_THE_WAY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
"""Variables that some clients prefer to an address and a key; so are those of a service's own address."""

_PROXIES = {"http_proxy", "all_proxy"}


class Redirection:
    """This process's AWS clients as they lead to a local region, until `undo`; also a context manager."""

    def __init__(self, region: address.Address) -> None:
        self.region = region
        self._variables: Mapping[str, str | None] | None = set_variables(
            dict.fromkeys(_in_the_way()) | variables(region)
        )
        self._session = _exchange_session(_session(region))
        sagemaker_sdk.forget_clients()

    @property
    def url(self) -> str:
        """The region's address."""
        return self.region.url

    def undo(self) -> None:
        """Lead clients that are made from now on where they led before; done again, it does nothing."""
        if self._variables is None:
            return
        set_variables(self._variables)
        self._variables = None
        _exchange_session(self._session)
        sagemaker_sdk.forget_clients()

    def __enter__(self) -> Redirection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def __repr__(self) -> str:
        if self._variables is None:
            return "<undone: AWS clients lead where they led before>"
        return f"<AWS clients lead to the local region at {self.url}; .undo() takes that back>"


def use_local() -> Redirection:
    """Point this process's AWS clients at the local region, and start the region if it is not up.

    From now on boto3's clients, the SageMaker SDKs', and those of programs that this process starts are the
    region's: the process's environment holds what `hotfire env` prints, and boto3's default session is the
    region's, so that the SDKs' `get_execution_role()` works too. Clients and sessions that exist already
    stay where they are, and so does a session of a profile that is named in code: make them anew.

    >>> with use_local():  # doctest: +SKIP
    ...     boto3.client("sagemaker").list_endpoints()

    Without `with`, `undo()` of what it returns takes it back. Raises RegionError, RegionMismatch.
    """
    region = address.find(home())
    if region is None:
        from hotfire.server import daemon

        region = daemon.start(home())
    if _boto3_was_used():
        message = "boto3 clients made before use_local() stay where they are: make them anew"
        warnings.warn(message, stacklevel=2)
    return Redirection(region)


def variables(region: address.Address) -> dict[str, str]:
    """What points the programs that this process starts at a region: by none of the user's proxies."""
    return region.exports() | _past_proxies(region.url)


def _past_proxies(url: str) -> dict[str, str]:
    """What has clients reach an address without a proxy, where the process's environment names one."""
    from urllib.parse import urlsplit

    given = {name.lower(): value for name, value in variables_of_process().items() if value}
    host = str(urlsplit(url).hostname)
    direct = [one.strip() for one in given.get("no_proxy", "").split(",") if one.strip()]
    if not given.keys() & _PROXIES or {host, "*"} & set(direct):
        return {}
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join([*direct, host]))


def _in_the_way() -> list[str]:
    return [
        name for name in variables_of_process() if name in _IN_THE_WAY or name.startswith("AWS_ENDPOINT_URL_")
    ]


def _boto3_was_used() -> bool:
    """Whether boto3 has made a default session, which it does with its first client, that is not ours."""
    from hotfire.endpoint_session import EndpointSession

    session = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    return session is not None and not isinstance(session._session, EndpointSession)


def _session(region: address.Address) -> Any:
    import boto3

    from hotfire.endpoint_session import of_region

    return boto3.Session(botocore_session=of_region(region))


def _exchange_session(session: Any) -> Any:
    """Make it boto3's default session, and return the one before, if there was one."""
    import boto3

    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, session
    return before
