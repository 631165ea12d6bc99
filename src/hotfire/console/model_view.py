"""What the template of a model's page draws, made when it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hotfire.app_inputs import Upload
from hotfire.app_schema import App, Body, Source
from hotfire.console.kept import Keeper, Kept
from hotfire.console.model_answer import Answered
from hotfire.console.model_fields import Field, Problem, fields, file_of, problem_of
from hotfire.console.model_form import Draft
from hotfire.console.snippets import Call, Snippet, plain_of, snippets
from hotfire.console.visits import Visit
from hotfire.errors import InputError
from hotfire.region.apps import PageExample

FIRST_EXAMPLES = 12
"""So many examples are offered at once, the others on demand."""
_UNKNOWN = "application/octet-stream"
_SOURCES = {
    Source.EXAMPLES: "made from the project's examples",
    Source.REQUESTS: "made from requests that came before",
    Source.NOTHING: "what the model takes is said by nothing: no examples, no app: in config.yml",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a visit comes to: what stands in the form, and what came of it if it was sent."""

    draft: Draft
    problem: InputError | None = None
    sent: Body | None = None
    answer: Answered | None = None


class View:
    """A visit to the page of a model. `make` is asked when something of the form is drawn.

    Whoever follows the page is told its state again and again, for which nothing of this is needed.
    """

    def __init__(
        self,
        visit: Visit,
        app: App,
        examples: Sequence[PageExample],
        variants: Sequence[str],
        keeper: Keeper,
        make: Callable[[], Shown],
        *,
        needs_key: bool,
    ) -> None:
        self.app = app
        self.examples, self.more_examples = examples[:FIRST_EXAMPLES], examples[FIRST_EXAMPLES:]
        self.variants = variants if len(variants) > 1 else ()
        self._visit, self._name, self._keeper = visit, visit.places["name"], keeper
        self._make, self._needs_key = make, needs_key

    @cached_property
    def shown(self) -> Shown:
        """What stands in the form, and what came of it."""
        return self._make()

    @property
    def draft(self) -> Draft:
        """What stands in the form."""
        return self.shown.draft

    @property
    def answer(self) -> Answered | None:
        """What came of it, if it was sent."""
        return self.shown.answer

    @cached_property
    def rows(self) -> list[list[Field]]:
        """The fields of each input to the model."""
        return fields(self.app, self.draft, self._keep, self.shown.problem)

    @cached_property
    def problem(self) -> Problem | None:
        """Why the form could not be sent."""
        error = self.shown.problem
        return None if error is None else problem_of(self.rows, error)

    @property
    def insists(self) -> bool:
        """Whether the browser insists on required fields: where somebody has said that they are."""
        return self.app.source is Source.CONFIG

    @property
    def source(self) -> str:
        """Whence the form comes, where nobody has said how it is to be."""
        return _SOURCES.get(self.app.source, "")

    @cached_property
    def file(self) -> tuple[str, str, str] | None:
        """Of a body that is no text: its token, what it is, and how it looks."""
        cell = self.draft.body
        if not self.draft.is_raw or cell.upload is None:
            return None
        return (cell.kept or self._keep(cell.upload), *file_of(cell.upload))

    @cached_property
    def snippets(self) -> list[tuple[Snippet, str]]:
        """The request as code: the one that was sent, else that of the form. With the token of its file."""
        draft = self.draft
        try:
            body = self.shown.sent or draft.sent(self.app)
            rows = (
                self.app.values_of(body.body, body.content_type) if draft.is_raw else draft.values(self.app)
            )
        except InputError:
            return []
        visitor = self._visit.visitor
        is_owner = visitor is not None and visitor.is_owner
        needs_key = self._needs_key or not is_owner
        call = Call(
            url=f"http://{self._visit.request.headers.get('host', '')}",
            endpoint=self._name,
            body=body,
            accept=draft.accept,
            attributes=draft.attributes,
            variant=draft.variant,
            plain=plain_of(self.app, list(rows), body) if rows and draft.accept == self.app.accept else None,
            needs_key=needs_key,
            key=visitor.key if visitor is not None else "",
        )
        return [(one, self._token(one)) for one in snippets(call, is_owner=is_owner)]

    def _token(self, snippet: Snippet) -> str:
        return (
            self._keeper.keep(self._name, Kept(snippet.file, snippet.data, _UNKNOWN)) if snippet.file else ""
        )

    def _keep(self, upload: Upload) -> str:
        return self._keeper.keep(self._name, Kept(self._name, upload.data, upload.content_type))
