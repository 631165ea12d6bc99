"""Requests and answers of AWS's protocols, read and written by botocore's service models.

No operation has code of its own here. A service speaks the protocol that its model names: json 1.1,
rest-json, or query with answers in XML.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Protocol
from urllib.parse import parse_qsl, unquote

from hotfire.errors import (
    InvalidParameter,
    SerializationException,
    ServiceError,
    UnknownOperation,
    ValidationError,
    ValidationException,
)
from hotfire.region.codec import (
    form_tree,
    from_form,
    from_json,
    from_text,
    in_path,
    to_json,
    to_text,
    to_xml,
    xml_text,
)
from hotfire.region.eventstream import CONTENT_TYPE as EVENT_STREAM
from hotfire.region.eventstream import Flow, Messages
from hotfire.region.validation import Constraints, worded


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. `path` and `query` as they were sent, the names of `headers` in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, without what its transport adds (Content-Length, Date).

    `flow` stands in for the body of one that comes little by little.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    flow: Flow | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a service, with its valid parameters by the names of the API."""

    service: str
    operation: str
    params: dict[str, Any]


class Service:
    """A service of AWS as a server sees it: 'sagemaker', 'sagemaker-runtime', 'iam', 'sts' or 'logs'.

    The model is loaded when it is first needed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._constraints = Constraints()

    @cached_property
    def _protocol(self) -> _Protocol:
        # botocore takes 0.1 s to import and SageMaker's model as long to load: not before a request comes.
        from botocore.loaders import Loader
        from botocore.model import ServiceModel

        model = ServiceModel(Loader().load_service_model(self.name, "service-2"), self.name)
        protocols: dict[str, type[_Protocol]] = {"json": _Json, "rest-json": _RestJson, "query": _Query}
        return protocols[model.metadata["protocol"]](model)

    def parse(self, request: Request) -> Call:
        """The call that a request makes.

        Raises UnknownOperation, SerializationException, and ValidationException, which the runtime and
        the services of the query protocol call ValidationError.
        """
        protocol = self._protocol
        operation = protocol.operation(request)
        try:
            params = protocol.read(operation, request)
        except RecursionError:
            raise SerializationException("The body is nested too deep.") from None
        if operation.input_shape is not None:
            problems = self._constraints.problems(operation.input_shape, params)
            if problems:
                raise protocol.invalid(worded(problems))
        return Call(self.name, operation.name, params)

    def answer(self, call: Call, result: Mapping[str, Any], request_id: str | None = None) -> Response:
        """The answer that holds an operation's result; members that the model lacks are left out."""
        return self._protocol.write(call.operation, result, request_id or str(uuid.uuid4()))

    def refuse(self, error: ServiceError, request_id: str) -> Response:
        """The answer that an error is."""
        return self._protocol.write_error(error, request_id)


class _Protocol(Protocol):
    """How requests of a protocol are read and its answers written, for one service model."""

    invalid: type[ServiceError]

    def __init__(self, model: Any) -> None: ...

    def operation(self, request: Request) -> Any:
        """Which operation is meant: its `name` and `input_shape`."""

    def read(self, operation: Any, request: Request) -> dict[str, Any]:
        """The parameters, of the right types and not yet validated."""

    def write(self, operation: str, result: Mapping[str, Any], request_id: str) -> Response: ...

    def write_error(self, error: ServiceError, request_id: str) -> Response: ...


_INVALID: Mapping[str, type[ServiceError]] = {"logs": InvalidParameter}
"""What services call a parameter that their model refuses, where it is not what their protocol calls it."""


