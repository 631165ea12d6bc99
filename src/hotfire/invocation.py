"""One request to an endpoint, by SageMaker Runtime."""

from __future__ import annotations

import time
from typing import Any

from hotfire.examples import Answer, ExampleRequest
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


def _refusal(response: dict[str, Any], seconds: float) -> Answer:
    """The container's own answer, of which SageMaker tells neither the content type nor other headers."""
    message = response.get("OriginalMessage", "").encode("utf-8", "surrogatepass")
    return Answer(response.get("OriginalStatusCode", 0), "application/json", message, seconds)
