"""A model's page and API for others, by a listener that is there for nothing else.

It lives as long as the connection of whoever asked for it: when that ends, in whatever way, the listener is
closed and its key opens nothing any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Coroutine, Mapping, Sequence
from socket import socket
from typing import Any, Self, TypeVar

from hotfire.address import Exposure, Key, prove
from hotfire.console.app import Console, Strangers
from hotfire.console.frame import redirect
from hotfire.console.predictions import too_large
from hotfire.console.public import PublicApi, refusal
from hotfire.console.visits import Part, Route, Visit
from hotfire.errors import AccessDenied, UsageError
from hotfire.region.api_keys import new_secret
from hotfire.region.feed import Feed
from hotfire.region.store import Store
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Request, Response
from hotfire.server import http, listening
from hotfire.server.exchange import head_of, send_response
from hotfire.server.gate import Gate, cookie_of, same
from hotfire.server.guests import Guests

_T = TypeVar("_T")

MOST_BYTES = 64 * 1024 * 1024
_STRANGERS = Strangers(
    "This page is opened by the link that you were given: it lets this browser in.",
    "This link is not good, or not any more. Whoever shares the model can give you another.",
)
_OVER = Response(503, (("connection", "close"),), b"")
_ADVICE = "The link to the model's page has one."
_NO_SUCH = "there is no endpoint {0!r} in the local region"


class LinkHolders:
    """Browsers that came by the link to one model, and programs that use the key in it."""

    def __init__(self, model: str, secret: str, port: int) -> None:
        self._secret, self._visitor = secret, Visitor(models=frozenset({model}), key=secret)
        self._name = f"hotfire-{port}"
        # The cookie is not the key: what a browser keeps is good for the page alone.
        self._session = prove(f"share {secret}", "session")

    def enter(self, token: str) -> str | None:
        """The Set-Cookie of whoever has the link; it is forgotten with the browser's session.

        It is sent along also where a message or another page leads here.
        """
        if not same(token, self._secret):
            return None
        return f"{self._name}={self._session}; HttpOnly; SameSite=Lax; Path=/"

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        """Who a request comes from; None if the browser did not enter."""
        return self._visitor if same(cookie_of(headers, self._name), self._session) else None

    def holder(self, secret: str) -> Visitor | None:
        """Who has this key; None if it is another."""
        return self._visitor if same(secret, self._secret) else None


class _Shared:
    """Those pages of a part that others may see: the rest is not even there."""

    def __init__(self, part: Part) -> None:
        self.routes: Sequence[Route] = [route for route in part.routes if route.is_open or route.is_shared]


class _Start:
    """The first page, from which one comes to the model's."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.routes = (Route("GET", "/", self._lead, is_shared=True),)

    def _lead(self, visit: Visit) -> Response:
        return redirect(f"/e/{self._model}")


