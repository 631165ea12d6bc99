"""Who calls an operation, and what an operation is to the one who dispatches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

LONGEST_WAIT = 20.0  # seconds that an answer is held; clients' own time-outs begin at 60

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """The AWS region that the request was signed for, and how long its answer may be held back."""

    region: str
    wait: float = LONGEST_WAIT
    via: Literal["page", "api"] | None = None
    """By what of our own a request to a model came; None if by SageMaker's API."""

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in, as ARNs name it."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"


Operation = Callable[[Caller, Mapping[str, Any]], Answer | Awaitable[Answer]]
"""Takes the valid parameters and returns the answer's members, both by the names of the API."""
