"""What a body says, by its content type."""

import hashlib
import io
import math
from typing import Any

import numpy as np
import pytest

from hotfire.bodies import is_json, media_type, value_of


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        ("application/json", b'{"a": [1, 0.5]}', {"a": [1, 0.5]}),
        ("Application/JSON; charset=utf-8", b"[1]", [1]),
        ("application/problem+json", b"[1]", [1]),
        ("application/json", b"no json", "no json"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("application/jsonlines", b'{"a": 1}\n\n[2]\n', [{"a": 1}, [2]]),
        ("text/csv", b'1,0.5,"a,b"\n2,x,\n', [[1, 0.5, "a,b"], [2, "x", ""]]),
        ("text/csv", b"1_000", [["1_000"]]),
        ("text/plain", "grün".encode(), "grün"),
        ("", b"[1]", "[1]"),
        ("application/x-npy", b"[1]", "[1]"),
    ],
)
def test_a_body_as_a_value(content_type: str, body: bytes, value: Any) -> None:
    assert value_of(content_type, body) == value


def test_json_may_hold_nan() -> None:
    assert math.isnan(value_of("application/json", b"[NaN]")[0])


def test_an_array() -> None:
    file = io.BytesIO()
    np.save(file, np.array([[0.5, 1.5]], "f4"))
    assert value_of("application/x-npy", file.getvalue()) == [[0.5, 1.5]]


def test_what_is_no_text_is_told_by_length_and_hash() -> None:
    body = b"\xff\xfe"
    expected = {"bytes": 2, "sha256": hashlib.sha256(body).hexdigest()}
    assert value_of("application/octet-stream", body) == expected


def test_case_and_spaces_of_a_content_type_say_nothing() -> None:
    assert media_type("Text/Plain; Charset=UTF-8") == media_type("text/plain;charset=utf-8")


@pytest.mark.parametrize(
    ("content_type", "expected"), [("application/json", True), ("application/jsonlines", False), ("", False)]
)
def test_which_types_are_one_json_value(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected
