"""Sides that are asked the same, and where their answers differ."""

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotfire.comparison import Difference
from hotfire.errors import DeployError, RegionNotRunning, Unreachable
from hotfire.examples import Answer, Example, ExampleRequest, Expectation
from hotfire.parity import Absent, Finding, Parity, Refused, Reply, Row, differences, said

JSON = "application/json"
ERROR = 'no such word\nTraceback (most recent call last):\n  File "{}", line 3\nValueError: no such word\n'


def answer(value: Any, *, status: int = 200, content_type: str = JSON, seconds: float = 0.0) -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(status, content_type, body, seconds)


def example(name: str = "one", tolerance: float = 1e-4) -> Example:
    return Example(
        name, Path(f"{name}.json"), ExampleRequest(name.encode()), Expectation(tolerance=tolerance)
    )


class Told:
    """A side that is told what to answer, or to raise."""

    def __init__(self, name: str, *answers: Answer | Exception) -> None:
        self.name, self._answers = name, list(answers)
        self.asked: list[bytes] = []

    def ask(self, request: ExampleRequest) -> Answer:
        self.asked.append(request.body)
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Exception):
            raise given
        return given


def found(one: Answer, other: Answer, tolerance: float = 1e-4) -> list[tuple[str, str]]:
    return [(what, str(difference)) for what, difference in differences(one, other, tolerance)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (answer({"a": 1, "b": 2}), answer({"b": 2, "a": 1})),
        (answer(b"[NaN]"), answer(b" [NaN]")),
        (answer([0.5]), answer([0.50001])),
        (answer([1], content_type="Application/JSON"), answer([1])),
        (answer(b"1,0.5\n", content_type="text/csv"), answer(b"1,0.50001\r\n", content_type="text/csv")),
        (answer(b"\xff", content_type="x/y"), answer(b"\xff", content_type="x/y")),
    ],
)
def test_what_is_answered_alike(one: Answer, other: Answer) -> None:
    assert found(one, other) == []


def test_an_array_is_compared_by_value() -> None:
    files = [io.BytesIO(), io.BytesIO()]
    np.save(files[0], np.array([0.5, 1.5], "f4"))
    np.save(files[1], np.array([0.5, 1.75], "f8"))
    one, other = (answer(file.getvalue(), content_type="application/x-npy") for file in files)
    assert found(one, other) == [("body", "[1] was 1.5, now 1.75 (+0.25)")]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (answer([1]), answer([1], content_type="text/plain"), [("content type", "application/json")]),
        (answer({"a": 1}), answer({"a": 3}), [("body", "a was 1, now 3 (+2)")]),
        (answer([1, 2]), answer([1]), [("body", "[1] is missing, expected 2")]),
        (answer(b"a", content_type="text/plain"), answer(b"b", content_type="text/plain"), [("body", '"a"')]),
        (answer([1]), answer([1], status=201), [("status", "was 200, now 201")]),
        (
            answer([1]),
            answer(b"no", status=500),
            [("status", "was 200, now 500"), ("body", 'was [1], now "no"')],
        ),
    ],
)
def test_where_answers_differ(one: Answer, other: Answer, expected: list[tuple[str, str]]) -> None:
    told = found(one, other)
    assert [what for what, _ in told] == [what for what, _ in expected]
    for (_, text), (_, part) in zip(told, expected, strict=True):
        assert part in text


def test_bytes_differ_by_length_and_hash() -> None:
    one, other = (answer(body, content_type="image/png") for body in (b"\xff", b"\xff\xff"))
    told = found(one, other)
    assert told[0] == ("body", "bytes was 1, now 2 (+1)")
    assert told[1][1].startswith("sha256 was ")


def test_the_tolerance_is_that_of_numbers() -> None:
    assert found(answer([0.5]), answer([0.6]), 0.2) == []
    assert len(found(answer([0.5]), answer([0.50001]), 0.0)) == 1


def test_an_error_is_compared_without_its_traceback_and_content_type() -> None:
    here = answer(ERROR.format("/home/me/serve.py").encode(), status=500)
    there = answer(ERROR.format("/opt/ml/model/serve.py").encode(), status=500, content_type="text/plain")
    assert found(here, there) == []
    other = answer(b"another\nTraceback (most recent call last):\nValueError: another", status=500)
    assert found(here, other) == [("body", 'the answer was "no such word", now "another"')]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (ERROR.format("x").partition("\n")[2].encode(), "ValueError: no such word"),
        (b"<A object at 0x7f12> is no number", "<A> is no number"),
        (
            b'{"code": 500, "message": "x\\nTraceback (most recent call last):\\n"}',
            {"code": 500, "message": "x"},
        ),
        (b"[1]", [1]),
    ],
)
def test_what_an_error_says(body: bytes, expected: Any) -> None:
    assert said(answer(body, status=500)) == expected


