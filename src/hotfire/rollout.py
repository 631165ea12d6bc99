"""Make the calls of a plan, wait for the endpoint, and take back what was made if it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from hotfire.deployment import Report
from hotfire.errors import DeployError
from hotfire.inventory import Inventory, errors, is_absent
from hotfire.plan import Call
from hotfire.resources import MOVING

_UNDONE_BY = {
    "CreateModel": ("DeleteModel", "ModelName"),
    "CreateEndpointConfig": ("DeleteEndpointConfig", "EndpointConfigName"),
    "CreateEndpoint": ("DeleteEndpoint", "EndpointName"),
}
_MOVES = {"CreateEndpoint": "Creating", "UpdateEndpoint": "Updating", "DeleteEndpoint": "Deleting"}
_POLL_SECONDS = 0.2
"""Between two looks at an endpoint whose state moves; a local region holds its answer meanwhile."""

Clients = Callable[[str], Any]
"""Gives the boto3 client of a service."""


class Rollout:
    """The calls of one plan; it knows which of them made something."""

    def __init__(self, clients: Clients, report: Report) -> None:
        self._clients, self._report = clients, report
        self._inventory = Inventory(clients("sagemaker"))
        self._made: list[Call] = []

    def apply(self, calls: Iterable[Call]) -> None:
        """Make the calls in their order. If one fails, what those before it made is undone.

        Raises DeployError, which names the call and gives AWS's message.
        """
        for call in calls:
            # Noted before it is made: an interrupted call may have come through.
            self._made.append(call)
            try:
                self._make(call)
            except DeployError:
                self._made.pop()
                self.undo()
                raise
            except BaseException:
                self.undo()
                raise

    def undo(self) -> None:
        """Remove what the calls made, the last first; what cannot be removed stays, with what it needs."""
        while self._made:
            call = self._made.pop()
            if call.operation not in _UNDONE_BY:
                continue
            operation, key = _UNDONE_BY[call.operation]
            name = call.params[key]
            text = f"undo: {call.text}"
            try:
                self._make(Call(call.service, operation, {key: name}, text))
            except DeployError as error:
                self._report.log(f"{name} could not be removed again: {error.message}")
                self._made.clear()

    def settled(self, endpoint: str) -> dict[str, Any] | None:
        """What DescribeEndpoint answers once the state does not move any more; None if there is none."""
        begun = time.monotonic()
        found = self._inventory.endpoint(endpoint)
        while found is not None and found["EndpointStatus"] in MOVING:
            self._report.state(found["EndpointStatus"], time.monotonic() - begun)
            time.sleep(_POLL_SECONDS)
            found = self._inventory.endpoint(endpoint)
        return found

    def _make(self, call: Call) -> None:
        from botocore import xform_name
        from botocore.exceptions import ClientError

        operation = getattr(self._clients(call.service), xform_name(call.operation))
        with errors(call.text):
            try:
                operation(**call.params)
            except ClientError as error:
                # What is to be removed may be gone already.
                if not (call.operation.startswith("Delete") and is_absent(error)):
                    raise
        self._report.call(call.text)
        if call.operation in _MOVES:
            self._report.state(_MOVES[call.operation], 0.0)
        if call.operation == "DeleteEndpoint":
            self.settled(call.params["EndpointName"])
