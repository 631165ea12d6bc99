"""Bytes that pages refer to for a while: whole answers, requests for snippets, files that were chosen."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

_MOST = 200
_MOST_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """A body under the name that a file of it would have."""

    name: str
    data: bytes
    content_type: str


class Keeper:
    """Keeps the newest in memory, each for one endpoint; the oldest go first."""

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._secret = secrets.token_bytes(16)
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._size = 0

    def keep(self, endpoint: str, kept: Kept) -> str:
        """Keep it; the token by which it is found, which is the same for the same."""
        facts = f"{endpoint}\0{kept.name}\0{kept.content_type}\0".encode()
        token = hmac.new(self._secret, facts + kept.data, "sha256").hexdigest()[:32]
        if (endpoint, token) in self._kept:
            self._kept.move_to_end((endpoint, token))
            return token
        self._kept[endpoint, token] = kept
        self._size += len(kept.data)
        while len(self._kept) > self._most or (self._size > self._most_bytes and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.data)
        return token

    def find(self, endpoint: str, token: str) -> Kept | None:
        """What was kept for this endpoint, if it still is."""
        return self._kept.get((endpoint, token))
