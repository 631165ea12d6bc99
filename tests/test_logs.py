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
from hotfire.region.wire import Call, Request, Service
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


def read(logs: Logs, stream: str = "s", **params: Any) -> dict[str, Any]:
    return logs.get_log_events(
        Caller("us-east-1"), {"logGroupName": GROUP, "logStreamName": stream, **params}
    )


def read_messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def described(logs: Logs, **params: Any) -> dict[str, Any]:
    return logs.describe_log_streams(Caller("us-east-1"), {"logGroupName": GROUP, **params})


def stream_names(logs: Logs, **params: Any) -> list[str]:
    return [stream["logStreamName"] for stream in described(logs, **params)["logStreams"]]


def group_names(logs: Logs, **params: Any) -> list[str]:
    groups = logs.describe_log_groups(Caller("us-east-1"), params)["logGroups"]
    return [group["logGroupName"].removeprefix("/aws/sagemaker/Endpoints/") for group in groups]


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


@pytest.mark.parametrize("token", ["", "page two", "-1", "f/²/s", "f/1", f"b/{2**63}/s"])
def test_a_token_of_another_is_refused(logs: Logs, journal: Journal, token: str) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        ask(logs, nextToken=token)
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        read(logs, nextToken=token)


def test_a_page_holds_a_megabyte(logs: Logs, journal: Journal) -> None:
    for letter in "abc":
        journal.add("e", "s", "", letter * 600_000)
    first = ask(logs)
    assert [event["message"][0] for event in first["events"]] == ["a"]
    assert [event["message"][0] for event in ask(logs, nextToken=first["nextToken"])["events"]] == ["b"]


def test_a_line_of_more_than_a_megabyte_has_a_page_of_its_own(logs: Logs, journal: Journal) -> None:
    journal.add("e", "s", "", "a" * 2_000_000)
    journal.add("e", "s", "", "b")
    assert [event["message"][0] for event in ask(logs)["events"]] == ["a"]


def test_a_page_is_the_last_where_nothing_that_is_asked_for_follows(logs: Logs, journal: Journal) -> None:
    for stream in "aab":
        journal.add("e", stream, "", stream)
    assert "nextToken" not in ask(logs, logStreamNames=["a"], limit=2)
    assert "nextToken" not in ask(logs, endTime=1_001_000, limit=2)


def test_events_are_read_from_the_newest_on(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    first = ask(logs, startFromHead=False, limit=2)
    assert [event["message"] for event in first["events"]] == ["4", "3"]
    assert messages(logs, nextToken=first["nextToken"], limit=2) == ["2", "1"]


def test_events_are_chosen_by_time_both_ends_included(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    assert messages(logs, startTime=1_001_000, endTime=1_003_000) == ["1", "2", "3"]


@pytest.mark.parametrize("pattern", ["{ $.level = 1 }", "[ip, user]", "%ERR.R%"])
def test_a_pattern_of_fields_or_expressions_is_refused(logs: Logs, journal: Journal, pattern: str) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(InvalidParameter, match="filters by words"):
        ask(logs, filterPattern=pattern)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"logGroupName": GROUP, "logGroupIdentifier": GROUP}, "Only one of logGroupName"),
        ({}, "Exactly one of logGroupName and logGroupIdentifier"),
        (
            {"logGroupName": GROUP, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
            "Only one of logStreamNames",
        ),
    ],
)
def test_what_excludes_each_other_is_refused(
    logs: Logs, journal: Journal, params: dict[str, Any], said: str
) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(InvalidParameter, match=said):
        logs.filter_log_events(Caller("us-east-1"), params)


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


# One stream


