"""STS and IAM as far as deploy scripts call them."""

import json
import re
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from hotfire.errors import ValidationException
from hotfire.region.caller import Caller
from hotfire.region.identity import Identity
from hotfire.region.wire import Request, Service


def asked(service_name: str, operation: str, region: str = "us-east-1", **params: str) -> dict[str, Any]:
    """What botocore reads from the answer to an operation that went through the wire."""
    service, identity = Service(service_name), Identity()
    call = service.parse(Request("POST", "/", "", {}, urlencode({"Action": operation, **params}).encode()))
    result = identity.operations[call.operation](Caller(region), call.params)
    assert isinstance(result, dict)
    answer = service.answer(call, result)
    model = ServiceModel(Loader().load_service_model(service_name, "service-2"))
    raw = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    parsed: dict[str, Any] = create_parser("query").parse(raw, model.operation_model(operation).output_shape)
    return parsed


def test_the_caller_is_a_roles_session() -> None:
    caller = asked("sts", "GetCallerIdentity")
    assert caller["Account"] == "000000000000"
    assert caller["Arn"] == "arn:aws:sts::000000000000:assumed-role/hotfire/local"


def test_the_sdk_finds_a_role_in_the_callers_arn() -> None:
    arn = asked("sts", "GetCallerIdentity")["Arn"]
    (name,) = re.findall("assumed-role/(.+?)/", arn)
    assert asked("iam", "GetRole", RoleName=name)["Role"]["Arn"] == "arn:aws:iam::000000000000:role/hotfire"


@pytest.mark.parametrize("name", ["my-sagemaker-role", "A_role+=,.@-1"])
def test_a_role_of_any_name_is_there(name: str) -> None:
    role = asked("iam", "GetRole", RoleName=name)["Role"]
    assert role["RoleName"] == name
    assert role["Arn"] == f"arn:aws:iam::000000000000:role/{name}"
    assert role["Path"] == "/"
    assert role["CreateDate"].year == 1970


def test_a_roles_id_is_its_own_and_stays() -> None:
    first, again, other = (
        asked("iam", "GetRole", RoleName=name)["Role"]["RoleId"] for name in ("a", "a", "b")
    )
    assert re.fullmatch("AROA[0-9A-F]{17}", first)
    assert first == again
    assert first != other


def test_arns_are_of_the_callers_part_of_aws() -> None:
    assert asked("iam", "GetRole", "cn-north-1", RoleName="r")["Role"]["Arn"] == (
        "arn:aws-cn:iam::000000000000:role/r"
    )


def test_other_operations_are_not_supported() -> None:
    assert set(Identity().operations) == {"GetCallerIdentity", "GetRole", "SimulatePrincipalPolicy"}


def test_a_role_trusts_sagemaker() -> None:
    document = json.loads(unquote(asked("iam", "GetRole", RoleName="r")["Role"]["AssumeRolePolicyDocument"]))
    (statement,) = document["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Allow", {"Service": "sagemaker.amazonaws.com"})


def simulated(**more: str) -> dict[str, Any]:
    names = {"ActionNames.member.1": "s3:GetObject", "ActionNames.member.2": "sagemaker:CreateModel"}
    role = "arn:aws:iam::000000000000:role/r"
    return asked("iam", "SimulatePrincipalPolicy", PolicySourceArn=role, **names, **more)


def test_a_role_may_do_everything() -> None:
    answer = simulated()
    assert answer["IsTruncated"] is False
    assert answer["EvaluationResults"] == [
        {"EvalActionName": "s3:GetObject", "EvalResourceName": "*", "EvalDecision": "allowed"},
        {"EvalActionName": "sagemaker:CreateModel", "EvalResourceName": "*", "EvalDecision": "allowed"},
    ]


def test_a_role_may_do_it_to_each_resource() -> None:
    arns = {"ResourceArns.member.1": "arn:aws:s3:::a", "ResourceArns.member.2": "arn:aws:s3:::b"}
    results = simulated(**arns)["EvaluationResults"]
    assert [(one["EvalActionName"], one["EvalResourceName"]) for one in results] == [
        ("s3:GetObject", "arn:aws:s3:::a"),
        ("s3:GetObject", "arn:aws:s3:::b"),
        ("sagemaker:CreateModel", "arn:aws:s3:::a"),
        ("sagemaker:CreateModel", "arn:aws:s3:::b"),
    ]


def test_what_a_role_may_do_comes_in_pages() -> None:
    first = simulated(MaxItems="1")
    assert first["IsTruncated"] is True
    last = simulated(MaxItems="1", Marker=first["Marker"])
    assert last["IsTruncated"] is False
    assert [one["EvalActionName"] for page in (first, last) for one in page["EvaluationResults"]] == [
        "s3:GetObject",
        "sagemaker:CreateModel",
    ]


def test_a_marker_of_another_is_refused() -> None:
    with pytest.raises(ValidationException, match="Marker is not one"):
        simulated(Marker="two")
