"""Images on this machine: found here, or pulled with progress and, where it is needed, a login."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from hotfire.container_engine import Engine, is_about_access
from hotfire.errors import EngineError
from hotfire.images import arm_uri

Login = Callable[[str, str], Mapping[str, str]]
"""Takes the account and the AWS region of a registry of ECR's; gives `username` and `password`."""

_ECR = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/")
_SECONDS_BETWEEN = 2.0
_ARM = frozenset({"aarch64", "arm64"})


def fitting(engine: Engine, image: str) -> str:
    """The same image for the engine's processor, where AWS has it under another name."""
    own = arm_uri(image)
    return own if own is not None and engine.architecture() in _ARM else image


def obtain(
    engine: Engine,
    image: str,
    say: Callable[[str], None],
    is_given_up: Callable[[], bool] = lambda: False,
    login: Login | None = None,
    *,
    platform: str | None = None,
    anew: bool = False,
) -> bool:
    """Have an image here; whether it had to be pulled. Raises EngineError.

    With `anew` it is pulled although there is one; `platform` is another than the engine's own.
    """
    if engine.image_id(image) is not None and not anew:
        return False
    try:
        _pull(engine, image, say, is_given_up, None, platform)
    except EngineError as error:
        registry = _ECR.match(image)
        if registry is None or not is_about_access(error.message):
            raise
        if login is None:
            raise EngineError(error.message, _login_line(registry[1], registry[2], image)) from error
        _pull(engine, image, say, is_given_up, login(registry[1], registry[2]), platform)
    return True


def login_by(client: Any, account: str) -> Mapping[str, str]:
    """What a client of ECR's gives for an account's registry. Raises botocore's errors."""
    answer = client.get_authorization_token(registryIds=[account])
    return credentials(answer["authorizationData"][0]["authorizationToken"])


def credentials(token: str) -> Mapping[str, str]:
    """What a token of ECR's holds: `username` and `password`."""
    username, _, password = base64.b64decode(token).decode().partition(":")
    return {"username": username, "password": password}


def _pull(
    engine: Engine,
    image: str,
    say: Callable[[str], None],
    is_given_up: Callable[[], bool],
    login: Mapping[str, str] | None,
    platform: str | None,
) -> None:
    say(f"pull {image}")
    progress = _Progress()
    told = time.monotonic()
    for event in engine.pull(image, login, platform):
        if is_given_up():
            raise EngineError(f"the image {image} was being pulled when that was given up")
        progress.add(event)
        if time.monotonic() - told > _SECONDS_BETWEEN and progress.total:
            told = time.monotonic()
            say(f"pull {image}: {progress}")


class _Progress:
    """How much of an image's layers has come, of those that are known to be needed by now."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Take what the engine tells of a layer."""
        layer, detail = str(event.get("id", "")), event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            self._layers[layer] = int(detail.get("current", 0)), int(detail["total"])
        elif layer in self._layers and event.get("status") == "Download complete":
            self._layers[layer] = (self._layers[layer][1],) * 2

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(total for _, total in self._layers.values())

    def __str__(self) -> str:
        done = sum(done for done, _ in self._layers.values())
        return f"{done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"


def _login_line(account: str, region: str, image: str) -> str:
    registry = image.partition("/")[0]
    password = f"aws ecr get-login-password --region {region}"
    login = f"docker login -u AWS --password-stdin {registry}"
    return f"Log in to account {account}'s registry: `{password} | {login}`."
