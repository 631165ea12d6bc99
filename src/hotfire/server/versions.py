"""Several versions of one model in a container that somebody develops in, each by the container's contract.

They are made, edited and ended by the orders of the region that has mounted its desk, and of nobody else;
each of its requests says which version is to answer. So traffic goes over, and what is in hand ends, just as
it does between processes of the region's own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotfire.errors import InstanceError, LoadFailed
from hotfire.instances.base import Change, Host, Instance, Output, Spec
from hotfire.instances.desk import (
    HEADERS,
    LOOK_HEADER,
    SECRET_HEADER,
    VERSION_HEADER,
    knows,
    version_at,
)
from hotfire.instances.settings import ServerSettings
from hotfire.server.container import LOOK, Container, Look
from hotfire.server.http import RAW_HEADERS, read_body

_MOST_BYTES = 64 * 1024 * 1024
"""Of an order: it has the sources of modules that changed."""
_ORDERS = "/_hotfire/"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Version:
    instance: Instance
    container: Container
    most_bytes: int


class Versions:
    """An ASGI application. `desk` is where versions lie, and `secret` what proves whose orders they are."""

    def __init__(self, host: Host, desk: Path, secret: str, python: Path, output: Output) -> None:
        self._host, self._desk, self._secret = host, desk, secret
        self._python, self._output = python, output
        self._versions: dict[str, _Version] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._orders: Mapping[str, Callable[[Values], Awaitable[Values]]] = {
            "load": self.load,
            "edit": self.edit,
            "end": self.end,
        }

    async def load(self, order: Values) -> Values:
        """Load the `files` of the desk as a `version`; `failure` is what `LoadFailed` has, or None."""
        files = version_at(self._desk, str(int(order["files"])))
        variables = dict(order["environment"])
        spec = Spec(order["version"], files, variables, self._python, order["startup_timeout"])
        instance = self._host.instance(spec, self._output)
        try:
            await self._make(order["version"], instance, ServerSettings.read(variables, 1).max_request)
        except LoadFailed as error:
            return {"failure": {"message": error.message, "trace": error.trace, "findings": error.findings}}
        return {"failure": None}

    async def edit(self, order: Values) -> Values:
        """Go on with the model of `before` and newer code as a `version`; whether that `is_made`."""
        before = self._versions.get(order["before"])
        changes = [_change(one) for one in order["changes"]]
        heir = None if before is None else before.instance.successor(changes)
        if before is None or heir is None:
            return {"is_made": False}
        try:
            await self._make(order["version"], heir, before.most_bytes)
        except InstanceError:
            return {"is_made": False}
        return {"is_made": True}

    async def end(self, order: Values) -> Values:
        """End a version, its requests in hand answered; one that is being made is made no further."""
        making = self._making.get(order["version"])
        if making is not None:
            making.cancel()
            await asyncio.wait([making])
        version = self._versions.pop(order["version"], None)
        if version is not None:
            await version.instance.stop()
        return {}

    async def close(self) -> None:
        """End them all."""
        for name in (*self._making, *self._versions):
            await self.end({"version": name})

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer an HTTP request, by ASGI."""
        if scope["type"] != "http":
            return
        said = {name: value.decode("latin-1") for name, value in _named(scope).items()}
        if scope["path"] == "/ping":
            await _answer(send, 200, {"status": "Healthy"})
        elif not knows(self._secret, said.get(SECRET_HEADER, "")):
            await _answer(send, 403, {"message": "`hotfire dev` has this container: ask its endpoint."})
        elif scope["path"].startswith(_ORDERS):
            await self._obey(scope["path"].removeprefix(_ORDERS), receive, send)
        elif (version := self._versions.get(said.get(VERSION_HEADER, ""))) is None:
            await _answer(send, 503, {"message": "this version has ended"})
        else:
            _clear(scope)
            words = said.get(LOOK_HEADER, "").split()
            scope["extensions"][LOOK] = Look(**dict.fromkeys(words, True))
            await version.container(scope, receive, send)

    async def _obey(self, what: str, receive: Any, send: Any) -> None:
        body = await read_body(receive, _MOST_BYTES)
        order = self._orders.get(what)
        if order is None or body is None:
            await _answer(send, 404, {"message": "there is no such order"})
            return
        await _answer(send, 200, await order(json.loads(body)))

    async def _make(self, name: str, instance: Instance, most_bytes: int) -> None:
        """Have a version by an instance that is to be started. Raises InstanceError."""
        container = Container(instance, most_bytes)

        async def make() -> None:
            try:
                await container.load()
            except BaseException:
                await instance.stop()
                raise
            self._versions[name] = _Version(instance, container, most_bytes)

        making = self._making[name] = asyncio.ensure_future(make())
        try:
            await asyncio.wait([making])
        finally:
            del self._making[name]
        if making.cancelled():
            raise LoadFailed("it was given up")
        making.result()


def _change(given: Values) -> Change:
    return Change(given["place"], given["source"], tuple(given["names"]), tuple(given["removed"]))


def _named(scope: Mapping[str, Any]) -> dict[str, bytes]:
    """Our own headers."""
    return {
        name.decode("latin-1"): value for name, value in scope["headers"] if name.decode("latin-1") in HEADERS
    }


def _clear(scope: MutableMapping[str, Any]) -> None:
    """Take our own headers out: they are not the handler's."""
    scope["headers"] = [one for one in scope["headers"] if one[0].decode("latin-1") not in HEADERS]
    raw = scope["extensions"][RAW_HEADERS]
    raw[:] = [one for one in raw if one[0].decode("latin-1").lower() not in HEADERS]


async def _answer(send: Any, status: int, value: Values) -> None:
    body = json.dumps(value).encode()
    pairs = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
