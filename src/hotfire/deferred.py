"""Requests to an asynchronous endpoint: handed in now, answered later, in a bucket or a folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hotfire.errors import DeployError
from hotfire.examples import Answer, ExampleRequest
from hotfire.inventory import errors

MOST_INLINE = 128_000
"""Bytes of a body that InvokeEndpointAsync takes with the request itself."""

MOST_SECONDS = 900.0
"""What a model has for a request that does not say otherwise."""

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between looks for an outcome; the last one over and over."""
_FAILED = re.compile(r'Received \w+ error \((\d+)\) from \w+ with message "(.*)"\. See ', re.DOTALL)
"""What SageMaker writes of an answer that was an error: the container's status and words are in it."""
_ABSENT = ("NoSuchKey", "NoSuchBucket", "404", "403", "AccessDenied")
"""Also where the caller may not list the bucket, an object that is not there yet is said to be forbidden."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request that was taken, and where what comes of it will lie; `begun` by `time.perf_counter`."""

    inference_id: str
    output: str
    failure: str
    content_type: str
    begun: float


def hand_in(client: Any, endpoint: str, request: ExampleRequest, location: str | None = None) -> Deferred:
    """Have a request queued, with its body or, if `location` is given, with what lies there.

    Raises DeployError if it is not taken.
    """
    params = request.parameters()
    if location is not None:
        del params["Body"]
        params["InputLocation"] = location
    elif len(request.body) > MOST_INLINE:
        message = f"the body has {len(request.body):,} bytes; a request takes at most {MOST_INLINE:,} along"
        raise DeployError(message, "Put it into a bucket and name it by `--input s3://…`.")
    begun = time.perf_counter()
    with errors(f"invoke {endpoint}"):
        told = client.invoke_endpoint_async(EndpointName=endpoint, **params)
    return Deferred(
        inference_id=told["InferenceId"],
        output=told["OutputLocation"],
        failure=told.get("FailureLocation", ""),
        content_type=request.accept or "application/json",
        begun=begun,
    )


def wait(deferred: Deferred, s3: Callable[[], Any], seconds: float = MOST_SECONDS) -> Answer:
    """What came of a request, as the container answered it; `s3` makes a client of S3, if it takes one.

    A failure that is not the container's has status 0. Raises DeployError if there is nothing in time.
    """
    deadline = time.monotonic() + seconds
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        answer = _outcome(deferred, s3)
        if answer is not None:
            return answer
        if time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
    message = f"there is no answer at {deferred.output} after {seconds:.0f} s"
    raise DeployError(message, "`hotfire logs` says what became of each request.")


def _outcome(deferred: Deferred, s3: Callable[[], Any]) -> Answer | None:
    found = _read(deferred.output, s3)
    seconds = time.perf_counter() - deferred.begun
    if found is not None:
        body, content_type = found
        return Answer(200, content_type or deferred.content_type, body, seconds)
    failed = _read(deferred.failure, s3) if deferred.failure else None
    if failed is None:
        return None
    message = failed[0].decode("utf-8", "replace")
    told = _FAILED.match(message)
    if told is None:
        return Answer(0, "text/plain", failed[0], seconds)
    return Answer(int(told[1]), "application/json", told[2].encode(), seconds)


def _read(address: str, s3: Callable[[], Any]) -> tuple[bytes, str] | None:
    """What lies at an address, and its content type, which a file does not have; None if nothing does yet."""
    if address.startswith("file://"):
        try:
            return Path(unquote(address.removeprefix("file://"))).read_bytes(), ""
        except FileNotFoundError:
            return None
    from botocore.exceptions import ClientError

    bucket, _, key = address.removeprefix("s3://").partition("/")
    with errors(f"read {address}"):
        try:
            found = s3().get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return None
            raise
        return found["Body"].read(), found.get("ContentType", "")
