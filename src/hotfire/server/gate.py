"""Who may ask a region: the key of its API, and a browser's cookie."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from hotfire.address import REGION_NAME, Exposure, Key, prove
from hotfire.errors import AccessDenied, UnrecognizedClient
from hotfire.region.visitor import OWNER, Visitor
from hotfire.region.wire import Request
from hotfire.server.sealed import Receive, Seal, guarded, seal_of
from hotfire.server.signature import Signatures

_MOST_ENTRIES = 100
_COOKIE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential scope of a signed request: who signs, for which service of which AWS region."""

    access_key: str
    region: str
    service: str


class Clients(Protocol):
    """Which clients of AWS's protocols are let in."""

    def check_key(self, scope: Scope | None) -> Scope:
        """The scope of a request that one of them signs. Raises UnrecognizedClient."""

    def check_signature(self, request: Request) -> None:
        """See that it was really signed, whatever of its body is not read yet. Raises InvalidSignature."""

    def check_body(self, request: Request) -> None:
        """See that a body that was read is what was signed. Raises InvalidSignature."""

    def guarded(self, request: Request, receive: Receive) -> Receive:
        """The messages of a body that is to be read, the last of which raises InvalidSignature."""


class Anybody:
    """Clients with any key, who name the AWS region and the service by their signature and prove nothing."""

    def check_key(self, scope: Scope | None) -> Scope:
        """The scope of a signed request. Raises UnrecognizedClient."""
        if scope is None:
            raise UnrecognizedClient(
                "The request is not signed. This local region of Hotfire takes any credentials to sign with."
            )
        return scope

    def check_signature(self, request: Request) -> None:
        """Nothing: there is no secret to sign by."""

    def check_body(self, request: Request) -> None:
        """Nothing."""

    def guarded(self, request: Request, receive: Receive) -> Receive:
        """The messages as they are."""
        return receive


class KeyHolders(Anybody):
    """Clients with the region's key. That is enough where nobody else hears what they send."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def check_key(self, scope: Scope | None) -> Scope:
        """The scope of a request that carries the key. Raises UnrecognizedClient."""
        if scope is None or not same(scope.access_key, self._key.access_key):
            raise UnrecognizedClient(
                "The security token included in the request is invalid. This is a local region of Hotfire, "
                'which takes its own key alone: eval "$(hotfire env)"'
            )
        return scope


class Signers(KeyHolders):
    """Clients that know the key's secret, as their signatures show."""

    def __init__(self, key: Key) -> None:
        super().__init__(key)
        self._signatures = Signatures(key)

    def check_signature(self, request: Request) -> None:
        """See that it was signed by the key, lately, as it is. Raises InvalidSignature."""
        self._signatures.check(request)

    def check_body(self, request: Request) -> None:
        """See that a body that was read is what was signed. Raises InvalidSignature."""
        seal = self._seal(request)
        seal.update(request.body)
        seal.end()

    def guarded(self, request: Request, receive: Receive) -> Receive:
        """The messages of a body, the last of which raises InvalidSignature if it is not what was signed."""
        return guarded(receive, self._seal(request))

    def _seal(self, request: Request) -> Seal:
        return seal_of(self._signatures, request)


def clients_of(key: Key, exposure: Exposure) -> Clients:
    """Whom a region of this exposure lets in."""
    if not exposure.is_local:
        return Signers(key)
    return Anybody() if exposure.any_key else KeyHolders(key)


class Gate:
    """Lets requests in that are sent to the region by whom it knows, and nothing else.

    `hosts` are the names, each with its port, by which it is known; `origins` are those of web pages that
    are elsewhere and may ask its public API, and nothing besides.
    """

    def __init__(
        self,
        key: Key,
        hosts: frozenset[str],
        clients: Clients | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self._key = key
        self._hosts = hosts
        self._origins = frozenset(origins)
        self.clients = clients or KeyHolders(key)

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse what a web page elsewhere sends, by its own or by a rebound name. Raises AccessDenied."""
        self._check_host(headers)
        origin = headers.get("origin")
        foreign = origin is not None and _host_of(origin) not in self._hosts
        if foreign or headers.get("sec-fetch-site") == "cross-site":
            raise AccessDenied("This region does not answer requests of web pages elsewhere.")

    def listed_origin(self, headers: Mapping[str, str], more: Collection[str] = ()) -> str | None:
        """The page elsewhere that asks the public API, if it may; None if no such page asks.

        `more` are the origins that may ask for what this request is about. Raises AccessDenied as
        `check_origin` does.
        """
        origin = headers.get("origin", "")
        if origin.lower() in self._origins or origin.lower() in more:
            self._check_host(headers)
            return origin
        self.check_origin(headers)
        return None

    def _check_host(self, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            known = min(self._hosts, key=lambda name: (not name.startswith("127.0.0.1:"), name))
            raise AccessDenied(
                f"This region does not answer for the host {host or '(none)'}: use {known}, or start it with "
                "`hotfire up --allow-host NAME`."
            )

    def check_bearer(self, headers: Mapping[str, str]) -> None:
        """See that a request of the private API knows the key. Raises UnrecognizedClient."""
        if not same(headers.get("authorization", ""), self._key.bearer):
            raise UnrecognizedClient("This is another user's region, or its key was renewed.")


def is_of_this_machine(connection: Mapping[str, Any]) -> bool:
    """Whether a connection, as ASGI tells of it, comes by the loopback."""
    address, _ = connection.get("client") or ("", 0)
    try:
        return ip_address(address.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


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
        return same(cookie_of(headers, self._cookie), self._session)

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        """Who a request comes from; None if the browser did not enter."""
        return OWNER if self.knows(headers) else None


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def cookie_of(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie; empty without one."""
    for part in headers.get("cookie", "").split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value
    return ""


def same(given: str, secret: str) -> bool:
    """Whether they are equal, told in a time that says nothing of where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
