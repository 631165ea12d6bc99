"""A recorded request sent again, and how the answer is held against the recorded one."""

from __future__ import annotations

import json
import math
import socket
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any

from corpus import Case

NUMPY = b"\x93NUMPY"
TRACEBACK = b"Traceback (most recent call last):"


def send(port: int, case: Case, seconds: float = 60) -> tuple[int, dict[str, str], bytes]:
    """Send a case's request, and read the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        # It may be refused before the body is read; the answer is there all the same.
        with suppress(ConnectionError):
            connection.sendall(case.sent)
        response = HTTPResponse(connection, method=case.method)
        response.begin()
        while response.status == 100:
            response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()


def comparable(case: Case, body: bytes) -> Any:
    """A body as it is compared: floats by value, and without what is nobody's to say."""
    head, trace, _ = body.partition(TRACEBACK)
    if trace:
        return head.partition(b" object at 0x")[0]
    if body.startswith(NUMPY) and b"'|O'" in body:
        return body.partition(b"\n")[0]  # what follows is a pickle, whose bytes are its writer's affair
    try:
        value = json.loads(body)
    except ValueError:
        return body
    if case.setup.name == "cwd_and_files":
        value.pop("dir_prefix")
        value["cwd"] = "the model's folder"
    return rounded(value)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


def is_same(case: Case, body: bytes) -> bool:
    """Whether a body says what AWS's said."""
    if "json_scalar" in case.name:
        return True  # what the toolkit makes of a scalar is memory that nobody wrote
    if b"TS_MAX_RESPONSE_SIZE" in body:
        # AWS's worker dies of an answer that is too long; ours lives, and the limit is named.
        return b"Worker died." in case.body
    return comparable(case, body) == comparable(case, case.body)
