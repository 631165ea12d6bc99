"""botocore sessions that say where their clients lead, whoever makes them.

Imported when it is needed: botocore takes 0.1 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import Session

from hotfire.address import REGION_NAME

if TYPE_CHECKING:
    from hotfire.address import Address


class EndpointSession(Session):  # type: ignore[misc]  # botocore has no types
    """A session whose clients reach `url` alone, also those that are made for another address.

    The SageMaker SDKs make an address of STS themselves, past every setting.
    """

    def __init__(self, url: str, *, direct: bool = False, **options: Any) -> None:
        """`direct`: by no proxy. Further options are botocore's."""
        super().__init__(**options)
        self.url = url
        self._fixed = Config(proxies={}) if direct else Config()

    def create_client(self, service_name: str, region_name: str | None = None, **options: Any) -> Any:
        """A client, as botocore makes one."""
        given = options.pop("config", None) or self.get_default_client_config() or Config()
        options |= {"endpoint_url": self.url, "config": given.merge(self._fixed)}
        return super().create_client(service_name, region_name, **options)


class AwsSession(Session):  # type: ignore[misc]  # botocore has no types
    """A session of AWS, whose clients pass over a configured address that `is_ours`."""

    def __init__(self, is_ours: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_ours = is_ours

    def create_client(self, service_name: str, region_name: str | None = None, **options: Any) -> Any:
        """A client, as botocore makes one."""
        client = super().create_client(service_name, region_name, **options)
        if not self._is_ours(client.meta.endpoint_url):
            return client
        given = options.pop("config", None) or Config()
        config = given.merge(Config(ignore_configured_endpoint_urls=True))
        return super().create_client(service_name, region_name, config=config, **options)


def of_region(region: Address, region_name: str | None = None) -> EndpointSession:
    """A session of a local region, which nothing in the user's AWS settings can turn elsewhere."""
    unset = (None, None, None, None)
    settings = dict.fromkeys(("profile", "config_file", "credentials_file"), unset)
    session = EndpointSession(region.url, direct=True, session_vars=settings)
    session.set_config_variable("region", region_name or REGION_NAME)
    session.set_credentials(region.key.access_key, region.key.secret_key)
    return session
