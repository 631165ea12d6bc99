"""The little of STS and IAM that deploy scripts call: who am I, and which role is that.

The local region has one account and grants everything, so a role of any name is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from hotfire.region.caller import Answer, Caller, Operation

_CALLER_ROLE = "hotfire"


class Identity:
    """STS's and IAM's operations by their names."""

    def __init__(self, account: str = "000000000000") -> None:
        self._account = account
        self.operations: Mapping[str, Operation] = {
            "GetCallerIdentity": self.get_caller_identity,
            "GetRole": self.get_role,
        }

    def supports(self, operation: str) -> bool:
        """Whether the region has an operation of STS's or IAM's."""
        return operation in self.operations

    def get_caller_identity(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """A role's session, as on SageMaker's own notebooks: the SDK finds its execution role by it."""
        return {
            "UserId": f"{_role_id(_CALLER_ROLE)}:local",
            "Account": self._account,
            "Arn": f"arn:{caller.partition}:sts::{self._account}:assumed-role/{_CALLER_ROLE}/local",
        }

    def get_role(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        name = params["RoleName"]
        role = {
            "Path": "/",
            "RoleName": name,
            "RoleId": _role_id(name),
            "Arn": f"arn:{caller.partition}:iam::{self._account}:role/{name}",
            "CreateDate": 0.0,
        }
        return {"Role": role}


def _role_id(name: str) -> str:
    return "AROA" + hashlib.sha256(name.encode()).hexdigest()[:17].upper()
