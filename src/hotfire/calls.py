"""One call to AWS, as a plan has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A call to AWS, and what it does in a few words.

    `undone_by` takes it back; what only makes something needs none.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    text: str
    undone_by: tuple[Call, ...] = ()


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as SageMaker's operations take them."""
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def add_tags(endpoint: str, arn: str, tags: Mapping[str, str]) -> Call:
    """Give tags to an endpoint. The ARN of one that is yet to be made is empty."""
    params = {"ResourceArn": arn, "Tags": tag_list(tags)}
    return Call("sagemaker", "AddTags", params, f"tag endpoint {endpoint}")
