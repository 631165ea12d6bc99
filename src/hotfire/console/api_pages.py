"""The public API explained: for each model what it takes and answers, and programs that ask it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from hotfire.app_inputs import Input
from hotfire.app_schema import App, Body
from hotfire.comparison import shown
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.frame import download
from hotfire.console.openapi import ERRORS, FACTS, Listed
from hotfire.console.public import PublicApi
from hotfire.console.snippets import Call, Snippet, snippets
from hotfire.console.visits import Absent, Page, Route, Visit
from hotfire.errors import ApiError
from hotfire.region.visitor import Visitor
from hotfire.region.wire import Response

_JSON = "application/json"
_LONGEST = 2_000
"""Characters of an example that stands on the page; a longer one is a file."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the model's input as the page tells of it."""

    name: str
    kind: str
    about: str


class ApiPages:
    """`/api`, and `/e/NAME/api` for whoever may see the model.

    `needs_key` is whether the region wants one of this machine's programs too; `origins` are the web pages
    that may ask all its models.
    """

    def __init__(
        self, api: PublicApi, pages: EndpointPages, *, needs_key: bool, origins: Collection[str]
    ) -> None:
        self._api, self._pages = api, pages
        self._needs_key, self._origins = needs_key, tuple(origins)
        self.routes = (
            Route("GET", "/api", self.show_all),
            Route("GET", "/e/{name}/api", self.show, is_shared=True),
            Route("GET", "/e/{name}/api/input.json", self.show_input, is_shared=True),
        )

    def show_all(self, visit: Visit) -> Page:
        """What there is for all models."""
        models = self._api.models(_visitor(visit))
        values = {"models": models, "url": _url(visit), "needs_key": self._needs_key, "errors": ERRORS}
        return Page("api.html", {**values, "origins": self._origins})

    def show(self, visit: Visit) -> Page:
        """What there is for one."""
        common, model, visitor = self._pages.common(visit), self._model(visit), _visitor(visit)
        needs_key = self._needs_key or not visitor.is_owner
        values = {
            **common,
            "model": model,
            "address": f"{_url(visit)}{model.path}/predict",
            "input": _pretty(model.example),
            "snippets": programs(model, _url(visit), needs_key=needs_key),
            "fields": list(fields(model.app)),
            "facts": {name: fact.get("description", "") for name, fact in FACTS.items()},
            "errors": ERRORS,
            "needs_key": needs_key,
            "key": visitor.key,
            "origins": (*self._origins, *model.app.origins),
        }
        return Page("endpoint_api.html", values, live=("state",), topics=("endpoints",), endpoint=model.name)

    def show_input(self, visit: Visit) -> Response:
        """The example of an input, which a snippet may want as a file."""
        model = self._model(visit)
        return download(_file(model), json.dumps(model.example, ensure_ascii=False).encode(), _JSON)

    def _model(self, visit: Visit) -> Listed:
        try:
            return self._api.model(visit.places["name"], _visitor(visit))
        except ApiError as error:
            raise Absent from error


def _visitor(visit: Visit) -> Visitor:
    assert visit.visitor is not None  # strangers get no further than the frame
    return visit.visitor


def _url(visit: Visit) -> str:
    """Where the visitor finds the region; a proxy before it may speak TLS."""
    headers = visit.request.headers
    scheme = "https" if headers.get("x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{headers.get('host', '')}"


def _file(model: Listed) -> str:
    return f"{model.name}-input.json"


def _pretty(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def programs(model: Listed, url: str, *, needs_key: bool) -> list[Snippet]:
    """Programs that ask a model, in several languages; none of one without an example."""
    if model.example is None:
        return []
    plain = json.dumps(model.example, ensure_ascii=False)
    call = Call(url, model.name, Body(plain.encode(), _JSON), plain=plain, needs_key=needs_key)
    python, curl = snippets(call, is_owner=False)
    return [curl, python, _javascript(model, url, plain, needs_key=needs_key)]


def _javascript(model: Listed, url: str, plain: str, *, needs_key: bool) -> Snippet:
    """For Node.js, and for a web page whose origin is listed."""
    is_long = len(plain) > _LONGEST
    key = "\n    Authorization: `Bearer ${process.env.HOTFIRE_KEY}`," if needs_key else ""
    start = 'import { readFileSync } from "node:fs";\n\n' if is_long else ""
    body = f"readFileSync({json.dumps(_file(model))})" if is_long else f"JSON.stringify({plain})"
    text = f"""{start}const answer = await fetch({json.dumps(f"{url}{model.path}/predict")}, {{
  method: "POST",
  headers: {{
    "Content-Type": "application/json",{key}
  }},
  body: {body},
}});
console.log(await answer.json());"""
    needs = "As a module (.mjs) of Node.js 18 or newer; a web page asks in the same way."
    return Snippet("JavaScript", text, needs, _file(model) if is_long else "")


def fields(app: App) -> Iterator[Field]:
    """What a model takes, a field after the other."""
    for one in app.inputs:
        schema = one.schema()
        kind = schema.get("type", "one of" if "enum" in schema else "any JSON")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        yield Field(one.name, f"{kind}, base64" if "contentEncoding" in schema else kind, _about(one))


def _about(one: Input) -> str:
    """What else there is to know of a field, in words."""
    parts = [one.description.rstrip(".")] if one.description else []
    parts += [", ".join(map(shown, one.choices))] if one.choices else []
    parts += [f"{shown(one.min)} or more"] if one.min is not None else []
    parts += [f"{shown(one.max)} or less"] if one.max is not None else []
    parts += [f"{shown(one.default)} if it is left out"] if one.default is not None else []
    parts += ["may be left out"] if one.default is None and not one.required else []
    return "; ".join(parts)
