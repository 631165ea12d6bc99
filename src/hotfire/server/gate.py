"""Who may ask a region: the key of its API, and a browser's cookie."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from hotfire.address import REGION_NAME, Key, prove
from hotfire.errors import AccessDenied, UnrecognizedClient

_MOST_ENTRIES = 100
_COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential scope of a signed request: who signs, for which service of which AWS region."""

    access_key: str
    region: str
    service: str


class Gate:
    """Lets requests in that carry the region's key and are sent to it, and to nothing else."""

    def __init__(self, key: Key, hosts: frozenset[str]) -> None:
        self._key = key
        self._hosts = hosts

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse what a web page elsewhere sends, by its own or by a rebound name. Raises AccessDenied."""
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            raise AccessDenied(
                f"This region does not answer for the host {host or '(none)'}: use {min(self._hosts)}."
            )
        origin = headers.get("origin")
        foreign = origin is not None and _host_of(origin) not in self._hosts
        if foreign or headers.get("sec-fetch-site") == "cross-site":
            raise AccessDenied("This region does not answer requests of web pages elsewhere.")

    def check_key(self, scope: Scope | None) -> Scope:
        """The scope of a request that carries the key. Raises UnrecognizedClient."""
        if scope is None or not _same(scope.access_key, self._key.access_key):
            raise UnrecognizedClient(
                "The security token included in the request is invalid. This is a local region of Hotfire, "
                'which takes its own key alone: eval "$(hotfire env)"'
            )
        return scope

    def check_bearer(self, headers: Mapping[str, str]) -> None:
        """See that a request of the private API carries the key. Raises UnrecognizedClient."""
        if not _same(headers.get("authorization", ""), f"Bearer {self._key.access_key}"):
            raise UnrecognizedClient("This is another user's region, or its key was renewed.")


def scope(headers: Mapping[str, str], query: Mapping[str, str]) -> Scope | None:
    """The credential scope of a request that is signed in its headers or, presigned, in its query."""
    credential = query.get("X-Amz-Credential", "")
    authorization = headers.get("authorization", "")
    if authorization.startswith("AWS4-"):
        _, _, rest = authorization.partition("Credential=")
        credential = rest.partition(",")[0].strip()
    parts = credential.split("/")
    if len(parts) != 5:
        return None
    return Scope(parts[0], parts[2] or REGION_NAME, parts[3])


class Visitors:
    """Browsers: each enters by a link that works once and is known by its cookie from then on.

    The cookie is made of the key, so that it outlives the region's process and ends with the key. Its
    name has the port, because a browser sends a host's cookies to all of its ports.
    """

    def __init__(self, key: Key, port: int) -> None:
        self._cookie = f"hotfire-{port}"
        # Proofs by the key itself are given to anybody who asks.
        self._session = prove(f"console {key.secret_key}", "session")
        self._entries: list[str] = []

    def issue(self) -> str:
        """A token that opens the console once."""
        token = secrets.token_urlsafe(24)
        self._entries = [*self._entries[-_MOST_ENTRIES:], token]
        return token

    def enter(self, token: str) -> str | None:
        """The Set-Cookie of a visitor whose token is good; None if it is used up or was never given."""
        if token not in self._entries:
            return None
        self._entries.remove(token)
        return f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={_COOKIE_SECONDS}"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from a browser that entered."""
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie:
                return _same(value, self._session)
        return False


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _same(given: str, secret: str) -> bool:
    """Whether they are equal, told in a time that says nothing of where they differ."""
    return hmac.compare_digest(given.encode(), secret.encode())
