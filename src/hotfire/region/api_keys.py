"""Keys of the public API: given once, kept as hashes.

A key is 256 random bits. Nobody finds one by trying, however fast its hash is, so SHA-256 does; a hash that
is slow by design protects what people think of, and would cost each request as much as a model's answer.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from hotfire.errors import StoreError, UsageError
from hotfire.region.store import Store
from hotfire.region.visitor import Visitor

PREFIX = "hotfire_"
"""How every key begins, so that people and scanners of leaked secrets know one when they see it."""
_SHOWN = len(PREFIX) + 4
_BYTES = 32
_SECONDS_BETWEEN_NOTES = 60.0
"""When a key was last used is written no more often: a request should not wait for the disk."""
_NAME = re.compile(r"[A-Za-z0-9][\w.@-]{0,62}", re.ASCII)
_MODEL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_COLUMNS = "name, prefix, models, created, expires, used"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key besides its hash; times in seconds since the epoch.

    `prefix` is how it begins, by which its holder recognises it. No `models` are all of them.
    """

    name: str
    prefix: str
    models: tuple[str, ...]
    created: float
    expires: float | None = None
    used: float | None = None

    @property
    def visitor(self) -> Visitor:
        """Whoever has it."""
        return Visitor(models=frozenset(self.models) or None)


def new_secret() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


class ApiKeys:
    """The keys that were given and not taken back, in the region's store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    def create(self, name: str, models: Collection[str], seconds: float | None) -> tuple[ApiKey, str]:
        """A new key, good for so long, and the only copy of its secret. Raises UsageError."""
        _check(name, models)
        if any(key.name == name for key in self.all()):
            message = f"there is a key named {name!r} already"
            raise UsageError(message, f"Give this one another name, or `hotfire keys revoke {name}` first.")
        secret, now = new_secret(), self._clock()
        expires = None if seconds is None else now + seconds
        key = ApiKey(name, secret[:_SHOWN], tuple(sorted(set(models))), now, expires)
        row = (key.name, key.prefix, json.dumps(key.models), key.created, key.expires, None, _hash(secret))
        self._store.write(f"INSERT INTO api_keys ({_COLUMNS}, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        return key, secret

    def all(self) -> list[ApiKey]:
        """Every key, by name, also those that have expired."""
        return [_key(row) for row in self._store.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY name")]

    def revoke(self, name: str) -> ApiKey:
        """Take a key back: it opens nothing from now on. Raises UsageError if there is none of this name."""
        found = next((key for key in self.all() if key.name == name), None)
        if found is None:
            raise UsageError(f"there is no key named {name!r}", "`hotfire keys list` shows those there are.")
        self._store.write("DELETE FROM api_keys WHERE name = ?", name)
        return found

    def holder(self, secret: str) -> Visitor | None:
        """Who has this secret; None if it is of no key, or of one that has expired."""
        given, found = _hash(secret), None
        # All are compared, each in a time that says nothing of where they differ.
        for *row, kept in self._store.rows(f"SELECT {_COLUMNS}, sha256 FROM api_keys"):
            if hmac.compare_digest(kept, given):
                found = _key(tuple(row))
        now = self._clock()
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        self._note_use(found, now)
        return found.visitor

    def _note_use(self, key: ApiKey, now: float) -> None:
        if key.used is not None and now - key.used < _SECONDS_BETWEEN_NOTES:
            return
        with suppress(StoreError):  # a full disk is no reason to refuse a request
            self._store.write("UPDATE api_keys SET used = ? WHERE name = ?", now, key.name)


def _check(name: str, models: Collection[str]) -> None:
    if not _NAME.fullmatch(name):
        message = f"{name!r} cannot be a key's name"
        raise UsageError(message, "Letters, digits, and . _ - @ between them; at most 63 characters.")
    for model in models:
        if not _MODEL.fullmatch(model):
            raise UsageError(f"{model!r} cannot be the name of a model", "It is that of its endpoint.")


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: tuple[object, ...]) -> ApiKey:
    name, prefix, models, *times = row
    return ApiKey(name, prefix, tuple(json.loads(models)), *times)  # type: ignore[arg-type]
