"""What a body says, by its content type: a value that can be compared with another."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from hotfire.arrays import of_npy, of_npz


def media_type(content_type: str) -> str:
    """A content type as it is compared: case and spaces say nothing."""
    return re.sub(r"\s", "", content_type.lower())


def is_json(content_type: str) -> bool:
    """Whether a body of this type is one JSON value."""
    kind = _kind(content_type)
    return kind == "application/json" or kind.endswith("+json")


def value_of(content_type: str, body: bytes) -> Any:
    """A body as a JSON value, of which NaN and infinity may be part.

    JSON is what it says, JSON lines are a list, CSV rows of numbers and texts, numpy's arrays lists in lists.
    Any other body, and one that is not what its type says, is its text; one that is no text is its length
    and its SHA-256.
    """
    read = of_json if is_json(content_type) else _READERS.get(_kind(content_type))
    if read is not None:
        try:
            return read(body)
        except (ValueError, RecursionError):
            pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def of_json(body: bytes) -> Any:
    """One JSON value. Raises ValueError."""
    return json.loads(body)


def of_lines(body: bytes) -> list[Any]:
    """A JSON value on each line that is not empty. Raises ValueError."""
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def of_csv(body: bytes) -> list[list[Any]]:
    """Rows of cells, each a number if it reads as one. Raises ValueError."""
    try:
        return [[_cell(text) for text in row] for row in csv.reader(io.StringIO(body.decode(), newline=""))]
    except csv.Error as error:
        raise ValueError(str(error)) from error


_READERS: Mapping[str, Callable[[bytes], Any]] = {
    "application/jsonlines": of_lines,
    "application/x-ndjson": of_lines,
    "text/csv": of_csv,
    "application/x-npy": of_npy,
    "application/x-npz": of_npz,
}


def _kind(content_type: str) -> str:
    """A content type without its parameters."""
    return media_type(content_type).split(";")[0]


def _cell(text: str) -> Any:
    for kind in (int, float):
        # Python lets underscores into a number: `1_000` is a name here.
        try:
            return text if "_" in text else kind(text)
        except ValueError:
            continue
    return text
