"""A container that no endpoint stands before: asked at its port, as SageMaker asks it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hotfire.errors import Unreachable, UsageError
from hotfire.examples import Answer, ExampleRequest

if TYPE_CHECKING:
    from http.client import HTTPConnection

SECONDS = 70.0
"""How long an answer is waited for; SageMaker itself gives a model 60 s."""

_HEADERS = {
    "content_type": "Content-Type",
    "accept": "Accept",
    "custom_attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "target_model": "X-Amzn-SageMaker-Target-Model",
    "target_variant": "X-Amzn-SageMaker-Target-Variant",
    "inference_id": "X-Amzn-SageMaker-Inference-Id",
    "session_id": "X-Amzn-SageMaker-Session-Id",
}
"""By which header each part of a request reaches a container; the others do not."""


def is_address(text: str) -> bool:
    """Whether this names a port, and no environment."""
    return "://" in text


class ContainerPort:
    """What listens at `http://HOST:PORT`: `hotfire serve`, or a container of any image with the contract.

    Raises UsageError for an address that is none.
    """

    def __init__(self, address: str, *, seconds: float = SECONDS) -> None:
        try:
            parts = urlsplit(address)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"{address} is no address: {error}", _FORM) from error
        rest = parts.path.rstrip("/").removesuffix("/invocations")
        if parts.scheme not in ("http", "https") or not self._host or rest or parts.query or parts.fragment:
            raise UsageError(f"{address} is no address of a container", _FORM)
        self._is_secure, self._seconds = parts.scheme == "https", seconds
        self.name = f"{parts.scheme}://{parts.netloc}"

    def ask(self, request: ExampleRequest) -> Answer:
        """What is answered to one request, whatever its status. Raises Unreachable."""
        from http.client import HTTPException

        given = {header: getattr(request, name) for name, header in _HEADERS.items()}
        headers = {header: value for header, value in given.items() if value is not None}
        begun = time.perf_counter()
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", "/invocations", request.body, headers)
                response = connection.getresponse()
                body, content_type = response.read(), response.headers.get("Content-Type", "")
        except TimeoutError as error:
            message = f"it did not answer within {self._seconds:g} s"
            raise Unreachable(message, "See what the container prints.") from error
        except ConnectionRefusedError as error:
            raise Unreachable("nothing listens there", _START) from error
        except (OSError, HTTPException) as error:
            raise Unreachable(f"it gave no answer: {str(error) or repr(error)}", _START) from error
        return Answer(response.status, content_type, body, time.perf_counter() - begun)

    def _connection(self) -> HTTPConnection:
        """Never by a proxy."""
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._is_secure else HTTPConnection
        return kind(self._host, self._port, timeout=self._seconds)


_FORM = "Name it as http://HOST:PORT."
_START = "Start it by `hotfire serve MODEL` or `docker run -p 8080:8080 IMAGE serve`, and name its port."
