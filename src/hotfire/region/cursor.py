"""Pages of a list whose items come and go.

A token is the place of a page's last item in the order, not its number, so that the next page begins after
it whatever has changed meanwhile.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Place = tuple[Any, ...]
_Item = TypeVar("_Item")


def turn(
    items: Iterable[_Item],
    place: Callable[[_Item], Place],
    size: int,
    token: str | None = None,
    *,
    falling: bool = False,
) -> tuple[list[_Item], str | None]:
    """The items of the page that a token leads to, the first without one, and the next page's token.

    No two items may have the same place. Raises ValueError for a token of another order, or of nobody.
    """
    chosen = sorted(items, key=place, reverse=falling)
    if token is not None:
        last = _read(token)
        try:
            chosen = [item for item in chosen if (place(item) < last if falling else place(item) > last)]
        except TypeError as error:
            raise ValueError("the token is of another order") from error
    return chosen[:size], _write(place(chosen[size - 1])) if len(chosen) > size else None


def _write(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read(token: str) -> Place:
    place = json.loads(base64.urlsafe_b64decode(token))
    if not isinstance(place, list):
        raise ValueError("the token is no place")
    return tuple(place)
