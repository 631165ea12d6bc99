"""The public API as an OpenAPI 3.1 document: pure values in, a JSON value out."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hotfire import __version__
from hotfire.app_inputs import Input, Upload
from hotfire.app_schema import MOST_INPUTS, App
from hotfire.region.apps import PageExample

_JSON = "application/json"
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `hotfire keys create`."},
    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same key."},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What may be answered in place of a prediction: the codes that a status has."""

    status: int
    codes: tuple[str, ...]
    meaning: str


ERRORS = (
    Refusal(
        400,
        ("invalid_json", "invalid_input"),
        "The body is no JSON, or does not fit the model's inputs: path says where.",
    ),
    Refusal(401, ("key_needed", "key_unknown"), "There is no key, or none that is good."),
    Refusal(
        403,
        ("not_your_model", "not_from_here"),
        "The key is for other models, or a web page asks whose origin is not listed.",
    ),
    Refusal(404, ("unknown_model", "unknown_address"), "There is no such model, or no such address."),
    Refusal(405, ("wrong_method",), "The address is there, for another method."),
    Refusal(413, ("too_large",), "The request is too long."),
    Refusal(415, ("not_json",), "The body is not sent as application/json."),
    Refusal(
        429, ("throttled",), "More requests wait for the model than it takes: try again as Retry-After says."
    ),
    Refusal(500, ("internal",), "A fault of the region."),
    Refusal(502, ("model_failed",), "The model failed on this input."),
    Refusal(503, ("not_in_service",), "The model is not in service: try again as Retry-After says."),
    Refusal(504, ("model_timed_out",), "The model did not answer in time."),
)
"""Every error, by its status."""

_MEANINGS = {str(one.status): one.meaning for one in ERRORS}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "What programs tell errors apart by."},
                "message": {"type": "string", "description": "What it is, for people."},
                "path": {
                    "type": "string",
                    "description": "Where in the body it is.",
                    "examples": ["[1].text"],
                },
                "request": {"type": "string", "description": "The id of the request to the model."},
            },
        },
    },
}
FACTS: Mapping[str, Any] = {
    "model": {"type": "string", "description": "The model's name."},
    "seconds": {"type": "number", "description": "From the request to the answer."},
    "times": {
        "type": "object",
        "additionalProperties": {"type": "number"},
        "description": "Seconds in each function of the model's handler.",
    },
    "request": {
        "type": "string",
        "description": "The request's id, by which the region's pages and log have it.",
    },
}
"""What is told with each prediction: JSON Schemas by name."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the API. `example` is an input as JSON, where there is one."""

    name: str
    app: App
    state: str = "InService"
    example: Any = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.app.title or self.name

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return f"/api/models/{quote(self.name)}"


def document(models: Iterable[Listed], *, needs_key: bool) -> dict[str, Any]:
    """The OpenAPI document of these models, as far as they are known."""
    listed = list(models)
    paths: dict[str, Any] = {"/api/models": {"get": _list_operation()}}
    for model in listed:
        paths[model.path] = {"get": _describe_operation(model)}
        paths[f"{model.path}/predict"] = {"post": _predict_operation(model)}
    security: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": listed[0].title if len(listed) == 1 else "Models",
            "description": "Models that Hotfire serves, with JSON in and JSON out.",
            "version": __version__,
        },
        # Relative to this document: whatever the name by which the region is asked, and the proxy before it.
        "servers": [{"url": "/"}],
        "security": security if needs_key else [*security, {}],
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}, "securitySchemes": _SCHEMES},
    }


def request_schema(app: App) -> dict[str, Any]:
    """The JSON Schema of what a prediction is asked with: one input, or a list of them."""
    one = app.input_schema() if app.inputs else {}
    if not app.inputs or "properties" not in one:
        return one
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_INPUTS}
    return {"anyOf": [one, many]}


def response_schema(app: App) -> dict[str, Any]:
    """The JSON Schema of a prediction."""
    answer = app.answer_schema()
    one = _answer({"prediction": answer})
    if "properties" not in app.input_schema():
        return one
    return {"anyOf": [one, _answer({"predictions": {"type": "array", "items": answer}})]}


def example_of(app: App, examples: Iterable[PageExample]) -> Any:
    """An input as JSON: the first of the project's examples that the model's inputs can say; None without."""
    for example in examples:
        if example.status < 300 and (values := values_of(app, example)):
            return _as_json(app, values[0])
    filled = {one.name: _value_of(one) for one in app.inputs if one.required}
    if filled and all(value is not None for value in filled.values()):
        return _as_json(app, filled)
    return None


def values_of(app: App, example: PageExample) -> list[dict[str, Any]] | None:
    """The inputs that an example brings; None where the model's are not known, or cannot say it."""
    return app.values_of(example.body, example.content_type) if app.inputs else None


def _as_json(app: App, values: Mapping[str, Any]) -> Any:
    """What is sent to have these values."""
    plain = {name: _plain(value) for name, value in values.items()}
    return plain if "properties" in app.input_schema() else next(iter(plain.values()))


def _plain(value: Any) -> Any:
    return base64.b64encode(value.data).decode() if isinstance(value, Upload) else value


def _value_of(one: Input) -> Any:
    if one.default is not None:
        return one.default
    return next(iter((*one.examples, *one.choices)), None)


def _answer(predicted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [*predicted, "model", "seconds", "request"],
        "properties": {**predicted, **FACTS},
    }


def _list_operation() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"models": {"type": "array", "items": {"type": "object"}}}}
    return {
        "operationId": "list_models",
        "summary": "The models that you may ask",
        "responses": {"200": _content("They.", schema), **_errors("401", "403")},
    }


def _describe_operation(model: Listed) -> dict[str, Any]:
    return {
        "operationId": f"describe_{_identifier(model.name)}",
        "summary": f"What {model.title} takes and answers",
        "tags": [model.name],
        "responses": {
            "200": _content("Its schemas.", {"type": "object"}),
            **_errors("401", "403", "404"),
        },
    }


def _predict_operation(model: Listed) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": request_schema(model.app)}
    if model.example is not None:
        body["example"] = model.example
    operation: dict[str, Any] = {
        "operationId": f"predict_{_identifier(model.name)}",
        "summary": f"Ask {model.title}",
        "tags": [model.name],
        "requestBody": {"required": True, "content": {_JSON: body}},
        "responses": {
            "200": _content("The prediction.", response_schema(model.app)),
            **_errors(*(status for status in _MEANINGS if status != "405")),
        },
    }
    if model.app.description:
        operation["description"] = model.app.description
    return operation


def _content(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _errors(*statuses: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    found = {status: _content(_MEANINGS[status], schema) for status in statuses}
    for status in ("429", "503"):
        if status in found:
            header = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            found[status]["headers"] = {"Retry-After": header}
    return found


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)
