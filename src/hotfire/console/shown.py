"""A body as a page can show it: laid out, cut, and never as anything that a browser would obey."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

MOST_SHOWN = 20_000
"""Characters of a text; the rest is said to be there."""
_MOST_DUMPED = 512
_DUMP_WIDTH = 16
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
"""What is shown as an image: formats in which nothing can be hidden that runs."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What to show of a body of `size` bytes, of which `kept` are known.

    `kind` says what `text` is: `json` laid out anew, `text` as it is, `hex` the beginning of what is no text;
    of an `image` it is a data address. `more` are the characters of the text that are left out.
    """

    kind: str
    text: str
    size: int
    kept: int
    content_type: str = ""
    more: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether only the body's beginning is known."""
        return self.kept < self.size


def shown(body: bytes | None, size: int, content_type: str) -> Shown:
    """What to show of a body, or of as much of it as is known; None is one that is not recorded."""
    if body is None:
        return Shown("absent", "", size, 0, content_type)
    kept = len(body)
    if not body:
        return Shown("empty", "", size, kept, content_type)
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _IMAGES and kept == size:
        data = f"data:{kind};base64,{base64.b64encode(body).decode()}"
        return Shown("image", data, size, kept, content_type)
    text = _text(body, is_whole=kept == size)
    if text is None:
        return Shown("hex", "\n".join(_dump(body[:_MOST_DUMPED])), size, kept, content_type)
    laid_out = _laid_out(text) if kept == size else None
    kind, text = ("text", text) if laid_out is None else ("json", laid_out)
    return Shown(kind, text[:MOST_SHOWN], size, kept, content_type, max(len(text) - MOST_SHOWN, 0))


def _text(body: bytes, *, is_whole: bool) -> str | None:
    """The text that it is, if it is one. A letter that a cut has split does not make it bytes."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        if is_whole or error.start < len(body) - 3:
            return None
        text = body[: error.start].decode()
    return None if "\0" in text else text


def _laid_out(text: str) -> str | None:
    """JSON with a line for each member; None of what is no JSON, or no object and no list."""
    try:
        value = json.loads(text)
        if isinstance(value, dict | list):
            return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    return None


def _dump(body: bytes) -> Iterator[str]:
    for start in range(0, len(body), _DUMP_WIDTH):
        row = body[start : start + _DUMP_WIDTH]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:06x}  {row.hex(' '):<{_DUMP_WIDTH * 3 - 1}}  {letters}"
