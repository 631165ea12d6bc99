"""SageMaker Runtime's API."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from hotfire.errors import DeadlineExceeded, ModelError, QueueFull, Throttling
from hotfire.instances.base import Answer as ContainerAnswer
from hotfire.instances.base import Request
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.endpoints import Endpoints
from hotfire.region.logs import GROUP_PREFIX

REAL_TIME_SECONDS = 60.0
"""How long SageMaker waits for a model's answer: InvokeEndpoint's documentation."""

_HEADERS = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
    "TargetVariant": "X-Amzn-SageMaker-Target-Variant",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "SessionId": "X-Amzn-SageMaker-Session-Id",
}
"""The parameters that reach the container, and by which header."""


class Runtime:
    """Invocations of the endpoints of a region."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self.operations: Mapping[str, Operation] = {"InvokeEndpoint": self.invoke_endpoint}

    def supports(self, operation: str) -> bool:
        """Whether the region has an operation of SageMaker Runtime's."""
        return operation in self.operations

    async def invoke_endpoint(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """One request to a variant's container; anything it answers but 2xx is a ModelError."""
        name = params["EndpointName"]
        variant = await self._endpoints.variant(name, params.get("TargetVariant"))
        body = params.get("Body", b"")
        headers = {header: params[given] for given, header in _HEADERS.items() if given in params}
        headers["Content-Length"] = str(len(body))
        request = Request(str(uuid.uuid4()), headers, body, REAL_TIME_SECONDS)
        try:
            answer = await variant.instance().invoke(request)
        except DeadlineExceeded:
            raise _model_error(caller, name, 0, _TIMED_OUT) from None
        except QueueFull as error:
            raise Throttling(f"Endpoint {name} takes no more requests now: {error.message}.") from None
        if not 200 <= answer.status < 300:
            raise _model_error(caller, name, answer.status, answer.body.decode("utf-8", "replace"))
        return _answer(answer, variant.plan.name)


_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def _answer(answer: ContainerAnswer, variant: str) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    members = {
        "Body": answer.body,
        "ContentType": headers.get("content-type"),
        "InvokedProductionVariant": variant,
        "CustomAttributes": headers.get("x-amzn-sagemaker-custom-attributes"),
        "NewSessionId": headers.get("x-amzn-sagemaker-new-session-id"),
        "ClosedSessionId": headers.get("x-amzn-sagemaker-closed-session-id"),
    }
    return {name: value for name, value in members.items() if value is not None}


def _model_error(caller: Caller, endpoint: str, status: int, message: str) -> ModelError:
    console = f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    group = GROUP_PREFIX + endpoint
    kind = "client" if 400 <= status < 500 else "server"
    return ModelError(
        f'Received {kind} error ({status}) from primary with message "{message}". See '
        f"{console}#logEventViewer:group={group} in account 000000000000 for more information.",
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=f"arn:{caller.partition}:logs:{caller.region}:000000000000:log-group:{group}",
    )
