"""The region's pages: its endpoints, and for each a form to try its model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, quote, unquote

from hotfire.comparison import probabilities
from hotfire.errors import ModelError, ServiceError
from hotfire.region.caller import Caller
from hotfire.region.runtime import Runtime
from hotfire.region.store import Store
from hotfire.region.wire import Request, Response

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),  # without any, a form's Origin is null, as that of a page elsewhere
    ("cache-control", "no-store"),
)
_CALLER = Caller("us-east-1")
_LONGEST_SHOWN = 20_000
"""Characters of an answer; the rest is said to be there."""
_MOST_BARS = 40
"""Labels of an answer, as well."""
_LONGEST_CAPTION = 120


class Visitors(Protocol):
    """Who may see the pages."""

    def enter(self, token: str) -> str | None:
        """The Set-Cookie of a visitor whose token is good."""

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from a browser that entered."""
        ...


class Console:
    """Server-rendered pages over the same objects as the API."""

    def __init__(self, store: Store, runtime: Runtime, visitors: Visitors) -> None:
        self._store, self._runtime, self._visitors = store, runtime, visitors

    async def respond(self, request: Request) -> Response:
        """The page that a browser asks for."""
        if request.path == "/style.css":
            return self._style()
        token = parse_qs(request.query).get("entry", [""])[-1]
        if token:
            return self._enter(request, token)
        if not self._visitors.knows(request.headers):
            return self._page(403, "message.html", title="Hotfire", text=_NO_ENTRY)
        if request.path == "/" and request.method == "GET":
            return self._page(200, "endpoints.html", endpoints=self._store.endpoints())
        name = unquote(request.path.removeprefix("/e/"))
        if request.path.startswith("/e/") and self._store.endpoint(name) is not None:
            return await self._endpoint(name, request)
        return self._page(404, "message.html", title="Not found", text="There is no such page or endpoint.")

    async def _endpoint(self, name: str, request: Request) -> Response:
        endpoint = self._store.endpoint(name)
        examples: list[dict[str, Any]] = self._store.examples(name) or []
        first = examples[0] if examples else {"body": "", "content_type": "application/json", "accept": ""}
        form = {
            name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()
        }
        chosen = next((one for one in examples if one["name"] == form.get("example")), None)
        text, answer = first["body"], None
        if request.method == "POST":
            # A browser ends the lines of a form by both.
            text = chosen["body"] if chosen else form.get("text", "").replace("\r\n", "\n")
            answer = await self._invoke(name, chosen or first, text)
        return self._page(
            200,
            "endpoint.html",
            endpoint=endpoint,
            examples=examples,
            text=spoken(text, first["body"]),
            answer=answer,
        )

    async def _invoke(self, name: str, like: Mapping[str, Any], text: str) -> dict[str, Any]:
        """Send what was typed, in the shape of an example, and read the answer for the page."""
        body = shaped(text, like["body"])
        params = {"EndpointName": name, "Body": body.encode(), "ContentType": like["content_type"]}
        if like.get("accept"):
            params["Accept"] = like["accept"]
        try:
            answer = await self._runtime.invoke_endpoint(_CALLER, params)
        except ModelError as error:
            members = error.members
            return _shown(
                body, members["OriginalMessage"], error=f"The model answered {members['OriginalStatusCode']}."
            )
        except ServiceError as error:
            return _shown(body, error.message, error="The endpoint cannot answer.")
        return _shown(body, answer["Body"].decode("utf-8", "replace"))

    def _enter(self, request: Request, token: str) -> Response:
        cookie = self._visitors.enter(token)
        if cookie is None and not self._visitors.knows(request.headers):
            return self._page(403, "message.html", title="Hotfire", text=_USED_UP)
        # The address without the token is what stays in the browser's history.
        location = ("location", "/" + quote(unquote(request.path)).lstrip("/"))
        return Response(303, (location, *_HEADERS, *((("set-cookie", cookie),) if cookie else ())), b"")

    def _style(self) -> Response:
        from importlib.resources import files

        style = files("hotfire.console").joinpath("static", "style.css").read_bytes()
        return Response(200, (("content-type", "text/css; charset=utf-8"), *_HEADERS), style)

    def _page(self, status: int, template: str, **values: Any) -> Response:
        text = self._templates.get_template(template).render(**values)
        return Response(status, (("content-type", "text/html; charset=utf-8"), *_HEADERS), text.encode())

    @cached_property
    def _templates(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        return Environment(
            loader=PackageLoader("hotfire.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )


def shaped(text: str, example: str) -> str:
    """The body that `text` means: JSON as it is; plain words take the place of the example's first string."""
    for candidate in (text, example):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if candidate is text:
            return text
        filled, done = _fill(value, text)
        return json.dumps(filled, ensure_ascii=False) if done else text
    return text


def spoken(body: str, example: str) -> str:
    """The words that mean a body: what `shaped` takes back to it; the body itself where no words do."""
    try:
        value = json.loads(body)
        words = _words(value)
        return words if words and json.loads(shaped(words, example)) == value else body
    except ValueError:
        return body


def _words(value: Any) -> str:
    """The first string in it."""
    if isinstance(value, str):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(_words, items)), "")


def _fill(value: Any, text: str) -> tuple[Any, bool]:
    """A copy with the first string replaced, each list cut to the item that holds it."""
    if isinstance(value, str):
        return text, True
    if isinstance(value, list):
        for item in value:
            filled, done = _fill(item, text)
            if done:
                return [filled], True
    if isinstance(value, dict):
        for name, item in value.items():
            filled, done = _fill(item, text)
            if done:
                return {**value, name: filled}, True
    return value, False


def _shown(body: str, text: str, error: str = "") -> dict[str, Any]:
    """What the page shows of an answer."""
    tables: list[dict[str, Any]] = []
    value = None if error else _json(text)
    if value is not None:
        tables = _tables(value, _json(body))
        text = json.dumps(value, indent=2, ensure_ascii=False)
    cut = len(text) - _LONGEST_SHOWN
    return {
        "request": body,
        "text": text[:_LONGEST_SHOWN],
        "cut": max(cut, 0),
        "tables": tables,
        "error": error,
    }


def _tables(answer: Any, request: Any) -> list[dict[str, Any]]:
    """The probabilities in an answer, for each input: the highest first, with words of the input."""
    answers = answer if isinstance(answer, list) else [answer]
    inputs = request if isinstance(request, list) and len(request) == len(answers) > 1 else []
    captions = [_words(item)[:_LONGEST_CAPTION] for item in inputs] or [""] * len(answers)
    tables = []
    for item, caption in zip(answers, captions, strict=True):
        rows = sorted((probabilities(item) or {}).items(), key=lambda pair: -pair[1])
        if rows:
            more = max(len(rows) - _MOST_BARS, 0)
            tables.append({"caption": caption, "rows": rows[:_MOST_BARS], "more": more})
    return tables


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


_NO_ENTRY = (
    "This page is opened by a link that `hotfire status` prints: it works once, and lets this browser in."
)
_USED_UP = "This link has been used. `hotfire status` prints a new one."
