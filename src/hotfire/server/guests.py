"""Who may ask the public API: holders of keys, browsers that entered, and this machine's own programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Protocol

from hotfire.errors import ApiError
from hotfire.region.visitor import Visitor
from hotfire.server.gate import Gate

_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers of a proxy, behind which is who knows whom."""

_ADVICE = "`hotfire keys create NAME` makes one on the region's machine."
_CHALLENGE = {"www-authenticate": 'Bearer realm="hotfire"'}

ANYBODY_HERE = Visitor()
"""A program of this machine without a key: every model is there for it, and nothing of how it works."""


class Keys(Protocol):
    """Knows the keys that were given."""

    def holder(self, secret: str) -> Visitor | None:
        """Who has this one; None if nobody."""
        ...


class Visitors(Protocol):
    """Knows the browsers that entered."""

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        """Who a request comes from; None if from none of them."""
        ...


class Guests:
    """Who asks by one listener, from this machine (`is_here`) or from elsewhere.

    One that only its own machine can reach may take that machine's programs as they come. One that others
    can reach must want a key of everybody: a proxy's requests come by the loopback, too. `advice` says where
    a key comes from.
    """

    def __init__(
        self, gate: Gate, keys: Keys, visitors: Visitors, *, needs_key: bool, advice: str = _ADVICE
    ) -> None:
        self._gate, self._keys, self._visitors = gate, keys, visitors
        self.needs_key, self._advice = needs_key, advice

    def door(self, *, is_here: bool) -> Door:
        """By which a request comes."""
        return Door(self, is_here=is_here and not self.needs_key)

    def origin(self, headers: Mapping[str, str], listed: Collection[str]) -> str | None:
        """The listed web page that asks, if one does. Raises AccessDenied."""
        return self._gate.listed_origin(headers, listed)

    def admit(self, headers: Mapping[str, str], *, is_here: bool, elsewhere: bool) -> Visitor:
        """Who asks. Raises ApiError."""
        secret = secret_of(headers)
        if secret is not None:
            return known(self._keys.holder(secret))
        # What a browser knows of the region must not speak for a page elsewhere.
        visitor = None if elsewhere else self._visitors.visitor(headers)
        if visitor is not None:
            return visitor
        if is_here and _asks_itself(headers):
            return ANYBODY_HERE
        raise key_needed(self._advice)


class Door:
    """The loopback, or another way into a region."""

    def __init__(self, guests: Guests, *, is_here: bool) -> None:
        self._guests, self._is_here = guests, is_here

    @property
    def needs_key(self) -> bool:
        """Whether programs of this machine need one too."""
        return self._guests.needs_key

    def origin(self, headers: Mapping[str, str], listed: Collection[str]) -> str | None:
        """The listed web page that asks, if one does. Raises AccessDenied."""
        return self._guests.origin(headers, listed)

    def admit(self, headers: Mapping[str, str], *, elsewhere: bool) -> Visitor:
        """Who asks. Raises ApiError."""
        return self._guests.admit(headers, is_here=self._is_here, elsewhere=elsewhere)


def secret_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries; None if it carries none."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return headers.get("x-api-key")


def known(visitor: Visitor | None) -> Visitor:
    """Whoever has the key; raises ApiError if nobody has."""
    if visitor is None:
        # Which of these it is, is told to nobody.
        message = "This key is not known here: it is mistyped, expired or revoked."
        raise ApiError(401, "key_unknown", message, headers=_CHALLENGE)
    return visitor


def key_needed(advice: str) -> ApiError:
    """The error of a request without a key."""
    message = f"Send a key, as `Authorization: Bearer KEY` or `X-Api-Key`. {advice}"
    return ApiError(401, "key_needed", message, headers=_CHALLENGE)


def _asks_itself(headers: Mapping[str, str]) -> bool:
    """Whether a request of this machine is meant for it, and comes through no proxy that says so."""
    name = headers.get("host", "").lower().rpartition(":")[0].strip("[]")
    return _is_loopback(name) and not any(header in headers for header in _PROXIED)


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
