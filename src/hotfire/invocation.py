"""Requests to an endpoint, by SageMaker Runtime: one, or the project's examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
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


def attempt(client: Any, endpoint: str, example: Example) -> Trial:
    """Send an example and compare. Raises DeployError if it does not reach the model."""
    answer = invoke(client, endpoint, example.request)
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