def test_a_stream_is_read_from_its_end_by_itself(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    journal.add("e", "other", "", "not this")
    assert read(logs, limit=2)["events"] == [
        {"timestamp": 1_003_000, "message": "3", "ingestionTime": 1_003_000},
        {"timestamp": 1_004_000, "message": "4", "ingestionTime": 1_004_000},
    ]
    assert read_messages(read(logs, limit=2, startFromHead=True)) == ["0", "1"]


def test_tokens_lead_forward_to_the_end_and_then_to_what_comes_later(logs: Logs, journal: Journal) -> None:
    for number in range(3):
        journal.add("e", "s", "", str(number))
    first = read(logs, limit=2, startFromHead=True)
    second = read(logs, limit=2, nextToken=first["nextForwardToken"], startFromHead=True)
    assert read_messages(second) == ["2"]
    third = read(logs, nextToken=second["nextForwardToken"], startFromHead=True)
    assert (third["events"], third["nextForwardToken"]) == ([], second["nextForwardToken"])
    journal.add("e", "s", "", "3")
    assert read_messages(read(logs, nextToken=third["nextForwardToken"], startFromHead=True)) == ["3"]


def test_tokens_lead_backward_to_the_beginning(logs: Logs, journal: Journal) -> None:
    for number in range(3):
        journal.add("e", "s", "", str(number))
    last = read(logs, limit=2)
    first = read(logs, limit=2, nextToken=last["nextBackwardToken"])
    assert (read_messages(last), read_messages(first)) == (["1", "2"], ["0"])
    end = read(logs, nextToken=first["nextBackwardToken"])
    assert (end["events"], end["nextBackwardToken"]) == ([], first["nextBackwardToken"])


def test_one_turns_round_at_an_end(logs: Logs, journal: Journal) -> None:
    for number in range(3):
        journal.add("e", "s", "", str(number))
    whole = read(logs, startFromHead=True)
    end = read(logs, nextToken=whole["nextForwardToken"])
    assert read_messages(read(logs, nextToken=end["nextBackwardToken"], limit=2)) == ["1", "2"]
    beginning = read(logs, nextToken=whole["nextBackwardToken"])
    assert read_messages(read(logs, nextToken=beginning["nextForwardToken"], limit=2)) == ["0", "1"]


@pytest.mark.parametrize("from_head", [True, False])
def test_where_nothing_is_found_the_tokens_lead_to_what_comes(
    logs: Logs, journal: Journal, from_head: bool
) -> None:
    journal.add("e", "s", "", "early")
    empty = read(logs, startTime=1_001_000, startFromHead=from_head)
    journal.add("e", "s", "", "late")
    token = empty["nextForwardToken"]
    assert (empty["events"], read_messages(read(logs, startTime=1_001_000, nextToken=token))) == (
        [],
        ["late"],
    )


def test_a_stream_is_read_between_two_times_the_later_excluded(logs: Logs, journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    assert read_messages(read(logs, startTime=1_001_000, endTime=1_003_000)) == ["1", "2"]


def test_a_stream_that_is_not_there(logs: Logs, journal: Journal) -> None:
    journal.add("e", "s", "", "hello")
    with pytest.raises(LogGroupNotFound, match="The specified log stream does not exist"):
        read(logs, "other")
    with pytest.raises(LogGroupNotFound, match="The specified log stream does not exist"):
        ask(logs, logStreamNames=["s", "other"])


# What there is


def test_a_stream_is_described(logs: Logs, journal: Journal) -> None:
    journal.add("e", "AllTraffic/i-1", "", "one")
    journal.add("e", "AllTraffic/i-1", "", "two")
    assert described(logs)["logStreams"] == [
        {
            "logStreamName": "AllTraffic/i-1",
            "creationTime": 1_000_000,
            "firstEventTimestamp": 1_000_000,
            "lastEventTimestamp": 1_001_000,
            "lastIngestionTime": 1_001_000,
            "arn": f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:log-stream:AllTraffic/i-1",
            "storedBytes": 0,
        }
    ]


def test_streams_are_in_the_order_of_their_names_or_of_their_last_lines(logs: Logs, journal: Journal) -> None:
    for stream in "bacb":
        journal.add("e", stream, "", "")
    assert stream_names(logs) == ["a", "b", "c"]
    assert stream_names(logs, descending=True) == ["c", "b", "a"]
    assert stream_names(logs, orderBy="LastEventTime") == ["a", "c", "b"]
    assert stream_names(logs, orderBy="LastEventTime", descending=True, limit=1) == ["b"]


def test_streams_are_chosen_by_the_beginnings_of_their_names(logs: Logs, journal: Journal) -> None:
    for stream in ("a/1", "a/2", "b/1"):
        journal.add("e", stream, "", "")
    assert stream_names(logs, logStreamNamePrefix="a/") == ["a/1", "a/2"]
    with pytest.raises(InvalidParameter, match="Cannot order by LastEventTime"):
        described(logs, logStreamNamePrefix="a/", orderBy="LastEventTime")


@pytest.mark.parametrize("order", ["LogStreamName", "LastEventTime"])
@pytest.mark.parametrize("descending", [True, False])
def test_streams_come_in_pages(logs: Logs, journal: Journal, order: str, descending: bool) -> None:
    for stream in "abcde":
        journal.add("e", stream, "", "")
    ordered = {"orderBy": order, "descending": descending}
    found, token = [], {}
    while True:
        answer = described(logs, limit=2, **ordered, **token)
        found += [stream["logStreamName"] for stream in answer["logStreams"]]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert found == stream_names(logs, **ordered)


@pytest.mark.parametrize("token", ["x", "é", "MQ=="])
def test_a_token_of_no_page_is_refused(logs: Logs, journal: Journal, token: str) -> None:
    journal.add("e", "s", "", "")
    with pytest.raises(InvalidParameter, match="nextToken is invalid"):
        described(logs, nextToken=token)


def test_a_group_that_is_not_there_has_no_streams_to_describe(logs: Logs) -> None:
    with pytest.raises(LogGroupNotFound, match="The specified log group does not exist"):
        described(logs)
    with pytest.raises(LogGroupNotFound, match="The specified log group does not exist"):
        read(logs)


def test_a_group_is_described(logs: Logs, store: Store, journal: Journal) -> None:
    store.put_endpoint(Endpoint("e", "arn", "c", "InService", 999.5, 999.5))
    journal.add("e", "s", "", "hello")
    assert logs.describe_log_groups(Caller("us-east-1"), {})["logGroups"] == [
        {
            "logGroupName": GROUP,
            "creationTime": 999_500,
            "metricFilterCount": 0,
            "arn": f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*",
            "storedBytes": 5,
            "logGroupClass": "STANDARD",
            "logGroupArn": f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}",
        }
    ]


def test_groups_are_those_of_endpoints_that_are_there_or_have_printed(
    logs: Logs, store: Store, journal: Journal
) -> None:
    store.put_endpoint(Endpoint("silent", "arn", "c", "InService", 0.0, 0.0))
    for endpoint in ("gone", "e"):
        journal.add(endpoint, "s", "", "")
    assert group_names(logs) == ["e", "gone", "silent"]
    assert group_names(logs, logGroupNamePrefix="/aws/sagemaker/Endpoints/s") == ["silent"]
    assert group_names(logs, logGroupNamePattern="on") == ["gone"]
    assert group_names(logs, logGroupNamePrefix="/aws/batch") == []
    assert group_names(logs, logGroupClass="INFREQUENT_ACCESS") == []
    assert group_names(logs, logGroupIdentifiers=[GROUP]) == ["e"]
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}"
    assert group_names(logs, logGroupIdentifiers=[arn]) == ["e"]
    first = logs.describe_log_groups(Caller("us-east-1"), {"limit": 2})
    assert group_names(logs, nextToken=first["nextToken"]) == ["silent"]


# What clients may send


def test_what_the_model_refuses_has_cloudwatchs_own_name_for_it() -> None:
    request = Request(
        "POST",
        "/",
        "",
        {"x-amz-target": "Logs_20140328.FilterLogEvents"},
        b'{"logGroupName": "g", "limit": 0}',
    )
    with pytest.raises(InvalidParameter, match="limit"):
        Service("logs").parse(request)


def test_every_operation_is_one_of_cloudwatch_logs(logs: Logs) -> None:
    for name in logs.operations:
        request = Request(
            "POST", "/", "", {"x-amz-target": f"Logs_20140328.{name}"}, b'{"logStreamName": "s"}'
        )
        assert Service("logs").parse(request).operation == name
