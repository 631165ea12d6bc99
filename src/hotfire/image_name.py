"""What an image may be called: the grammar of `distribution/reference`, which engines and registries keep."""

from __future__ import annotations

import re

_LONGEST = 255
"""Characters of a name without its tag and digest."""

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_NAME = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@{_DIGEST})?"
)


def is_image_name(text: str) -> bool:
    """Whether it can be one: `[HOST[:PORT]/]NAME[/NAME]…[:TAG][@DIGEST]`."""
    found = _NAME.fullmatch(text)
    return found is not None and len(found["name"]) <= _LONGEST
