"""The page of a model: a form to try it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hotfire.comparison import probabilities
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.visits import Page, Route, Visit
from hotfire.errors import ModelError, ServiceError
from hotfire.region.caller import Caller
from hotfire.region.runtime import Runtime
from hotfire.region.store import Store

_CALLER = Caller("us-east-1")
_LONGEST_SHOWN = 20_000
"""Characters of an answer; the rest is said to be there."""
_MOST_BARS = 40
"""Labels of an answer, as well."""
_LONGEST_CAPTION = 120


class ModelPage:
    """A form to try the model of an endpoint."""

    def __init__(self, store: Store, runtime: Runtime, pages: EndpointPages) -> None:
        self._store, self._runtime, self._pages = store, runtime, pages

    @property
    def routes(self) -> Sequence[Route]:
        """`/e/NAME`, for whoever may see the model."""
        return (
            Route("GET", "/e/{name}", self.show, is_shared=True),
            Route("POST", "/e/{name}", self.show, is_shared=True),
        )

    async def show(self, visit: Visit) -> Page:
        """The form, with the answer to what was sent."""
        common, name = self._pages.common(visit), visit.places["name"]
        examples: list[dict[str, Any]] = self._store.examples(name) or []
        first = examples[0] if examples else {"body": "", "content_type": "application/json", "accept": ""}
        form = visit.form
        chosen = next((one for one in examples if one["name"] == form.get("example")), None)
        text, answer = first["body"], None
        if visit.request.method == "POST":
            # A browser ends the lines of a form by both.
            text = chosen["body"] if chosen else form.get("text", "").replace("\r\n", "\n")
            answer = await self._invoke(name, chosen or first, text)
        values = {
            **common,
            "examples": examples,
            "text": spoken(text, first["body"]),
            "answer": answer,
        }
        return Page("endpoint.html", values, live=("state",), topics=("endpoints",), endpoint=name)

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
