"""The little of STS and IAM that deploy scripts call: who am I, which role is that, and what may it do.

The local region has one account and grants everything, so a role of any name is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hotfire.errors import ValidationException
from hotfire.region.caller import Answer, Caller, Operation

_CALLER_ROLE = "hotfire"
_MOST_RESULTS = 100
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Identity:
    """STS's and IAM's operations by their names."""

    def __init__(self, account: str = "000000000000") -> None:
        self._account = account
        self.operations: Mapping[str, Operation] = {
            "GetCallerIdentity": self.get_caller_identity,
            "GetRole": self.get_role,
            "SimulatePrincipalPolicy": self.simulate_principal_policy,
        }

    def get_caller_identity(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The session of a role, as on SageMaker's own notebooks: the SDK finds its execution role by it."""
        return {
            "UserId": f"{_role_id(_CALLER_ROLE)}:local",
            "Account": self._account,
            "Arn": f"arn:{caller.partition}:sts::{self._account}:assumed-role/{_CALLER_ROLE}/local",
        }

    def get_role(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A role of any name is there, and trusts SageMaker."""
        name = params["RoleName"]
        role = {
            "Path": "/",
            "RoleName": name,
            "RoleId": _role_id(name),
            "Arn": f"arn:{caller.partition}:iam::{self._account}:role/{name}",
            "CreateDate": 0.0,
            "AssumeRolePolicyDocument": quote(json.dumps(_TRUST), safe=""),
        }
        return {"Role": role}

    def simulate_principal_policy(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Every action on every resource is allowed."""
        results = [
            {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
            for action in params["ActionNames"]
            for resource in params.get("ResourceArns") or ["*"]
        ]
        begin = _read_marker(params.get("Marker"))
        end = begin + params.get("MaxItems", _MOST_RESULTS)
        more = {"Marker": str(end)} if end < len(results) else {}
        return {"EvaluationResults": results[begin:end], "IsTruncated": bool(more), **more}


def _role_id(name: str) -> str:
    return "AROA" + hashlib.sha256(name.encode()).hexdigest()[:17].upper()


def _read_marker(marker: str | None) -> int:
    """Where a page begins."""
    if marker is None:
        return 0
    if not (marker.isascii() and marker.isdecimal()):
        raise ValidationException("Marker is not one that this operation gave.")
    return int(marker)
