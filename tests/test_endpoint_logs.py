"""An endpoint's lines out of CloudWatch Logs; the local region's own, whose clock goes a second a line."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.endpoint_logs import events, last_exception
from hotfire.errors import DeployError, LogGroupNotFound
from hotfire.region.caller import Caller
from hotfire.region.journal import Journal
from hotfire.region.logs import Logs
from hotfire.region.store import Store


class Client:
    """A client of the logs, which counts the events that it read."""

    class exceptions:
        """What boto3 raises."""

        ResourceNotFoundException = LogGroupNotFound

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self.read = 0

    def filter_log_events(self, **params: Any) -> dict[str, Any]:
        return self._counted(self._logs.filter_log_events(Caller("us-east-1"), params))

    def get_log_events(self, **params: Any) -> dict[str, Any]:
        return self._counted(self._logs.get_log_events(Caller("us-east-1"), params))

    def get_paginator(self, operation: str) -> "Client":
        assert operation == "describe_log_streams"
        return self

    def paginate(self, **params: Any) -> Iterator[dict[str, Any]]:
        yield self._logs.describe_log_streams(Caller("us-east-1"), params)

    def _counted(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.read += len(answer["events"])
        return answer


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite", itertools.count(1000).__next__) as journal:
        yield journal


@pytest.fixture
def client(tmp_path: Path, journal: Journal) -> Iterator[Client]:
    with Store(tmp_path / "region.sqlite") as store:
        yield Client(Logs(store, journal))


def texts(client: Client, **wanted: Any) -> list[str]:
    return [event.message for event in events(client, "e", **wanted)]


def test_all_lines_are_there_oldest_first(client: Client, journal: Journal) -> None:
    for text in "abc":
        journal.add("e", "s", "", text)
    assert texts(client) == ["a", "b", "c"]
    assert next(events(client, "e")).time == 1000.0


def test_lines_since_a_time(client: Client, journal: Journal) -> None:
    for text in "abc":
        journal.add("e", "s", "", text)
    assert texts(client, since=1001.0) == ["b", "c"]


@pytest.mark.parametrize(("lines", "found"), [(0, ""), (1, "d"), (3, "bcd"), (4, "abcd"), (100, "abcd")])
def test_the_last_lines_of_several_streams(client: Client, journal: Journal, lines: int, found: str) -> None:
    for text, stream in zip("abcd", "1221", strict=True):
        journal.add("e", stream, "", text)
    assert texts(client, lines=lines) == list(found)


def test_the_last_lines_since_a_time(client: Client, journal: Journal) -> None:
    for text in "abcd":
        journal.add("e", "s", "", text)
    assert texts(client, since=1001.0, lines=2) == ["c", "d"]
    assert texts(client, since=1003.0, lines=2) == ["d"]


def test_a_long_log_is_not_read_for_its_last_lines(client: Client, journal: Journal) -> None:
    for number in range(1000):
        journal.add("e", "s", "", str(number))
    assert texts(client, lines=3) == ["997", "998", "999"]
    assert client.read < 20


def test_streams_that_ended_long_ago_are_not_read_for_the_last_lines(tmp_path: Path) -> None:
    hours = itertools.count(step=7200)
    with Journal(tmp_path / "j.sqlite", hours.__next__) as journal, Store(tmp_path / "s.sqlite") as store:
        for number in range(100):
            journal.add("e", f"stream-{number}", "", str(number))
        client = Client(Logs(store, journal))
        assert texts(client, lines=2) == ["98", "99"]
        assert client.read < 10


def test_what_comes_follows_the_last_lines(client: Client, journal: Journal) -> None:
    for text in "abc":
        journal.add("e", "s", "", text)
    following = events(client, "e", lines=1, follow=0.0)
    assert next(following).message == "c"
    journal.add("e", "s", "", "d")
    assert next(following).message == "d"


@pytest.mark.parametrize("lines", [None, 3])
def test_an_endpoint_without_a_log_is_told(client: Client, lines: int | None) -> None:
    with pytest.raises(DeployError, match="the endpoint 'e' has no log"):
        texts(client, lines=lines)


TORCHSERVE = "2026-11-23T04:08:41,123 [INFO ] W-9000-model_1.0-stdout MODEL_LOG - "
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/opt/ml/model/code/inference.py", line 1, in <module>',
    "    import nosuchthing",
    "ModuleNotFoundError: No module named 'nosuchthing'",
]


@pytest.mark.parametrize("prefix", ["", TORCHSERVE, TORCHSERVE.replace("stdout", "stderr")])
def test_the_last_exception_is_found_behind_what_a_server_puts_before_it(prefix: str) -> None:
    lines = [
        "Traceback (most recent call last):",
        "my.own.LoadError",
        *TRACEBACK,
        "Backend worker process died.",
    ]
    found = last_exception(f"{prefix}{line}" for line in lines)
    assert found == "ModuleNotFoundError: No module named 'nosuchthing'"


@pytest.mark.parametrize(
    "lines", [[], ["ValueError: told without a traceback"], TRACEBACK[:3], ["started", "Error in the model"]]
)
def test_what_is_no_traceback_has_no_exception(lines: list[str]) -> None:
    assert last_exception(lines) == ""


def test_an_exception_without_a_message_is_one() -> None:
    assert last_exception([TRACEBACK[0], "a.b.CError"]) == "a.b.CError"