class _Json:
    """json 1.1: every operation is a POST of one JSON object, named by a header."""

    invalid: type[ServiceError] = ValidationException
    content_type = "application/x-amz-json-1.1"

    def __init__(self, model: Any) -> None:
        self._model = model
        self._operations = frozenset(model.operation_names)
        self.invalid = _INVALID.get(model.service_name, self.invalid)

    def operation(self, request: Request) -> Any:
        prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
        if prefix != self._model.metadata["targetPrefix"] or name not in self._operations:
            raise _unknown(self._model, name)
        return self._model.operation_model(name)

    def read(self, operation: Any, request: Request) -> dict[str, Any]:
        return _json_body(operation.input_shape, request.body)

    def write(self, operation: str, result: Mapping[str, Any], request_id: str) -> Response:
        shape = self._model.operation_model(operation).output_shape
        body = b"" if shape is None else json.dumps(to_json(shape, result)).encode()
        return Response(200, (("Content-Type", self.content_type), ("x-amzn-RequestId", request_id)), body)

    def write_error(self, error: ServiceError, request_id: str) -> Response:
        headers = (
            ("Content-Type", self.content_type),
            ("x-amzn-RequestId", request_id),
            ("x-amzn-errortype", error.code),
        )
        return Response(error.status, headers, json.dumps(self._error_body(error)).encode())

    def _error_body(self, error: ServiceError) -> dict[str, Any]:
        """The message by the name that the error's shape has for it, and the shape's other members."""
        shape = self._model.shape_for_error_code(error.code)
        if shape is None:
            return {"__type": error.code, "message": error.message}
        named = {name: error.message for name in shape.members if name.lower() == "message"}
        members = to_json(shape, {**error.members, **named})
        return {"__type": error.code, "message": error.message, **members}


class _RestJson(_Json):
    """rest-json: an operation has a path, some members are headers, one may be the whole body."""

    invalid: type[ServiceError] = ValidationError
    content_type = "application/json"

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._compiled = {name: _RestOperation(model.operation_model(name)) for name in model.operation_names}

    def operation(self, request: Request) -> Any:
        for operation in self._compiled.values():
            if request.method == operation.method and operation.path.fullmatch(request.path):
                return operation
        raise UnknownOperation(f"{request.method} {request.path} is no operation of {_title(self._model)}.")

    def read(self, operation: _RestOperation, request: Request) -> dict[str, Any]:
        return operation.read(request)

    def write(self, operation: str, result: Mapping[str, Any], request_id: str) -> Response:
        return self._compiled[operation].write(result, request_id)

    def write_error(self, error: ServiceError, request_id: str) -> Response:
        response = super().write_error(error, request_id)
        # An operation is a path here, and one that is not there is not found.
        return replace(response, status=404) if isinstance(error, UnknownOperation) else response


class _RestOperation:
    """An operation of rest-json with everything looked up that does not change between requests."""

    def __init__(self, model: Any) -> None:
        self.name: str = model.name
        self.input_shape = model.input_shape
        self.method: str = model.http["method"]
        self.path = re.compile(
            re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(model.http["requestUri"]))
        )
        self._status = int(model.http.get("responseCode", 200))
        self._labels = _located(model.input_shape, "uri")
        self._headers = [
            (name, key.lower(), shape) for name, key, shape in _located(model.input_shape, "header")
        ]
        self._payload = _payload(model.input_shape)
        self._output = model.output_shape
        self._output_headers = _located(model.output_shape, "header")
        self._output_payload = _payload(model.output_shape)
        self._output_stream = model.get_event_stream_output()

    def read(self, request: Request) -> dict[str, Any]:
        params: dict[str, Any] = {}
        match = self.path.fullmatch(request.path)
        for name, key, shape in self._labels:
            params[name] = from_text(shape, unquote(match[key]), in_path(name)) if match else None
        headers = request.headers
        for name, key, shape in self._headers:
            text = headers.get(key)
            if text is not None:
                params[name] = from_text(shape, text, in_path(name))
        if self._payload is None:
            return params | _json_body(self.input_shape, request.body)
        if request.body or self._payload in self.input_shape.required_members:
            params[self._payload] = request.body
        return params

    def write(self, result: Mapping[str, Any], request_id: str) -> Response:
        headers = [("x-amzn-RequestId", request_id)]
        for name, key, shape in self._output_headers:
            value = result.get(name)
            if value is not None:
                headers.append((key, _header(to_text(shape, value))))
        if self._output_stream is not None:
            headers.append(("Content-Type", EVENT_STREAM))
            messages = Messages(self._output_stream, result[str(self._output_payload)])
            return Response(self._status, tuple(headers), b"", messages)
        if self._output_payload is not None:
            return Response(self._status, tuple(headers), result.get(self._output_payload) or b"")
        located = {name for name, _, _ in self._output_headers}
        members = {name: value for name, value in result.items() if name not in located}
        headers.append(("Content-Type", "application/json"))
        return Response(self._status, tuple(headers), json.dumps(to_json(self._output, members)).encode())


