"""Requests and answers of S3, read and written by botocore's service model: rest-xml.

An operation is told by method, path and what must be in the query or the headers; a model says all of it.
The content of an object is no part of a call: it goes by beside it, as a stream.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

from hotfire.errors import SerializationException, ServiceError
from hotfire.region.codec import from_text, in_path, to_text, to_xml, xml_text
from hotfire.region.eventstream import Flow
from hotfire.region.s3_errors import InvalidArgument, MalformedXML, NoSuchSetting, NotImplementedByS3
from hotfire.region.wire import Call, Request

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_ROOTS: Mapping[str, str] = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListParts": "ListPartsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketTagging": "Tagging",
    "GetObjectTagging": "Tagging",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
}
"""The documents' own names, which the model, as no client that is made of it looks at them, does not have."""

_CODES: Mapping[str, str] = {
    "ValidationException": "InvalidArgument",
    "SerializationException": "InvalidArgument",
    "UnknownOperationException": "NotImplemented",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "AccessDeniedException": "AccessDenied",
    "InternalFailure": "InternalError",
}
_NOT_HERE = frozenset({"ListDirectoryBuckets", "CreateSession", "WriteGetObjectResponse"})


@dataclass(frozen=True, slots=True)
class S3Response:
    """An HTTP answer; `length` is that of the stream, or of what a HEAD does not send."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | Flow
    length: int


class S3Service:
    """S3 as a server sees it. The model is loaded when it is first needed."""

    @cached_property
    def _operations(self) -> list[_Operation]:
        from botocore.loaders import Loader
        from botocore.model import ServiceModel

        model = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
        models = (model.operation_model(name) for name in model.operation_names if name not in _NOT_HERE)
        found = [_Operation(one) for one in models if not one.deprecated]
        return sorted(found, key=lambda operation: operation.particular, reverse=True)

    def operation(self, request: Request) -> _Operation:
        """Which operation a request is. Raises NotImplementedByS3."""
        bucket, key = _names(request.path)
        depth = 0 if not bucket else 1 if not key else 2
        query = _query(request.query)
        for operation in self._operations:
            if operation.fits(request, depth, query):
                return operation
        raise NotImplementedByS3("A header or a query you provided implies functionality that is not here.")

    def parse(self, operation: _Operation, request: Request) -> Call:
        """The call that a request makes. Raises InvalidArgument, MalformedXML."""
        bucket, key = _names(request.path)
        given = {name: text for name, text in (("Bucket", bucket), ("Key", key)) if text}
        params = {**operation.read(request), **given}
        missing = [name for name in operation.required if name not in params]
        if missing:
            raise InvalidArgument(f"{missing[0]} is missing.")
        return Call("s3", operation.name, params)

    def answer(
        self, operation: _Operation, result: Mapping[str, Any], request_id: str | None = None
    ) -> S3Response:
        """The answer that holds an operation's result; members that the model lacks are left out."""
        return operation.write(result, request_id or str(uuid.uuid4()))

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> S3Response:
        """The answer that an error is."""
        headers = [("x-amz-request-id", request_id), ("Content-Type", "application/xml")]
        if error.status == 304:
            entity = [(name, str(text)) for name, text in error.members.items()]
            return S3Response(304, (("x-amz-request-id", request_id), *entity), b"", 0)
        code = error.own_code if isinstance(error, NoSuchSetting) else _CODES.get(error.code, error.code)
        status = 501 if code == "NotImplemented" else error.status
        members = {"Code": code, "Message": error.message, **error.members, "Resource": unquote(request.path)}
        inner = "".join(f"<{name}>{xml_text(str(text))}</{name}>" for name, text in members.items())
        body = f"{_DECLARATION}<Error>{inner}<RequestId>{request_id}</RequestId></Error>".encode()
        return S3Response(status, tuple(headers), body, len(body))


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class _Operation:
    """An operation with everything looked up that does not change between requests."""

    def __init__(self, model: Any) -> None:
        self.name: str = model.name
        self._method: str = model.http["method"]
        self._status = int(model.http.get("responseCode", 200))
        parts = urlsplit(model.http["requestUri"])
        self._depth = parts.path.count("{")
        self._fixed = dict(parse_qsl(parts.query, keep_blank_values=True))
        shape = model.input_shape
        self._members = dict(shape.members) if shape is not None else {}
        self.required = list(shape.required_members) if shape is not None else []
        self._payload = shape.serialization.get("payload") if shape is not None else None
        self._keys = _located(self._members, self.required, "querystring")
        self._headers = _located(self._members, self.required, "header")
        self._output = model.output_shape
        # What the body is: a stream, or a document that is read whole before.
        payload = self._members.get(self._payload)
        self.is_upload = payload is not None and payload.type_name == "blob"
        self.particular = len(self._fixed) + len(self._keys) + len(self._headers)

    def fits(self, request: Request, depth: int, query: Mapping[str, str]) -> bool:
        """Whether a request is this operation, if it is none that is more particular."""
        return (
            self._method == request.method
            and self._depth == depth
            and all(name in query and value in ("", query[name]) for name, value in self._fixed.items())
            and self._keys <= query.keys()
            and self._headers <= request.headers.keys()
        )

    def read(self, request: Request) -> dict[str, Any]:
        """The parameters that the query, the headers and a document hold."""
        query = _query(request.query)
        params: dict[str, Any] = {}
        for name, shape in self._members.items():
            key = shape.serialization.get("name", name)
            match shape.serialization.get("location"):
                case "querystring" if key in query:
                    params[name] = _from_text(shape, query[key], key)
                case "header" if key.lower() in request.headers:
                    params[name] = _from_text(shape, request.headers[key.lower()], key)
                case "headers":
                    params[name] = _prefixed(request.headers, key)
        if self._payload is not None and not self.is_upload and request.body:
            params[self._payload] = _from_document(self._members[self._payload], request.body)
        return params

    def write(self, result: Mapping[str, Any], request_id: str) -> S3Response:
        headers = [("x-amz-request-id", request_id)]
        members = self._output.members if self._output is not None else {}
        rest: dict[str, Any] = {}
        for name, shape in members.items():
            value, location = result.get(name), shape.serialization.get("location")
            if value is None:
                continue
            key = shape.serialization.get("name", name)
            if location == "header":
                headers.append((key, _header(_to_header(shape, value))))
            elif location == "headers":
                headers += [(key + one, _header(text)) for one, text in value.items()]
            else:
                rest[name] = value
        status = 206 if result.get("ContentRange") else self._status
        return self._with_body(status, headers, rest, result)

    def _with_body(
        self, status: int, headers: list[tuple[str, str]], rest: dict[str, Any], result: Mapping[str, Any]
    ) -> S3Response:
        payload = self._output.serialization.get("payload") if self._output is not None else None
        if self._method == "HEAD" or "ContentLength" in result:
            kept = [(name, text) for name, text in headers if name.lower() != "content-length"]
            return S3Response(status, tuple(kept), result.get("Body", b""), result.get("ContentLength", 0))
        body = self._document(payload, rest).encode()
        if body:
            headers.append(
                ("Content-Type", "application/json" if self._is_text(payload) else "application/xml")
            )
        return S3Response(status, tuple(headers), body, len(body))

    def _document(self, payload: str | None, rest: dict[str, Any]) -> str:
        if self.name == "GetBucketLocation":  # the one document whose root holds a text
            root = f'<LocationConstraint xmlns="{NAMESPACE}">'
            return f"{_DECLARATION}{root}{xml_text(rest.get('LocationConstraint', ''))}</LocationConstraint>"
        if self._output is None or (payload is not None and payload not in rest):
            return ""
        if payload is None:
            if not any(self._is_in_body(shape) for shape in self._output.members.values()):
                return ""
            shape, value = self._output, rest
            root = _ROOTS.get(self.name, shape.name)
        else:
            shape, value = self._output.members[payload], rest[payload]
            if self._is_text(payload):
                return str(value)
            root = shape.serialization.get("name", payload)
        inner = to_xml(shape, value, root)
        return _DECLARATION + inner.replace(f"<{root}>", f'<{root} xmlns="{NAMESPACE}">', 1)

    def _is_text(self, payload: str | None) -> bool:
        return payload is not None and self._output.members[payload].type_name == "string"

    def _is_in_body(self, shape: Any) -> bool:
        return shape.serialization.get("location") is None


