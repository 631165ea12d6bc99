import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import InvalidParameter, LogGroupNotFound
from hotfire.region.caller import Caller
from hotfire.region.journal import Journal
from hotfire.region.logs import Logs
from hotfire.region.store import Store
from hotfire.region.wire import Call, Service
from hotfire.resources import Endpoint

GROUP = "/aws/sagemaker/Endpoints/e"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite", itertools.count(1000).__next__) as journal:
        yield journal


@pytest.fixture
def logs(store: Store, journal: Journal) -> Logs:
    return Logs(store, journal)


def ask(logs: Logs, group: str = GROUP, **params: Any) -> dict[str, Any]:
    return logs.filter_log_events(Caller("us-east-1"), {"logGroupName": group, **params})


def messages(logs: Logs, **params: Any) -> list[str]:
    return [event["message"] for event in ask(logs, **params)["events"]]


def test_a_line_is_an_event(logs: Logs, journal: Journal) -> None:
    journal.add("e", "AllTraffic/i-1", "r", "hello")
    (event,) = ask(logs)["events"]
    assert event == {
        "logStreamName": "AllTraffic/i-1",
        "timestamp": 1_000_000,
        "message": "hello",
        "ingestionTime": 1_000_000,
        "eventId": "1".rjust(56, "0"),
    }


def test_the_answer_is_one_that_a_client_reads(logs: Logs, journal: Journal) -> None:
    journal.add("e", "s", "", "hello")
    answer = Service("logs").answer(Call("logs", "FilterLogEvents", {}), ask(logs))
    assert b'"message": "hello"' in answer.body


def test_an_endpoint_that_printed_nothing_has_a_group(logs: Logs, store: Store) -> None:
    store.put_endpoint(Endpoint("e", "arn", "c", "InService", 0.0, 0.0))
    assert ask(logs)["events"] == []


def test_an_endpoint_that_is_gone_has_left_its_group(logs: Logs, journal: Journal) -> None:
    journal.add("e", "s", "", "last words")
    assert messages(logs) == ["last words"]


@pytest.mark.parametrize(
    "group", ["/aws/sagemaker/Endpoints/absent", "/aws/lambda/e", "e", "/aws/sagemaker/Endpoints/"]
)
def test_a_group_that_is_not_there(logs: Logs, journal: Journal, group: str) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(LogGroupNotFound, match="The specified log group does not exist"):
        ask(logs, group)


@pytest.mark.parametrize("end", ["", ":*"])
def test_a_group_goes_by_its_arn_too(logs: Logs, journal: Journal, end: str) -> None:
    journal.add("e", "s", "", "hello")
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}{end}"
    answer = logs.filter_log_events(Caller("us-east-1"), {"logGroupIdentifier": arn})
    assert [event["message"] for event in answer["events"]] == ["hello"]


def test_a_page_leads_to_the_next(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    pages, token = [], {}
    while True:
        answer = ask(logs, limit=2, **token)
        pages.append([event["message"] for event in answer["events"]])
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert pages == [["0", "1"], ["2", "3"], ["4"]]


@pytest.mark.parametrize("token", ["", "page two", "-1", "²"])
def test_a_token_of_another_is_refused(logs: Logs, journal: Journal, token: str) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        ask(logs, nextToken=token)


def test_events_are_chosen_by_time_both_ends_included(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    assert messages(logs, startTime=1_001_000, endTime=1_003_000) == ["1", "2", "3"]


def test_events_are_chosen_by_stream(logs: Logs, journal: Journal) -> None:
    for stream in ("a/i-1", "a/i-2", "b/i-1"):
        journal.add("e", stream, "", stream)
    assert messages(logs, logStreamNames=["a/i-2", "b/i-1"]) == ["a/i-2", "b/i-1"]
    assert messages(logs, logStreamNamePrefix="a/") == ["a/i-1", "a/i-2"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", ["ERROR disk full", "ERROR net down", "WARN disk slow"]),
        ("ERROR", ["ERROR disk full", "ERROR net down"]),
        ("disk ERROR", ["ERROR disk full"]),
        ('"disk full"', ["ERROR disk full"]),
        ("?net ?slow", ["ERROR net down", "WARN disk slow"]),
        ("ERROR -disk", ["ERROR net down"]),
        ('-"disk full" disk', ["WARN disk slow"]),
        ("error", []),
    ],
)
def test_events_are_chosen_by_pattern(logs: Logs, journal: Journal, pattern: str, found: list[str]) -> None:
    for line in ("ERROR disk full", "ERROR net down", "WARN disk slow"):
        journal.add("e", "s", "", line)
    assert messages(logs, filterPattern=pattern) == found
