"""Requests that are answered later, by clients that say what the test gives them."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hotfire.deferred import MOST_INLINE, Deferred, hand_in, wait
from hotfire.errors import DeployError
from hotfire.examples import Answer, ExampleRequest


class Runtime:
    """Takes requests, and notes them."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def invoke_endpoint_async(self, **params: Any) -> dict[str, Any]:
        self.asked = params
        return {"InferenceId": "i-1", "OutputLocation": "s3://b/o.out"}


class S3:
    """Objects, of which each is looked for in vain before it is there."""

    def __init__(self, objects: dict[str, tuple[bytes, str]], code: str = "NoSuchKey") -> None:
        self._objects, self._code = objects, code
        self._looked: set[str] = set()

    def get_object(self, **params: str) -> dict[str, Any]:
        key = params["Key"]
        if key not in self._objects or key not in self._looked:
            self._looked.add(key)
            raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "GetObject")
        body, content_type = self._objects[key]
        return {"Body": io.BytesIO(body), "ContentType": content_type}


def deferred(output: str, failure: str = "") -> Deferred:
    return Deferred("i-1", output, failure, "application/json", time.perf_counter())


def outcome(one: Deferred, s3: S3 | None = None, seconds: float = 10.0) -> Answer:
    return wait(one, lambda: s3, seconds)


def test_a_request_goes_with_its_body() -> None:
    runtime = Runtime()
    told = hand_in(runtime, "e", ExampleRequest(b"[1]", accept="text/csv"))
    assert runtime.asked == {
        "EndpointName": "e",
        "Body": b"[1]",
        "ContentType": "application/json",
        "Accept": "text/csv",
    }
    assert (told.inference_id, told.output, told.failure) == ("i-1", "s3://b/o.out", "")


def test_a_request_names_where_its_body_is() -> None:
    runtime = Runtime()
    hand_in(runtime, "e", ExampleRequest(b""), "s3://b/i")
    assert runtime.asked["InputLocation"] == "s3://b/i"
    assert "Body" not in runtime.asked


def test_a_body_that_is_too_long_is_not_sent() -> None:
    runtime = Runtime()
    with pytest.raises(DeployError, match="a request takes at most 128,000 along"):
        hand_in(runtime, "e", ExampleRequest(b"x" * (MOST_INLINE + 1)))
    assert runtime.asked == {}


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "AccessDenied"])
def test_an_answer_is_read_from_a_bucket_when_it_is_there(code: str) -> None:
    answer = outcome(deferred("s3://b/a/o.out"), S3({"a/o.out": (b"1,2", "text/csv")}, code))
    assert (answer.status, answer.content_type, answer.body) == (200, "text/csv", b"1,2")


def test_an_answer_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "o ü.out").write_bytes(b"[1]")
    answer = outcome(deferred(f"file://{tmp_path}/o%20ü.out"))
    assert (answer.status, answer.content_type, answer.body) == (200, "application/json", b"[1]")


def test_an_error_of_the_container_is_its_answer(tmp_path: Path) -> None:
    message = 'Received client error (404) from primary with message "no\nsuch "word"". See https://x'
    (tmp_path / "failed").write_text(message)
    answer = outcome(deferred(f"file://{tmp_path}/out", f"file://{tmp_path}/failed"))
    assert (answer.status, answer.body) == (404, b'no\nsuch "word"')


def test_any_other_failure_has_no_status(tmp_path: Path) -> None:
    (tmp_path / "failed").write_text("There is no s3://b/i.")
    answer = outcome(deferred(f"file://{tmp_path}/out", f"file://{tmp_path}/failed"))
    assert (answer.status, answer.content_type, answer.body) == (0, "text/plain", b"There is no s3://b/i.")


def test_what_does_not_come_in_time_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="there is no answer at file://"):
        outcome(deferred(f"file://{tmp_path}/out"), seconds=0.05)


def test_a_bucket_that_cannot_be_read_is_told() -> None:
    with pytest.raises(DeployError, match="read s3://b/o"):
        outcome(deferred("s3://b/o"), S3({}, "SlowDown"))