class SharedModel:
    """One model's page and API; an ASGI application."""

    def __init__(self, gate: Gate, guests: Guests, console: Console, api: PublicApi) -> None:
        self._gate, self._guests, self._console, self._api = gate, guests, console, api
        self._unbounded: set[asyncio.Task[Any]] = set()
        """What lasts as long as a visitor likes: bodies that come in, and streams that go out."""
        self._is_over = False

    async def __call__(self, given: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer an HTTP request."""
        if given["type"] != "http":
            return
        with contextlib.suppress(ConnectionError):
            response = await self._answer(given, receive)
            await send_response(send, response)
            if response.flow is not None:
                try:
                    await self._until_over(http.send_flow(receive, send, response.flow))
                except asyncio.CancelledError:
                    await send({"type": "http.response.body", "body": b""})

    def end(self) -> None:
        """Let nobody in any more, and break off what could go on for ever."""
        self._is_over = True
        for task in self._unbounded:
            task.cancel()

    async def _answer(self, given: Mapping[str, Any], receive: Any) -> Response:
        try:
            body = await self._until_over(http.read_body(receive, MOST_BYTES))
        except asyncio.CancelledError:
            return _OVER
        if self._is_over:
            return _OVER
        if body is None:
            return refusal(too_large(MOST_BYTES))
        return await self._respond(dataclasses.replace(head_of(given), body=body))

    async def _respond(self, request: Request) -> Response:
        if request.path.startswith("/api/"):
            return await self._api.respond(request, self._guests.door(is_here=False))
        try:
            self._gate.check_origin(_followed(request))
        except AccessDenied as error:
            return Response(error.status, (("content-type", "text/plain"),), f"{error.message}\n".encode())
        return await self._console.respond(request)

    async def _until_over(self, coming: Coroutine[Any, Any, _T]) -> _T:
        task = asyncio.ensure_future(coming)
        self._unbounded.add(task)
        try:
            return await task
        finally:
            self._unbounded.discard(task)


class Share:
    """What befalls a listener, line by line as JSON, until it ends; closing it ends the listener.

    `seconds`, if they are given, are how long it is there at most.
    """

    def __init__(
        self,
        told: Mapping[str, Any],
        application: SharedModel,
        listener: socket,
        seconds: float | None,
    ) -> None:
        self._told: Mapping[str, Any] | None = told
        self._application, self._seconds = application, seconds
        self._server = http.server(application)
        self._over = asyncio.Event()
        self.serving = asyncio.ensure_future(self._server.serve(sockets=[listener]))
        self.serving.add_done_callback(lambda _: self._over.set())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The beginning; nothing more until the end, if that does not come of itself."""
        told, self._told = self._told, None
        if told is None and not self._over.is_set():
            told = await self._expiry()
        if told is None:
            raise StopAsyncIteration
        return json.dumps(told).encode() + b"\n"

    async def _expiry(self) -> Mapping[str, Any] | None:
        """What is told when its time is over; None if something else ends it."""
        try:
            await asyncio.wait_for(self._over.wait(), self._seconds)
        except TimeoutError:
            self._over.set()
            return {"expired": True}
        return None

    def end(self) -> None:
        """Let whoever holds it know that it ends."""
        self._over.set()

    async def aclose(self) -> None:
        """Close the listener; requests in hand are answered."""
        self._application.end()
        self._server.end()
        await asyncio.shield(self.serving)


def _followed(request: Request) -> Mapping[str, str]:
    """The headers as they are checked: a link on a page elsewhere may lead here, a form may not."""
    headers = request.headers
    if request.method != "GET" or headers.get("sec-fetch-mode") != "navigate":
        return headers
    return {name: value for name, value in headers.items() if name != "sec-fetch-site"}


class Shares:
    """Makes listeners for others, each for one model."""

    def __init__(self, key: Key, store: Store, feed: Feed, parts: Sequence[Part], api: PublicApi) -> None:
        self._key, self._store, self._feed, self._api = key, store, feed, api
        self._parts = [_Shared(part) for part in parts]
        self._open: set[Share] = set()

    def hold(self, params: Mapping[str, Any]) -> Share:
        """Share a model until the answer is closed.

        Raises UsageError if there is no such model, PortInUse and RegionError for an address that is taken
        or not this machine's.
        """
        model, host = params["model"], params["host"]
        if self._store.endpoint(model) is None:
            raise UsageError(_NO_SUCH.format(model), "`hotfire deploy` or `hotfire dev` brings it there.")
        listener = listening.bound(host, params["port"])
        port = listener.getsockname()[1]
        secret = new_secret()
        holders = LinkHolders(model, secret, port)
        gate = Gate(self._key, listening.names(port, Exposure(host)))
        console = Console(holders, self._feed, [_Start(model), *self._parts], _STRANGERS)
        guests = Guests(gate, holders, holders, needs_key=True, advice=_ADVICE)
        told = {"key": secret, "port": port, "addresses": listening.reached_at(host)}
        share = Share(told, SharedModel(gate, guests, console, self._api), listener, params["seconds"])
        self._open.add(share)
        share.serving.add_done_callback(lambda _: self._open.discard(share))
        return share

    def end(self) -> None:
        """The region ends."""
        for share in self._open:
            share.end()