def _names(path: str) -> tuple[str, str]:
    """Bucket and key of a path-style address."""
    bucket, _, key = path.removeprefix("/").partition("/")
    try:
        return unquote(bucket, errors="strict"), unquote(key, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("The address is not UTF-8.") from None


def _query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise InvalidArgument("The query is not UTF-8.") from None


def _located(members: Mapping[str, Any], required: list[str], location: str) -> frozenset[str]:
    """How the required members of a place are called there."""
    found = (members[name].serialization for name in required)
    return frozenset(
        one["name"].lower() if location == "header" else one["name"]
        for one in found
        if one.get("location") == location
    )


def _prefixed(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    found = prefix.lower()
    return {
        name.removeprefix(found): text.encode("latin-1").decode("utf-8", "replace")
        for name, text in headers.items()
        if name.startswith(found)
    }


def _from_text(shape: Any, text: str, key: str) -> Any:
    if shape.type_name == "list":
        return [item.strip() for item in text.split(",") if item.strip()]
    if shape.type_name == "timestamp":
        try:
            return parsedate_to_datetime(text).timestamp()
        except ValueError:
            pass  # it may be of the other form
    try:
        return from_text(shape, text, in_path(key))
    except SerializationException:
        raise InvalidArgument(f"{text!r} is no value of {key}.") from None


def _from_document(shape: Any, body: bytes) -> Any:
    if shape.type_name in ("string", "blob"):
        return body.decode("utf-8", "replace")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise MalformedXML("The XML you provided has declarations, which are not taken.")
    try:
        return _from_xml(shape, ElementTree.fromstring(body))
    except (ElementTree.ParseError, SerializationException):
        raise MalformedXML("The XML you provided was not well-formed or is not what this takes.") from None


def _from_xml(shape: Any, element: ElementTree.Element) -> Any:
    if shape.type_name == "structure":
        children: dict[str, list[ElementTree.Element]] = {}
        for child in element:
            children.setdefault(_local(child.tag), []).append(child)
        return {
            name: _member_from_xml(member, children[key])
            for name, member in shape.members.items()
            if (key := member.serialization.get("name", name)) in children
        }
    if shape.type_name == "list":
        return [_from_xml(shape.member, child) for child in element]
    text = element.text or ""
    if shape.type_name == "timestamp":
        return _from_text(shape, text.strip(), _local(element.tag))
    return from_text(shape, text if shape.type_name == "string" else text.strip(), _local(element.tag))


def _member_from_xml(shape: Any, elements: list[ElementTree.Element]) -> Any:
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        return [_from_xml(shape.member, element) for element in elements]
    return _from_xml(shape, elements[0])


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _to_header(shape: Any, value: Any) -> str:
    if shape.type_name == "timestamp" and not isinstance(value, str):
        return format_datetime(datetime.fromtimestamp(int(value), UTC), usegmt=True)
    return to_text(shape, value)


def _header(text: str) -> str:
    """A value that stays in its header's line; what is not Latin-1 goes as its UTF-8."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text).encode().decode("latin-1")
