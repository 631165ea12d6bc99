"""The public API: models by plain JSON, for whoever has a key."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import unquote

from hotfire.app_schema import App
from hotfire.console.openapi import Listed, document, example_of, request_schema, response_schema
from hotfire.console.predictions import Models, given, predict, told
from hotfire.errors import AccessDenied, ApiError, HotfireError
from hotfire.region.apps import PageExample
from hotfire.region.store import Store
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Request, Response
from hotfire.resources import Endpoint

_METHODS = "GET, HEAD, POST"
_SECONDS_REMEMBERED = 600
"""A browser asks no more often whether a page may ask."""
_MODEL = re.compile(r"/api/models/([^/]+)(?:/.*)?")
_HEADERS = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
_VARIES = ("vary", "origin")
"""Whose page asks makes a difference to an answer, also where none does."""
_log = logging.getLogger("hotfire.region")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by somebody who was let in. `name` is the model's in its path, if there is one."""

    request: Request
    visitor: Visitor
    needs_key: bool
    name: str = ""


Handler = Callable[[Asked], Any | Awaitable[Any]]


class Door(Protocol):
    """Who is let in, by one listener."""

    @property
    def needs_key(self) -> bool:
        """Whether programs of this machine need one too."""
        ...

    def origin(self, headers: Mapping[str, str], listed: Collection[str]) -> str | None:
        """The web page elsewhere that asks, if it may: it is listed there, or for all models.

        None if no such page asks. Raises AccessDenied.
        """
        ...

    def admit(self, headers: Mapping[str, str], *, elsewhere: bool) -> Visitor:
        """Who asks; `elsewhere` is a web page that is not the region's own. Raises ApiError."""
        ...


class Apps(Protocol):
    """Knows what models take and answer."""

    def of(self, endpoint: str) -> App:
        """What is declared of an endpoint's model, or can be told from its examples."""
        ...

    def examples(self, endpoint: str) -> Sequence[PageExample]:
        """The examples of an endpoint's project."""
        ...