def rows(comparing: Parity, *examples: Example) -> list[Row]:
    return list(comparing.rows(examples or (example(),)))


def test_every_side_is_asked_every_example() -> None:
    one, other = Told("a", answer(1)), Told("b", answer(1))
    told = rows(Parity([one, other], repeat=2), example("x"), example("y"))
    assert [row.is_same for row in told] == [True, True]
    assert one.asked == other.asked == [b"x"] * 3 + [b"y"] * 3


def test_the_time_is_the_median_without_that_of_the_first_request() -> None:
    times = [answer(1, seconds=seconds) for seconds in (9.0, 0.3, 0.1, 0.2)]
    (row,) = rows(Parity([Told("a", *times), Told("b", answer(1))]))
    assert row.replies["a"] == Reply(times[0], 0.2, True)


def test_all_are_compared_with_the_first() -> None:
    (row,) = rows(Parity([Told("a", answer(1)), Told("b", answer(2)), Told("c", answer(3))]))
    assert row.findings == (
        Finding("b", "body", Difference("", "changed", 1, 2, 1.0)),
        Finding("c", "body", Difference("", "changed", 1, 3, 2.0)),
    )
    assert not row.is_same


def test_the_tolerance_is_the_examples_own_unless_another_is_given() -> None:
    def differs(**more: Any) -> bool:
        sides = [Told("a", answer(0.5)), Told("b", answer(0.6))]
        return not rows(Parity(sides, **more), example(tolerance=0.2))[0].is_same

    assert not differs()
    assert differs(tolerance=0.01)


def test_a_side_that_does_not_answer_the_same_each_time_is_told() -> None:
    (row,) = rows(Parity([Told("a", answer(1), answer(2), answer(1)), Told("b", answer(1))]))
    replies = [row.replies[name] for name in "ab"]
    assert [isinstance(one, Reply) and one.is_steady for one in replies] == [False, True]
    assert row.is_same


def test_sides_are_asked_at_the_same_time_and_each_one_thing_at_a_time() -> None:
    both = threading.Barrier(2)

    class Waiting(Told):
        busy = 0

        def ask(self, request: ExampleRequest) -> Answer:
            self.busy += 1
            assert self.busy == 1
            both.wait(60)
            self.busy -= 1
            return super().ask(request)

    told = rows(Parity([Waiting("a", answer(1)), Waiting("b", answer(1))]), example("x"), example("y"))
    assert [row.is_same for row in told] == [True, True]


def test_a_side_that_refuses_one_request_is_asked_the_next() -> None:
    good, refusing = answer(1), Told("b", DeployError("too long", "Cut it."), answer(1))
    first, second = rows(Parity([Told("a", good), refusing]), example("x"), example("y"))
    assert first.replies["b"] == Refused("too long", "Cut it.")
    assert (first.is_same, second.is_same) == (False, True)


def test_a_side_that_is_down_is_asked_nothing_more_and_the_others_are_compared() -> None:
    down = Told("b", Unreachable("gone", "Start it."))
    comparing = Parity([Told("a", answer(1)), down, Told("c", answer(1))])
    told = rows(comparing, example("x"), example("y"))
    assert [list(row.replies) for row in told] == [["a", "c"], ["a", "c"]]
    assert (down.asked, list(comparing.down)) == ([b"x"], ["b"])


@pytest.mark.parametrize("at", [0, 1])
def test_where_nothing_is_left_to_compare_it_ends(at: int) -> None:
    sides: list[Told | Absent] = [Told("a", answer(1)), Told("b", answer(1))]
    sides[at] = Absent("down", RegionNotRunning("the region is not running", "Start it."))
    comparing = Parity(sides)
    assert rows(comparing, example("x"), example("y")) == []
    assert (comparing.down["down"].message, comparing.down["down"].advice) == (
        "the region is not running",
        "Start it.",
    )
    other = sides[1 - at]
    assert isinstance(other, Told)
    assert set(other.asked) == {b"x"}


def test_without_the_first_the_others_are_not_compared() -> None:
    sides = [Told("a", Unreachable("gone")), Told("b", answer(1)), Told("c", answer(2))]
    assert rows(Parity(sides)) == []


def test_a_bug_in_a_side_is_no_difference() -> None:
    with pytest.raises(ZeroDivisionError):
        rows(Parity([Told("a", answer(1)), Told("b", ZeroDivisionError())]))
