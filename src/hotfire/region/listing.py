"""What the List operations have in common: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from hotfire.errors import ValidationException
from hotfire.region.cursor import turn

DEFAULT_RESULTS = 10


class Listed(Protocol):
    """A resource as its List operation sees it."""

    @property
    def name(self) -> str: ...

    @property
    def created(self) -> float: ...


_Item = TypeVar("_Item", bound=Listed)

_BOUNDS: Mapping[str, Callable[[Any, float], bool]] = {
    "CreationTimeBefore": lambda item, time: item.created < time,
    "CreationTimeAfter": lambda item, time: item.created >= time,
    "LastModifiedTimeBefore": lambda item, time: item.modified < time,
    "LastModifiedTimeAfter": lambda item, time: item.modified > time,
}

_SORT_KEYS: Mapping[str, Callable[[Any], str | float]] = {
    "Name": lambda item: item.name,
    "CreationTime": lambda item: item.created,
    "Status": lambda item: item.status,
}


def page(items: Iterable[_Item], params: Mapping[str, Any]) -> tuple[list[_Item], dict[str, str]]:
    """The items that a List operation answers with, and the answer's NextToken if there are more."""
    sort_key = _SORT_KEYS[params.get("SortBy", "CreationTime")]

    def place(item: _Item) -> tuple[Any, str]:
        return sort_key(item), item.name

    try:
        chosen, token = turn(
            (item for item in items if _passes(item, params)),
            place,
            params.get("MaxResults", DEFAULT_RESULTS),
            params.get("NextToken") or None,
            falling=params.get("SortOrder", "Descending") == "Descending",
        )
    except ValueError:
        raise ValidationException(
            "NextToken is not one that this operation gave with the same SortBy."
        ) from None
    return chosen, {} if token is None else {"NextToken": token}


def _passes(item: Listed, params: Mapping[str, Any]) -> bool:
    if params.get("NameContains", "") not in item.name:
        return False
    if "StatusEquals" in params and getattr(item, "status", None) != params["StatusEquals"]:
        return False
    return all(holds(item, params[bound]) for bound, holds in _BOUNDS.items() if bound in params)