class PublicApi:
    """Answers what is asked for below `/api/`; whatever goes wrong is answered as JSON too."""

    def __init__(self, store: Store, apps: Apps, models: Models) -> None:
        self._store, self._apps, self._models = store, apps, models
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
            ("GET", re.compile(r"/api/models"), self._list),
            ("GET", re.compile(r"/api/models/([^/]+)"), self._describe),
            ("POST", re.compile(r"/api/models/([^/]+)/predict"), self._predict),
            ("GET", re.compile(r"/api/openapi\.json"), self._document),
            ("GET", re.compile(r"/api/models/([^/]+)/openapi\.json"), self._document),
        )

    async def respond(self, request: Request, door: Door) -> Response:
        """The answer to a request that comes by this door."""
        origin: str | None = None
        try:
            origin = door.origin(request.headers, self._origins(request.path))
            if request.method == "OPTIONS":
                response = _preflight(request, origin)
            else:
                response = await self._answer(request, door, origin)
        except AccessDenied as error:
            response = refusal(ApiError(403, "not_from_here", error.message))
        return response if origin is None else _shared_with(origin, response)

    def model(self, name: str, visitor: Visitor) -> Listed:
        """A model, for somebody who may ask it. Raises ApiError."""
        endpoint, app = self._known(name, visitor)
        return Listed(name, app, endpoint.status, example_of(app, self._apps.examples(name)))

    def models(self, visitor: Visitor) -> list[Listed]:
        """The models that somebody may ask, by name."""
        return [
            self.model(endpoint.name, visitor)
            for endpoint in self._store.endpoints()
            if visitor.sees(endpoint.name) and endpoint.status != "Deleting"
        ]

    def _known(self, name: str, visitor: Visitor) -> tuple[Endpoint, App]:
        if not visitor.sees(name):
            # Whether there is one is no matter of theirs.
            raise ApiError(403, "not_your_model", "This key is not for that model.")
        endpoint = self._store.endpoint(name)
        if endpoint is None or endpoint.status == "Deleting":
            raise ApiError(404, "unknown_model", f"There is no model named {name!r}.")
        return endpoint, self._apps.of(name)

    async def _answer(self, request: Request, door: Door, origin: str | None) -> Response:
        is_owner = False
        try:
            visitor = door.admit(request.headers, elsewhere=origin is not None)
            is_owner = visitor.is_owner
            handler, name = self._found(request)
            answer = handler(Asked(request, visitor, door.needs_key, name))
            return _json(200, await answer if isinstance(answer, Awaitable) else answer)
        except ApiError as error:
            return refusal(error, to_owner=is_owner)
        except HotfireError as error:
            return refusal(ApiError(500, "internal", error.message), to_owner=is_owner)
        except Exception:  # noqa: BLE001  # the client is told, and the region goes on
            _log.exception("a bug in Hotfire, met by %s %s", request.method, request.path)
            return refusal(ApiError(500, "internal", "A fault of the region; its log says more."))

    def _found(self, request: Request) -> tuple[Handler, str]:
        """What answers, and the name of the model in the path, if there is one."""
        method = "GET" if request.method == "HEAD" else request.method
        allowed = []
        for known, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None and known == method:
                return handler, unquote(match[1]) if match.groups() else ""
            if match is not None:
                allowed.append(known)
        if allowed:
            message = f"{request.method} is not for this address, {' and '.join(allowed)} is."
            raise ApiError(405, "wrong_method", message, headers={"allow": ", ".join(allowed)})
        raise ApiError(404, "unknown_address", "There is nothing here; /api/openapi.json says what there is.")

    def _list(self, asked: Asked) -> dict[str, Any]:
        return {"models": [_summary(model) for model in self.models(asked.visitor)]}

    def _describe(self, asked: Asked) -> dict[str, Any]:
        model = self.model(asked.name, asked.visitor)
        found = {
            **_summary(model),
            "takes_several": model.app.takes_several,
            "request": request_schema(model.app),
            "response": response_schema(model.app),
        }
        return found if model.example is None else {**found, "example": model.example}

    async def _predict(self, asked: Asked) -> dict[str, Any]:
        _, app = self._known(asked.name, asked.visitor)
        # A form of a page elsewhere can send anything but this without the region being asked before.
        kind = asked.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            message = f"The body is said to be {kind or 'nothing'}: send `Content-Type: application/json`."
            raise ApiError(415, "not_json", message)
        return await predict(self._models, asked.name, app, given(asked.request.body))

    def _document(self, asked: Asked) -> dict[str, Any]:
        one = [self.model(asked.name, asked.visitor)] if asked.name else None
        return document(self.models(asked.visitor) if one is None else one, needs_key=asked.needs_key)

    def _origins(self, path: str) -> Collection[str]:
        """Web pages that may ask the model of this path."""
        match = _MODEL.fullmatch(path)
        name = unquote(match[1]) if match is not None else ""
        return self._apps.of(name).origins if self._store.endpoint(name) is not None else ()


def refusal(error: ApiError, *, to_owner: bool = False) -> Response:
    """An error as an answer."""
    response = _json(error.status, told(error, to_owner=to_owner))
    return replace(response, headers=(*response.headers, *error.headers.items()))


def _summary(model: Listed) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "description": model.app.description,
        "state": model.state,
        "predict": f"{model.path}/predict",
        "openapi": f"{model.path}/openapi.json",
    }


def _preflight(request: Request, origin: str | None) -> Response:
    """What a browser is told that asks whether a page may ask."""
    if origin is None:
        return Response(204, (("allow", _METHODS), _VARIES, *_HEADERS), b"")
    headers = [
        ("access-control-allow-methods", _METHODS),
        ("access-control-allow-headers", "authorization, content-type, x-api-key"),
        ("access-control-max-age", str(_SECONDS_REMEMBERED)),
    ]
    if request.headers.get("access-control-request-private-network") == "true":
        headers.append(("access-control-allow-private-network", "true"))
    return Response(204, (*headers, _VARIES, *_HEADERS), b"")


def _shared_with(origin: str, response: Response) -> Response:
    """An answer that a web page elsewhere may read; what its browser knows of this region goes not along."""
    headers = (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", "retry-after"),
    )
    return replace(response, headers=(*response.headers, *headers))


def _json(status: int, value: Any) -> Response:
    headers = (("content-type", "application/json"), _VARIES, *_HEADERS)
    return Response(status, headers, json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
