"""What the List operations have in common: filters, order and pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from hotfire.errors import ValidationException

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
    """The items that a List operation answers with, and the answer's NextToken if there are more.

    A token is the place of the last item in the order, so that pages stay whole while resources come and go.
    """
    sort_key = _SORT_KEYS[params.get("SortBy", "CreationTime")]
    falling = params.get("SortOrder", "Descending") == "Descending"

    def place(item: _Item) -> tuple[Any, str]:
        return sort_key(item), item.name

    chosen = sorted((item for item in items if _passes(item, params)), key=place, reverse=falling)
    if token := params.get("NextToken"):
        last = _read_token(token)
        try:
            chosen = [item for item in chosen if (place(item) < last if falling else place(item) > last)]
        except TypeError:  # a token of another order
            raise _bad_token() from None
    size = params.get("MaxResults", DEFAULT_RESULTS)
    more = {"NextToken": _token(place(chosen[size - 1]))} if len(chosen) > size else {}
    return chosen[:size], more


def _passes(item: Listed, params: Mapping[str, Any]) -> bool:
    if params.get("NameContains", "") not in item.name:
        return False
    if "StatusEquals" in params and getattr(item, "status", None) != params["StatusEquals"]:
        return False
    return all(holds(item, params[bound]) for bound, holds in _BOUNDS.items() if bound in params)


def _token(place: tuple[Any, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_token(token: str) -> tuple[Any, str]:
    try:
        key, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise _bad_token() from None
    return key, name


def _bad_token() -> ValidationException:
    return ValidationException("NextToken is not one that this operation gave with the same SortBy.")