class _Query:
    """query: parameters are the fields of a form, answers are XML."""

    invalid: type[ServiceError] = ValidationError
    codes: ClassVar[Mapping[str, str]] = {
        "ValidationException": "ValidationError",
        "UnknownOperationException": "InvalidAction",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "AccessDeniedException": "AccessDenied",
    }

    def __init__(self, model: Any) -> None:
        self._model = model
        self._operations = frozenset(model.operation_names)

    def operation(self, request: Request) -> Any:
        name = dict(_fields(request)).get("Action", "")
        if name not in self._operations:
            raise _unknown(self._model, name)
        return self._model.operation_model(name)

    def read(self, operation: Any, request: Request) -> dict[str, Any]:
        if operation.input_shape is None:
            return {}
        params: dict[str, Any] = from_form(operation.input_shape, form_tree(_fields(request)))
        return params

    def write(self, operation: str, result: Mapping[str, Any], request_id: str) -> Response:
        shape = self._model.operation_model(operation).output_shape
        inner = "" if shape is None else to_xml(shape, result, shape.serialization["resultWrapper"])
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        return self._document(200, f"{operation}Response", inner + metadata, request_id)

    def write_error(self, error: ServiceError, request_id: str) -> Response:
        code = self.codes.get(error.code, error.code)
        fault = "Sender" if error.status < 500 else "Receiver"
        inner = (
            f"<Error><Type>{fault}</Type><Code>{code}</Code><Message>{xml_text(error.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId>"
        )
        return self._document(error.status, "ErrorResponse", inner, request_id)

    def _document(self, status: int, root: str, inner: str, request_id: str) -> Response:
        text = f'<{root} xmlns="{self._model.metadata["xmlNamespace"]}">{inner}</{root}>'
        headers = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
        return Response(status, headers, text.encode())


def _json_body(shape: Any, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body, parse_constant=_refuse_constant) if body else {}
    except ValueError:  # also of bytes that are not UTF-8
        raise SerializationException("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise SerializationException("The body is not a JSON object.")
    params: dict[str, Any] = {} if shape is None else from_json(shape, value)
    return params


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _fields(request: Request) -> list[tuple[str, str]]:
    try:
        body = request.body.decode()
        return [
            *parse_qsl(request.query, keep_blank_values=True, errors="strict"),
            *parse_qsl(body, keep_blank_values=True, errors="strict"),
        ]
    except ValueError:
        raise SerializationException("The body is not a form in UTF-8.") from None


def _located(shape: Any, location: str) -> list[tuple[str, str, Any]]:
    """The members of a shape that stand in the path or in headers: name, name there, shape."""
    members = shape.members.items() if shape is not None else ()
    return [
        (name, member.serialization.get("name", name), member)
        for name, member in members
        if member.serialization.get("location") == location
    ]


def _payload(shape: Any) -> str | None:
    """The member that is the whole body."""
    return None if shape is None else shape.serialization.get("payload")


def _header(text: str) -> str:
    """A value that stays in its header's line."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text)


def _unknown(model: Any, name: str) -> UnknownOperation:
    return UnknownOperation(
        f"{_title(model)} has no operation '{name}'." if name else "No operation is named."
    )


def _title(model: Any) -> str:
    return str(model.metadata["serviceId"])
