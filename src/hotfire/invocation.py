"""Requests to an endpoint, by SageMaker Runtime: one, or the project's examples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

from hotfire.deployment import Trial
from hotfire.examples import Answer, Example, ExampleRequest, check
from hotfire.inventory import errors


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


def page_examples(examples: Sequence[Example]) -> list[dict[str, str]]:
    """The examples as the endpoint's page has them: those whose body is text."""
    shown = []
    for example in examples:
        with suppress(UnicodeDecodeError):
            request = example.request
            body, accept = request.body.decode(), request.accept or ""
            one = {"name": example.name, "body": body, "content_type": request.content_type, "accept": accept}
            shown.append(one)
    return shown


def _refusal(response: dict[str, Any], seconds: float) -> Answer:
    """The container's own answer, of which SageMaker tells neither the content type nor other headers."""
    message = response.get("OriginalMessage", "").encode("utf-8", "surrogatepass")
    return Answer(response.get("OriginalStatusCode", 0), "application/json", message, seconds)
