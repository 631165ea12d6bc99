"""The role that SageMaker is to take on, by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from hotfire.config_file import listed, nearest
from hotfire.errors import DeployError
from hotfire.inventory import errors

_SAGEMAKER = "sagemaker.amazonaws.com"
_MOST_NAMED = 10


def arn(client: Any, role: str) -> str:
    """A role's ARN, by an IAM client. Raises DeployError, which names those that would do."""
    if role.startswith("arn:"):
        return role
    with errors(f"find the role {role}"):
        try:
            return str(client.get_role(RoleName=role)["Role"]["Arn"])
        except client.exceptions.NoSuchEntityException as error:
            raise DeployError(f"there is no role {role!r} in this account", _advice(client, role)) from error


def _advice(client: Any, role: str) -> str:
    with suppress(DeployError), errors("list the roles"):
        names = sorted(_that_trust_sagemaker(client))
        if names:
            near = nearest(role, names)
            meant = f"Did you mean {near!r}? " if near else ""
            more = " and others" if len(names) > _MOST_NAMED else ""
            return f"{meant}Those that trust SageMaker: {listed(names[:_MOST_NAMED])}{more}."
        return "No role of this account trusts SageMaker: make one in the IAM console (use case: SageMaker)."
    return "Mend `aws_role` in config.yml."


def _that_trust_sagemaker(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            policy = role.get("AssumeRolePolicyDocument", "")
            # botocore has parsed it, if it is AWS's; an imitation may give it as text.
            if _SAGEMAKER in (unquote(policy) if isinstance(policy, str) else json.dumps(policy)):
                yield str(role["RoleName"])
