"""The page of a model: a form to try it, its answers, and the same requests as code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hotfire.app_inputs import Upload
from hotfire.app_schema import App
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.form_data import form_data
from hotfire.console.frame import download
from hotfire.console.kept import Keeper, Kept
from hotfire.console.model_answer import Answered, answered, content_type
from hotfire.console.model_form import Draft, as_raw, blank, of_example, of_post, of_token
from hotfire.console.model_view import Shown, View
from hotfire.console.visits import Absent, Page, Route, Visit
from hotfire.errors import InputError
from hotfire.region.apps import Apps, PageExample
from hotfire.region.caller import Caller
from hotfire.region.runtime import Outcome, Runtime
from hotfire.region.store import Store
from hotfire.region.wire import Response

_CALLER = Caller("us-east-1", via="page")
_LARGE = 20_000
"""Bytes of an answer whose whole is kept for a while, since the page shows but its beginning."""
_UNKNOWN = "application/octet-stream"


class ModelPage:
    """`/e/NAME`. `needs_key` is whether the public API wants a key of the owner's programs too."""

    def __init__(
        self, store: Store, runtime: Runtime, pages: EndpointPages, apps: Apps, *, needs_key: bool = False
    ) -> None:
        self._store, self._runtime, self._pages, self._apps = store, runtime, pages, apps
        self._needs_key = needs_key
        self._keeper = Keeper()

    @property
    def routes(self) -> Sequence[Route]:
        """The page, and what it keeps for a while, for whoever may see the model."""
        return (
            Route("GET", "/e/{name}", self.show, is_shared=True),
            Route("POST", "/e/{name}", self.send, is_shared=True),
            Route("GET", "/e/{name}/kept/{token}", self.kept, is_shared=True),
        )

    async def show(self, visit: Visit) -> Page:
        """The form, filled by an example or by the defaults."""
        common, name = self._pages.common(visit), visit.places["name"]
        app, examples = await self._apps.shown(name), self._apps.examples(name)
        return self._page(visit, common, app, lambda: Shown(_first(app, examples, visit.query)))

    async def send(self, visit: Visit) -> Page:
        """The form as it was sent: with the answer, or with another input, or as the request itself."""
        common, name = self._pages.common(visit), visit.places["name"]
        app, examples = await self._apps.shown(name), self._apps.examples(name)
        data = form_data(visit.request)

        def find(token: str) -> Upload | None:
            kept = self._keeper.find(name, token)
            return of_token(app, examples, token) if kept is None else Upload(kept.data, kept.content_type)

        draft = of_post(app, data, find)
        shown = _changed(app, draft, data.fields.get("action", "send")) or await self._sent(visit, app, draft)
        return self._page(visit, common, app, lambda: shown)

    async def kept(self, visit: Visit) -> Response:
        """The whole of what a page shows the beginning of, as a file."""
        found = self._keeper.find(visit.places["name"], visit.places["token"])
        if found is None:
            raise Absent("This was kept for a while, and is not any more: send the request again.")
        return download(found.name, found.data, "text/plain; charset=utf-8" if _is_text(found) else _UNKNOWN)

    async def _sent(self, visit: Visit, app: App, draft: Draft) -> Shown:
        try:
            body = draft.sent(app)
            rows = app.values_of(body.body, body.content_type) if draft.is_raw else draft.values(app)
        except InputError as error:
            return Shown(draft, error)
        name = visit.places["name"]
        params = {"EndpointName": name, "Body": body.body, "ContentType": body.content_type}
        given = {"Accept": draft.accept, "CustomAttributes": draft.attributes, "TargetVariant": draft.variant}
        outcome = await self._runtime.ask(
            _CALLER, params | {key: text for key, text in given.items() if text}
        )
        is_owner = visit.visitor is not None and visit.visitor.is_owner
        # Millions of bytes are laid out elsewhere, while others are answered.
        answer = await asyncio.to_thread(answered, app, rows or [], body, outcome, is_owner=is_owner)
        return Shown(draft, None, body, self._with_token(name, answer, outcome))

    def _with_token(self, name: str, answer: Answered, outcome: Outcome) -> Answered:
        """The answer with what leads to the whole of it, if the page does not show that."""
        raw = answer.raw
        if raw is None or outcome.answer is None or raw.kind in ("empty", "absent"):
            return answer
        if not raw.more and raw.kind in ("json", "text") and raw.size <= _LARGE:
            return answer
        kind = content_type(outcome.answer)
        kept = Kept(f"{name}-answer{_ending(kind)}", outcome.answer.body, kind)
        return replace(answer, token=self._keeper.keep(name, kept))

    def _page(self, visit: Visit, common: Mapping[str, object], app: App, make: Callable[[], Shown]) -> Page:
        name = visit.places["name"]
        view = View(
            visit,
            app,
            self._apps.examples(name),
            self._variants(name),
            self._keeper,
            make,
            needs_key=self._needs_key,
        )
        values = {**common, "view": view}
        return Page("model.html", values, live=("standing",), topics=("endpoints", "dev"), endpoint=name)

    def _variants(self, name: str) -> list[str]:
        endpoint = self._store.endpoint(name)
        config = self._store.config(endpoint.config_name) if endpoint is not None else None
        found = config.request.get("ProductionVariants", ()) if config is not None else ()
        return [one["VariantName"] for one in found]


def _first(app: App, examples: Sequence[PageExample], query: Mapping[str, str]) -> Draft:
    """What a form begins with: the example that was asked for, else the defaults, else the first example."""
    named = next((one for one in examples if one.name == query.get("example")), None)
    has_defaults = any(one.default is not None and one.default is not False for one in app.inputs)
    if named is None and not has_defaults:
        named = _simplest(app, [one for one in examples if one.status < 300])
    draft = blank(app) if named is None else of_example(app, named)
    return draft if "example" in query else replace(draft, example="")


def _simplest(app: App, examples: Sequence[PageExample]) -> PageExample | None:
    """The first with one input to the model, else the first that the form can say, else the first."""
    fitting = []
    for one in examples:
        values = app.values_of(one.body, one.content_type)
        if values is not None and len(values) == 1:
            return one
        if values is not None:
            fitting.append(one)
    return next(iter([*fitting, *examples]), None)


def _changed(app: App, draft: Draft, action: str) -> Shown | None:
    """The form after anything but sending it."""
    if action == "add":
        return Shown(draft.with_another)
    if action == "raw":
        return Shown(as_raw(app, draft))
    if action == "form":
        return _as_fields(app, draft)
    if action.startswith("remove.") and action[7:].isdecimal():
        return Shown(draft.without(int(action[7:])))
    return None


def _as_fields(app: App, draft: Draft) -> Shown:
    """A body that was edited as the form's fields, if it is one that they make."""
    try:
        body = draft.sent(app)
    except InputError as error:
        return Shown(draft, error)
    request = PageExample(draft.example, body.body, body.content_type, draft.accept, draft.attributes)
    made = of_example(app, request)
    if made.is_raw:
        return Shown(draft, InputError("the form has no fields that make this request"))
    return Shown(replace(made, variant=draft.variant))


def _is_text(kept: Kept) -> bool:
    kind = kept.content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("json", "xml"))


def _ending(kind: str) -> str:
    kind = kind.partition(";")[0].strip().lower()
    return {"application/json": ".json", "text/csv": ".csv", "text/plain": ".txt"}.get(kind, "")
