"""What clients of services that are not here read."""

from typing import Any

import pytest
from botocore.parsers import create_parser

from hotfire.errors import UnknownOperation, UnrecognizedClient
from hotfire.region.absent import Absent
from hotfire.region.wire import Request

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
NAMED = Request("POST", "/", "", {"x-amz-target": "DynamoDB_20120810.ListTables"}, b"{}")
LISTED = Request("POST", "/", "", FORM, b"Action=ListTopics&Version=2010-03-31")
BY_PATH = Request("GET", "/2015-03-31/functions", "", {}, b"")
SERVICES = [
    ("dynamodb", NAMED, "json", 400, "UnknownOperationException"),
    ("sns", LISTED, "query", 400, "InvalidAction"),
    ("ec2", LISTED, "ec2", 400, "InvalidAction"),
    ("lambda", BY_PATH, "rest-json", 404, "UnknownOperationException"),
    ("route53", BY_PATH, "rest-xml", 404, "UnknownOperationException"),
]


def read(service: str, request: Request, protocol: str, error: Any) -> tuple[int, str, str]:
    answer = Absent(service, request, ["sts", "logs"]).refuse(error, "id")
    raw = {
        "status_code": answer.status,
        "headers": {name.lower(): value for name, value in answer.headers},
        "body": answer.body,
    }
    parsed = create_parser(protocol).parse(raw, None)
    return answer.status, parsed["Error"]["Code"], parsed["Error"]["Message"]


@pytest.mark.parametrize(("service", "request_", "protocol", "status", "code"), SERVICES)
def test_a_client_of_each_protocol_reads_that_it_is_not_there(
    service: str, request_: Request, protocol: str, status: int, code: str
) -> None:
    said = read(service, request_, protocol, UnknownOperation("It is <not> there."))
    assert said == (status, code, "It is <not> there.")


@pytest.mark.parametrize(("service", "request_", "protocol"), [one[:3] for one in SERVICES])
def test_another_refusal_keeps_its_status(service: str, request_: Request, protocol: str) -> None:
    assert read(service, request_, protocol, UnrecognizedClient("Who?"))[::2] == (403, "Who?")


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        (NAMED, "DynamoDB_20120810.ListTables"),
        (LISTED, "ListTopics"),
        (Request("POST", "/", "", FORM, b"\xff"), "the form"),
        (BY_PATH, "GET /2015-03-31/functions"),
    ],
)
def test_the_message_says_what_was_asked_of_whom_and_what_there_is(request_: Request, asked: str) -> None:
    with pytest.raises(UnknownOperation) as caught:
        Absent("x", request_, ["sts", "logs"]).parse(request_)
    assert caught.value.message == (
        f"This local region of Hotfire has no service 'x', which {asked} is for. It has logs, sts."
    )
