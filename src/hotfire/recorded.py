"""Requests that the local region recorded, as examples that expect nothing."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path
from typing import Any

from hotfire.address import Address
from hotfire.examples import Example, ExampleRequest, Expectation

_SAGEMAKER = "x-amzn-sagemaker-"


def examples(region: Address, endpoint: str, number: int) -> tuple[list[Example], int]:
    """The last requests to an endpoint that differ from each other, the oldest first.

    Besides, how many of those that came since cannot be sent again. Raises RegionError.
    """
    given = {"endpoint": endpoint, "limit": number}
    found = region.call("POST", "/_hotfire/requests", given)
    return [_example(one) for one in reversed(found["requests"])], int(found["left_out"])


def _example(one: dict[str, Any]) -> Example:
    headers = {name.lower().removeprefix(_SAGEMAKER): value for name, value in one["headers"].items()}
    request = ExampleRequest(
        base64.b64decode(one["body"]),
        headers.get("content-type", "application/json"),
        headers.get("accept"),
        headers.get("custom-attributes"),
        target_model=headers.get("target-model"),
        target_variant=headers.get("target-variant"),
        inference_id=headers.get("inference-id"),
        session_id=headers.get("session-id"),
    )
    moment = datetime.fromtimestamp(one["time"] / 1000)
    return Example(f"{one['id']} of {moment:%H:%M:%S}", Path(), request, Expectation())
