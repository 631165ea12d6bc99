"""Requests to an endpoint, by SageMaker Runtime: one, or the project's examples."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from hotfire.app_schema import App
from hotfire.deployment import Trial
from hotfire.examples import Answer, Example, ExampleRequest, check
from hotfire.inventory import errors

_LARGEST = 6_291_456
"""Bytes of a request's body: `BodyBlob` in botocore's model of SageMaker Runtime."""


def invoke(client: Any, endpoint: str, request: ExampleRequest) -> Answer:
    """What the model answers, also where that is an error of its own.

    Raises DeployError if the request does not reach it: no such endpoint, or none in service.
    """
    begun = time.perf_counter()
    with errors(f"invoke {endpoint}"):
        try:
            answer = client.invoke_endpoint(EndpointName=endpoint, **request.parameters())
            body = answer["Body"].read()
        except client.exceptions.ModelError as error:
            return _refusal(error.response, time.perf_counter() - begun)
    return Answer(200, answer.get("ContentType", ""), body, time.perf_counter() - begun)


def stream(client: Any, endpoint: str, request: ExampleRequest) -> tuple[Answer, Iterator[bytes]]:
    """What the model answers, as far as it is known before the first part, and the parts as they come.

    An answer that is an error has its body and no parts. Raises DeployError as `invoke` does, and where the
    answer breaks off.
    """
    begun = time.perf_counter()
    with errors(f"invoke {endpoint}"):
        try:
            answer = client.invoke_endpoint_with_response_stream(
                EndpointName=endpoint, **request.parameters()
            )
        except client.exceptions.ModelError as error:
            return _refusal(error.response, time.perf_counter() - begun), iter(())
    start = Answer(200, answer.get("ContentType", ""), b"", time.perf_counter() - begun)
    return start, _parts(endpoint, answer["Body"])


def _parts(endpoint: str, events: Any) -> Iterator[bytes]:
    with closing(events), errors(f"stream from {endpoint}"):
        for event in events:
            yield event["PayloadPart"]["Bytes"]


def attempt(example: Example, ask: Callable[[ExampleRequest], Answer]) -> Trial:
    """Send an example and compare. Raises what `ask` raises if it does not reach the model."""
    answer = ask(example.request)
    return Trial(example, answer, check(example, answer))


def page_of(app: App | None, examples: Sequence[Example]) -> dict[str, Any]:
    """What an endpoint's page is made of, as the region keeps it."""
    return {
        "app": None if app is None else app.as_json(),
        "examples": [_page_example(example) for example in examples if len(example.request.body) <= _LARGEST],
    }


def _page_example(example: Example) -> dict[str, Any]:
    """An example by its request, and the status that it expects: one that is to fail shows no good input."""
    request = example.request
    shown = {
        "name": example.name,
        "content_type": request.content_type,
        "accept": request.accept or "",
        "custom_attributes": request.custom_attributes or "",
        "status": example.expect.status,
    }
    try:
        return shown | {"body": request.body.decode()}
    except UnicodeDecodeError:
        return shown | {"body_base64": base64.b64encode(request.body).decode()}


def _refusal(response: dict[str, Any], seconds: float) -> Answer:
    """The container's own answer, of which SageMaker tells neither the content type nor other headers."""
    message = response.get("OriginalMessage", "").encode("utf-8", "surrogatepass")
    return Answer(response.get("OriginalStatusCode", 0), "application/json", message, seconds)
