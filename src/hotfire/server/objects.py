"""S3 over HTTP: bodies in and out as they come, never whole in memory."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from hotfire.errors import HotfireError, InternalFailure, ServiceError
from hotfire.region.bucket_pages import BucketPages
from hotfire.region.bucket_settings import BucketSettings
from hotfire.region.buckets import Buckets
from hotfire.region.caller import Caller, Operation
from hotfire.region.census import Census
from hotfire.region.content import Content
from hotfire.region.objects import Objects
from hotfire.region.rclone import Rclone
from hotfire.region.s3_errors import AccessDeniedByS3, EntityTooLarge, NotImplementedByS3
from hotfire.region.s3_wire import S3Response, S3Service
from hotfire.region.uploads import Uploads
from hotfire.region.vault import Vault
from hotfire.region.wire import Request
from hotfire.server.gate import Gate, Scope, scope
from hotfire.server.http import read_body, send_flow

_MOST_OF_A_DOCUMENT = 4 * 1024 * 1024
_log = logging.getLogger("hotfire.region")


class ObjectServer:
    """Answers the requests that are S3's."""

    def __init__(
        self, home: Path, buckets: Buckets, census: Census, gate: Gate, environment: Mapping[str, str]
    ) -> None:
        self._gate = gate
        self._buckets = buckets
        self._service = S3Service()
        self._rclone = Rclone(home, buckets.staging / "transit", census, environment)
        vault = Vault(buckets)
        self._uploads = Uploads(vault, self._rclone)
        parts = (BucketSettings(vault), BucketPages(vault), Objects(vault, self._rclone), self._uploads)
        self.operations: Mapping[str, Operation] = {
            name: operation for part in parts for name, operation in part.operations.items()
        }
        self._receiving: set[asyncio.Task[Any]] = set()

    def open(self) -> None:
        """Clear away what a region that was killed had half received."""
        self._buckets.clear()
        self._rclone.clear()
        self._uploads.clear()

    def stop(self) -> None:
        """Begin to end: what has not come in whole is not waited for."""
        for task in self._receiving:
            task.cancel()

    async def close(self) -> None:
        """End the process behind."""
        await self._rclone.close()

    async def serve(self, request: Request, receive: Any, send: Any) -> None:
        """Answer a request, by ASGI; its body is not read yet. Raises ConnectionError."""
        body = _Body(receive)
        response = await self._answer(request, body)
        await body.exhaust(request)
        await _send(request, response, body, receive, send)

    async def _answer(self, request: Request, body: _Body) -> S3Response:
        request_id = uuid.uuid4().hex[:16].upper()
        try:
            return await self._respond(request, body, request_id)
        except ServiceError as error:
            if isinstance(error, NotImplementedByS3):
                _log.warning("%s %s: %s", request.method, request.path, error.message)
            return self._service.refuse(error, request, request_id)
        except HotfireError as error:
            return self._service.refuse(InternalFailure(error.message), request, request_id)
        except ConnectionError:
            raise
        except asyncio.CancelledError:
            body.abandon()
            return S3Response(503, (("connection", "close"),), b"", 0)
        except Exception:  # noqa: BLE001  # the client is told, and the region goes on
            _log.exception("a bug in Hotfire, met by %s %s", request.method, request.path)
            failure = InternalFailure("A fault of the local region; its log says more.")
            return self._service.refuse(failure, request, request_id)

    async def _respond(self, request: Request, body: _Body, request_id: str) -> S3Response:
        self._gate.check_origin(request.headers)
        caller = self._gate.clients.check_key(signature(request))
        self._gate.clients.check_signature(request)
        body.receive = self._gate.clients.guarded(request, body.receive)
        _check_expiry(request)
        self._rclone.require()
        operation = self._service.operation(request)
        method = self.operations.get(operation.name)
        if method is None:
            raise NotImplementedByS3(f"This local region of Hotfire does not have {operation.name} of s3.")
        task = asyncio.current_task()
        assert task is not None
        self._receiving.add(task)
        try:
            if operation.is_upload:
                content = Content(request.headers, aiter(body))
                params = {**self._service.parse(operation, request).params, "Body": content}
            else:
                params = self._service.parse(operation, await body.document(request)).params
            result = method(Caller(caller.region), params)
            answer = await result if inspect.isawaitable(result) else result
        finally:
            self._receiving.discard(task)
        return self._service.answer(operation, answer, request_id)


class _Body:
    """What a client sends. It is asked for nothing (`Expect: 100-continue`) before the first piece is."""

    def __init__(self, receive: Any) -> None:
        self.receive = receive
        self._begun = self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._ended:
            self._begun = True
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client went away")
            self._ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def document(self, request: Request) -> Request:
        """The request with its body, which is a document."""
        self._begun = True
        whole = await read_body(self.receive, _MOST_OF_A_DOCUMENT)
        self._ended = True
        if whole is None:
            raise EntityTooLarge("Your request's document is too large.")
        if "content-md5" in request.headers or "aws-chunked" in request.headers.get("content-encoding", ""):
            content = Content({"content-length": str(len(whole)), **request.headers}, _once(whole))
            whole = b"".join([piece async for piece in content])
        return Request(request.method, request.path, request.query, request.headers, whole)

    def abandon(self) -> None:
        """Read no more of it."""
        self._begun = self._ended = True

    def is_held_back(self, request: Request) -> bool:
        """Whether the client waits to be asked for it, and was not."""
        return request.headers.get("expect", "").lower() == "100-continue" and not self._begun

    async def exhaust(self, request: Request) -> None:
        """Read what is left: who is cut off while it sends may not see the answer."""
        if not self.is_held_back(request):
            async for _ in self:
                pass


async def _once(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


def signature(request: Request) -> Scope | None:
    """Who signed a request: in its headers, in its query, or there in the older way, which has no scope."""
    query = dict(parse_qsl(request.query))
    if "AWSAccessKeyId" in query and "Signature" in query:
        return Scope(query["AWSAccessKeyId"], "us-east-1", "s3")
    return scope(request.headers, query)


def _check_expiry(request: Request) -> None:
    """Raise AccessDenied for a presigned address that is too old."""
    query = dict(parse_qsl(request.query))
    try:
        if "X-Amz-Expires" in query:
            begun = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            end = begun + int(query["X-Amz-Expires"])
        else:
            end = float(query.get("Expires", "inf")) if "AWSAccessKeyId" in query else float("inf")
    except (KeyError, ValueError):
        raise AccessDeniedByS3("The presigned address does not say when it ends.") from None
    if time.time() > end:
        raise AccessDeniedByS3("Request has expired")


async def _send(request: Request, response: S3Response, body: _Body, receive: Any, send: Any) -> None:
    headers = [(name.encode("latin-1"), text.encode("latin-1", "replace")) for name, text in response.headers]
    if response.status not in (204, 304):
        headers.append((b"content-length", str(response.length).encode()))
    if body.is_held_back(request):
        headers.append((b"connection", b"close"))  # what it holds back would be read as the next request
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})
    else:
        await send_flow(receive, send, response.body)
