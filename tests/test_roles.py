from typing import Any

import pytest

from hotfire import roles
from hotfire.errors import DeployError


def test_an_arn_is_not_asked_for() -> None:
    assert roles.arn(None, "arn:aws:iam::123456789012:role/x") == "arn:aws:iam::123456789012:role/x"


def test_a_name_becomes_an_arn(aws: Any) -> None:
    assert roles.arn(aws.client("iam"), "news") == "arn:aws:iam::123456789012:role/news"


def test_an_unknown_name_lists_the_roles_that_trust_sagemaker(aws: Any) -> None:
    iam = aws.client("iam")
    iam.create_role(RoleName="lambda", AssumeRolePolicyDocument='{"Principal": "lambda.amazonaws.com"}')
    with pytest.raises(DeployError, match="no role 'other'") as raised:
        roles.arn(iam, "other")
    assert raised.value.advice == "Those that trust SageMaker: news."


def test_without_any_such_role_it_says_how_to_make_one(aws: Any) -> None:
    iam = aws.client("iam")
    iam.delete_role(RoleName="news")
    with pytest.raises(DeployError) as raised:
        roles.arn(iam, "news")
    assert raised.value.advice.startswith("No role of this account trusts SageMaker")
