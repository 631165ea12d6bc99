"""Predictions as the public API makes them: JSON values in, JSON values out, whatever the model speaks."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hotfire.app_schema import App, Body
from hotfire.bodies import value_of
from hotfire.body_template import dumped
from hotfire.errors import (
    ApiError,
    InputError,
    ModelError,
    Throttling,
    ValidationError,
)
from hotfire.instances.base import Answer
from hotfire.region.caller import Caller
from hotfire.region.runtime import Outcome

MOST_BYTES = 6_291_456
"""Of one body that a model is sent: InvokeEndpoint takes no more."""
MOST_SECONDS = 60.0
"""For all the requests that one prediction takes, of a model that takes one input in each."""
_AT_ONCE = 4
_SOON = {"retry-after": "1"}
_WHEN_STARTED = {"retry-after": "5"}
_JSON = "application/json"
_CALLER = Caller("us-east-1", via="api")


class Models(Protocol):
    """Asks models."""

    async def ask(self, caller: Caller, params: Mapping[str, Any]) -> Outcome:
        """All that comes of a request of InvokeEndpoint."""
        ...


async def predict(models: Models, endpoint: str, app: App, value: Any) -> dict[str, Any]:
    """The answer to what was sent: one input to the model, or a list of them. Raises ApiError."""
    begun = time.perf_counter()
    bodies, count, is_list = _bodies(app, value)
    answers, request = await _ask(models, endpoint, app, bodies)
    found = _predictions(app, answers, count)
    told: dict[str, Any] = {"model": endpoint}
    if is_list and found is not None:
        told["predictions"] = found
    else:
        told["prediction"] = found[0] if found is not None else _value(answers[0])
    facts = {"seconds": _micro(time.perf_counter() - begun), "times": _times(answers), "request": request}
    return told | facts


def _times(answers: Sequence[Answer]) -> dict[str, float]:
    """The time in each function of the handler, over all requests."""
    total: Counter[str] = Counter()
    for answer in answers:
        total.update(answer.times)
    return {name: _micro(seconds) for name, seconds in total.items()}


def _micro(seconds: float) -> float:
    return round(seconds, 6)


def _bodies(app: App, value: Any) -> tuple[Sequence[Body], int, bool]:
    """What is sent for a value, of how many inputs, and whether it was a list of them."""
    if not app.inputs:
        bodies, count, is_list = [Body(dumped(value).encode(), app.content_type or _JSON)], 1, False
    else:
        try:
            inputs, is_list = app.read(value)
            bodies, count = app.bodies_of(inputs), len(inputs)
        except InputError as error:
            message = f"{error.message}. {error.advice}".rstrip(". ")
            raise ApiError(400, "invalid_input", f"{message}.", path=error.path) from error
    if any(len(body.body) > MOST_BYTES for body in bodies):
        raise too_large(MOST_BYTES)
    return bodies, count, is_list


async def _ask(models: Models, endpoint: str, app: App, bodies: Sequence[Body]) -> tuple[list[Answer], str]:
    """What is answered to each body, a few asked at a time, and the id of the first request.

    Raises the ApiError of the first one that fails.
    """
    answers: list[Answer] = []
    first = ""
    deadline = time.monotonic() + MOST_SECONDS
    for start in range(0, len(bodies), _AT_ONCE):
        if time.monotonic() > deadline:
            message = f"{start} of {len(bodies)} inputs took longer than {MOST_SECONDS:.0f} s: send fewer."
            raise ApiError(504, "model_timed_out", message)
        asking = (models.ask(_CALLER, _params(endpoint, app, body)) for body in bodies[start:][:_AT_ONCE])
        for index, outcome in enumerate(await asyncio.gather(*asking), start):
            if outcome.answer is None or outcome.error is not None:
                raise refused(outcome, f"[{index}]" if len(bodies) > 1 else "")
            answers.append(outcome.answer)
            first = first or outcome.request
    return answers, first


def _params(endpoint: str, app: App, body: Body) -> dict[str, Any]:
    """The request as InvokeEndpoint has it."""
    params = {"EndpointName": endpoint, "Body": body.body, "ContentType": body.content_type}
    return {**params, "Accept": app.accept} if app.accept else params


def refused(outcome: Outcome, path: str = "") -> ApiError:
    """What is told of a model that gives no prediction. What it printed stays here."""
    error, request = outcome.error, outcome.request
    if isinstance(error, ModelError):
        return _failed(error, path, request)
    if isinstance(error, Throttling):
        message = "More requests wait for this model than it takes: try again in a moment."
        return ApiError(429, "throttled", message, headers=_SOON, request=request)
    detail = error.message if error is not None else ""
    if isinstance(error, ValidationError):
        message = "This model cannot answer now: it is not in service."
        return ApiError(503, "not_in_service", message, headers=_WHEN_STARTED, detail=detail)
    message = "A fault of the region; its log says more."
    return ApiError(500, "internal", message, detail=detail, request=request)


def _failed(error: ModelError, path: str, request: str) -> ApiError:
    status, detail = error.members["OriginalStatusCode"], error.members["OriginalMessage"]
    code, number = ("model_failed", 502) if status else ("model_timed_out", 504)
    message = (
        f"The model failed on this input: it answered with status {status}. Its log says why."
        if status
        else "The model did not answer within the time that it has."
    )
    return ApiError(number, code, message, path=path, detail=detail, request=request)


def too_large(most: int) -> ApiError:
    """The error of a request that is longer than it may be."""
    return ApiError(413, "too_large", f"This is more than the {most:,} bytes that a request may have.")


def _predictions(app: App, answers: Sequence[Answer], count: int) -> list[Any] | None:
    """The prediction for each input; None where one answer to several cannot be taken apart."""
    values = [_value(answer) for answer in answers]
    if len(values) > 1:
        return [(app.answers_of(value, 1) or [value])[0] for value in values]
    return app.answers_of(values[0], count) if app.inputs else values


def _value(answer: Answer) -> Any:
    """An answer as JSON; of one that is no text, its bytes."""
    named = {name.lower(): value for name, value in answer.headers.items()}
    content_type = named.get("content-type", "")
    try:
        answer.body.decode()
    except UnicodeDecodeError:
        if not _is_array(content_type):
            return {"content_type": content_type, "base64": base64.b64encode(answer.body).decode()}
    return finite(value_of(content_type, answer.body))


def _is_array(content_type: str) -> bool:
    return content_type.lower().startswith(("application/x-npy", "application/x-npz"))


def finite(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value


def given(body: bytes) -> Any:
    """What was sent. Raises ApiError if it is no JSON."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ApiError(400, "invalid_json", "The body is nested too deep.") from None
    except ValueError as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from error


def told(error: ApiError, *, to_owner: bool) -> dict[str, Any]:
    """An error as it is answered."""
    members = {"code": error.code, "message": error.message}
    if error.path:
        members["path"] = error.path
    if error.request:
        members["request"] = error.request
    if error.detail and to_owner:
        members["detail"] = error.detail
    return {"error": members}
