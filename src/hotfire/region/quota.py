"""How many recorded requests are kept, and which go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hotfire.errors import UsageError

MOST_REQUESTS = 10_000
MOST_BYTES = 200 * 1024 * 1024
"""What is kept of all endpoints together, unless other limits are given."""
SHARE_OF_EACH = 10
"""A tenth is the failed requests' own, and nine tenths the others': neither pushes the other out of it."""
REQUESTS_VARIABLE = "HOTFIRE_JOURNAL_REQUESTS"
SIZE_VARIABLE = "HOTFIRE_JOURNAL_MB"
"""Whoever starts the region gives other limits by these."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: so many requests (none if that is 0), and so many bytes of them."""

    requests: int = MOST_REQUESTS
    size: int = MOST_BYTES

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Limits:
        """Those that the variables of the region's process name. Raises UsageError."""
        requests = _whole_number(variables, REQUESTS_VARIABLE, MOST_REQUESTS)
        return cls(requests, _whole_number(variables, SIZE_VARIABLE, MOST_BYTES >> 20) << 20)


@dataclass(slots=True)
class Kept:
    """How much is there of one kind of requests."""

    requests: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """That of one kind, the failed requests or the others, so many and so many bytes are too much."""

    failed: bool
    requests: int
    size: int

    def ending(self, oldest: Sequence[int]) -> Sequence[int]:
        """The first of these weights that are so many and weigh so much; or all."""
        for count, weight in enumerate(accumulate(oldest), 1):
            if count >= self.requests and weight >= self.size:
                return oldest[:count]
        return oldest


class Quota:
    """What is there of each kind, under common limits; nothing at first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._kept = {False: Kept(), True: Kept()}

    def copy(self) -> Quota:
        """The same, to go back to."""
        other = Quota(self.limits)
        other._kept = {failed: replace(kept) for failed, kept in self._kept.items()}
        return other

    def add(self, weights: Sequence[int], *, failed: bool) -> None:
        """These are there besides, each with so many bytes."""
        self._kept[failed].requests += len(weights)
        self._kept[failed].size += sum(weights)

    def remove(self, weights: Sequence[int], *, failed: bool) -> None:
        """These are gone."""
        self._kept[failed].requests -= len(weights)
        self._kept[failed].size -= sum(weights)

    def excess(self) -> Excess | None:
        """What is too much of the kind that is to give way; None if all of it may stay."""
        good, bad, limits = self._kept[False], self._kept[True], self.limits
        requests = good.requests + bad.requests - limits.requests
        size = good.size + bad.size - limits.size
        if requests <= 0 and size <= 0:
            return None
        over_requests = bad.requests - limits.requests // SHARE_OF_EACH if requests > 0 else 0
        over_size = bad.size - limits.size // SHARE_OF_EACH if size > 0 else 0
        if over_requests > 0 or over_size > 0:
            return Excess(True, min(requests, over_requests), min(size, over_size))
        return Excess(False, requests, size)


def _whole_number(variables: Mapping[str, str], name: str, default: int) -> int:
    """Raises UsageError."""
    text = variables.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        message = f"{name} is {text!r}, which is no whole number"
        raise UsageError(message, f"Give it one, such as {name}=1000, or unset it.")
    return int(text)
