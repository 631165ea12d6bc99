"""What a model's page says of a request that it has sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hotfire.app_inputs import Kind
from hotfire.app_schema import App, Body
from hotfire.console.explained import explained
from hotfire.console.results import Result, headline, results
from hotfire.console.shown import Shown, shown
from hotfire.console.times import TimeSpent, times_spent
from hotfire.errors import ModelError, ServiceError, Throttling, ValidationError
from hotfire.failure import Sent
from hotfire.hints import advice
from hotfire.instances.base import Answer as ContainerAnswer
from hotfire.region.runtime import Outcome

_LONGEST_CAPTION = 120
_LONGEST_TRACE = 20_000
_SENT_START = 400


@dataclass(frozen=True, slots=True)
class Told:
    """What a client of SageMaker's is told of a request that failed."""

    code: str
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as the page shows it. `raw` is the body, `token` leads to all of it where it is cut.

    Of a failure `why` says in a few words what it is, `explained` are the lines of `hotfire dev`, `trace`
    is all that the container said, `told` what a client gets; a visitor who is not the region's owner
    gets the first alone.
    """

    seconds: float
    times: Sequence[TimeSpent]
    request: str
    record: int
    results: Sequence[Result] = ()
    raw: Shown | None = None
    token: str = ""
    why: str = ""
    advice: str = ""
    explained: Sequence[tuple[str, str]] = ()
    trace: str = ""
    told: Told | None = None

    @property
    def news(self) -> str:
        """One sentence for who does not see the page."""
        if self.why:
            return f"It failed: {self.why}"
        found = headline(self.results)
        return f"Answered in {self.seconds * 1000:.0f} ms. {found}".strip()


def answered(
    app: App, values: Sequence[Mapping[str, Any]], body: Body, outcome: Outcome, *, is_owner: bool
) -> Answered:
    """The answer that came of a body with these inputs (none, where it was not made of the form's)."""
    answer = outcome.answer
    facts: dict[str, Any] = {
        "seconds": outcome.seconds,
        "times": times_spent(answer.times, outcome.seconds) if answer is not None else (),
        "request": outcome.request,
        "record": outcome.id,
    }
    if outcome.error is not None:
        return Answered(**facts, **_failure(outcome.error, answer, body, is_owner))
    assert answer is not None
    kind = content_type(answer)
    found = results(app, answer.body, kind, captions(app, values))
    return Answered(**facts, results=found, raw=shown(answer.body, len(answer.body), kind))


def content_type(answer: ContainerAnswer) -> str:
    """What an answer says that it is."""
    return next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")


def captions(app: App, values: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells several inputs from each other: the beginning of their first text, else their number."""
    texts = [one.name for one in app.inputs if one.kind in (Kind.TEXT, Kind.LONG_TEXT)]
    found = []
    for number, row in enumerate(values, 1):
        text = str(row.get(texts[0]) or "") if texts else ""
        found.append(text[:_LONGEST_CAPTION] or f"Input {number}")
    return found or [""]


def _failure(
    error: ServiceError, answer: ContainerAnswer | None, body: Body, is_owner: bool
) -> dict[str, Any]:
    why, said = _why(error)
    if not is_owner:
        return {"why": why}
    told = Told(error.code, error.status, error.message)
    if answer is None:
        return {"why": why, "told": told, "advice": said}
    sent = Sent(body.content_type, "", body.body[:_SENT_START], len(body.body))
    lines = explained(answer.findings, sent)
    trace = answer.body.decode("utf-8", "replace").strip()
    return {
        "why": why,
        "told": told,
        "explained": lines,
        "trace": trace[-_LONGEST_TRACE:],
        "advice": "" if lines else advice(trace) or "",
    }


def _why(error: ServiceError) -> tuple[str, str]:
    """What failed, and what is to be done if it is not the model's fault."""
    if isinstance(error, ModelError):
        status = error.members["OriginalStatusCode"]
        if not status:
            return "The model did not answer within the 60 seconds that it has.", ""
        return f"The model answered with status {status}.", ""
    if isinstance(error, Throttling):
        return "More requests wait for this model than it takes.", "Try again in a moment."
    if isinstance(error, ValidationError) and "inference type" in error.message:
        return "This endpoint is asynchronous: it has no answer at once.", "Use `hotfire invoke --async`."
    return "The endpoint cannot answer now.", ""
