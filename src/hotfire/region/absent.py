"""A service of AWS that a local region does not have: it refuses all, in words that its client can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qs

from hotfire.errors import ServiceError, UnknownOperation
from hotfire.region.caller import Operation
from hotfire.region.codec import xml_text
from hotfire.region.wire import Call, Request, Response

_IN_XML = frozenset({"s3", "route53", "cloudfront"})
"""The services with paths whose answers are XML; those of all others are JSON."""


class Absent:
    """In place of a service. Which protocol its client speaks is told by the request, not by a model."""

    def __init__(self, name: str, request: Request, there: Iterable[str]) -> None:
        self._name, self._request, self._there = name, request, sorted(there)
        self.operations: Mapping[str, Operation] = {}

    def parse(self, request: Request) -> NoReturn:
        """There is nothing to call. Raises UnknownOperation."""
        raise UnknownOperation(
            f"This local region of Hotfire has no service {self._name!r}, which {_asked(request)} is for. "
            f"It has {', '.join(self._there)}."
        )

    def answer(self, call: Call, result: Mapping[str, Any], request_id: str | None = None) -> NoReturn:
        """There is nothing to answer."""
        raise NotImplementedError

    def refuse(self, error: ServiceError, request_id: str) -> Response:
        """The answer that an error is."""
        by_path = not _is_named(self._request)
        status = 404 if by_path and isinstance(error, UnknownOperation) else error.status
        if _is_form(self._request):
            return _xml(status, self._form_error(error, request_id), request_id)
        if by_path and self._name in _IN_XML:
            return _xml(status, _error_response(error.code, error.message, request_id), request_id)
        content_type = "application/json" if by_path else "application/x-amz-json-1.1"
        headers = (
            ("Content-Type", content_type),
            ("x-amzn-RequestId", request_id),
            ("x-amzn-errortype", error.code),
        )
        body = json.dumps({"__type": error.code, "message": error.message})
        return Response(status, headers, body.encode())

    def _form_error(self, error: ServiceError, request_id: str) -> str:
        code = "InvalidAction" if isinstance(error, UnknownOperation) else error.code
        if self._name != "ec2":
            return _error_response(code, error.message, request_id)
        inner = f"<Error><Code>{code}</Code><Message>{xml_text(error.message)}</Message></Error>"
        return f"<Response><Errors>{inner}</Errors><RequestID>{request_id}</RequestID></Response>"


def _asked(request: Request) -> str:
    """What a request asks for, in the words of its protocol."""
    if target := request.headers.get("x-amz-target"):
        return target
    if _is_form(request):
        return parse_qs(request.body.decode("utf-8", "replace")).get("Action", ["the form"])[0]
    return f"{request.method} {request.path}"


def _is_named(request: Request) -> bool:
    """Whether the operation is named, in a header or in a form, and not by method and path."""
    return "x-amz-target" in request.headers or _is_form(request)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _error_response(code: str, message: str, request_id: str) -> str:
    inner = f"<Type>Sender</Type><Code>{code}</Code><Message>{xml_text(message)}</Message>"
    return f"<ErrorResponse><Error>{inner}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"


def _xml(status: int, text: str, request_id: str) -> Response:
    return Response(status, (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)), text.encode())
