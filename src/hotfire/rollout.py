"""Make the calls of a plan, wait for the endpoint, and take back what was made if it does not come."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hotfire.calls import Call
from hotfire.deploy_env import SERVING, is_absent
from hotfire.deployment import LogEvent, Report
from hotfire.destination import Pace
from hotfire.endpoint_logs import Tail, streams
from hotfire.errors import DeployError, EndpointFailed
from hotfire.hints import advice
from hotfire.inventory import Inventory, errors
from hotfire.plan import Existing
from hotfire.resources import MOVING

_UNDONE_BY = {
    "CreateModel": ("DeleteModel", "ModelName"),
    "CreateEndpointConfig": ("DeleteEndpointConfig", "EndpointConfigName"),
    "CreateEndpoint": ("DeleteEndpoint", "EndpointName"),
}
_MOVES = {"CreateEndpoint": "Creating", "UpdateEndpoint": "Updating", "DeleteEndpoint": "Deleting"}
_LAST_LINES = 30
_FAILED_LOOKS = 10
"""So many looks in a row may fail before the wait does."""

Clients = Callable[[str], Any]
"""Gives the boto3 client of a service."""


class Rollout:
    """The calls of one plan for one endpoint; it knows which of them made something."""

    def __init__(self, clients: Clients, report: Report, endpoint: str, pace: Pace) -> None:
        self._clients, self._report, self._endpoint, self._pace = clients, report, endpoint, pace
        self._inventory = Inventory(clients("sagemaker"))
        self._made: list[Call] = []
        self._listening: _Listening | None = None
        self.under_way = False
        """Whether the endpoint goes on changing without us: so when a wait is interrupted."""

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
                self._undo()
                raise
            except BaseException:
                self._undo()
                raise

    def bring(
        self, config: str, calls: Iterable[Call], existing: Existing, sources: Mapping[str, Path]
    ) -> None:
        """Make the calls that bring the endpoint to a config, and wait until it serves.

        Raises EndpointFailed if it does not come to that; then what the calls made is undone. It has the
        user's own traceback, which names the files of the model data by where they come from: `sources`.
        """
        self._listening = _Listening(self._clients, self._endpoint, self._report, self._pace)
        self.apply(calls)
        self.under_way = True
        found = self.settled()
        self.under_way = False
        if found is None or (found["EndpointStatus"], found["EndpointConfigName"]) != ("InService", config):
            failure = self._failure(found, existing, sources)
            self._undo()
            raise failure

    def settled(self) -> dict[str, Any] | None:
        """What DescribeEndpoint answers once the state does not move any more; None if there is none."""
        begun = time.monotonic()
        found = self._inventory.endpoint(self._endpoint)
        while found is not None and found["EndpointStatus"] in MOVING:
            self._report.state(found["EndpointStatus"], time.monotonic() - begun)
            if self._listening:
                self._listening.go_along()
            time.sleep(self._pace.seconds)
            found = self._look_again()
        return found

    def _look_again(self) -> dict[str, Any] | None:
        """One who waits for minutes does not give up because the network was away for one."""
        for _ in range(_FAILED_LOOKS):
            with suppress(DeployError):
                return self._inventory.endpoint(self._endpoint)
            time.sleep(self._pace.seconds)
        return self._inventory.endpoint(self._endpoint)

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
            self.settled()

    def _undo(self) -> None:
        """Remove what the calls made, the last first; what cannot be removed stays, with what it needs."""
        while self._made:
            call = self._made.pop()
            try:
                for undoing in _undoing(call):
                    self._make(undoing)
            except DeployError as error:
                self._report.log(f"What was made could not be removed again: {error.message}")
                self._made.clear()
                self.under_way = True

    def _failure(
        self, found: dict[str, Any] | None, existing: Existing, sources: Mapping[str, Path]
    ) -> EndpointFailed:
        reason = _reason(found, existing)
        message = f"the endpoint {self._endpoint!r} did not come into service: {reason}"
        trace = self._listening.trace(is_alone=existing.status not in SERVING) if self._listening else ""
        if trace:
            message += f"\n\n{_with_sources(trace, sources)}\n"
        left = (
            f"{existing.config} serves on as before."
            if existing.status in SERVING
            else "Nothing of it was left behind."
        )
        hint = advice(f"{trace}\n{reason}") or "Mend it and deploy again."
        return EndpointFailed(message, f"{left} {hint}")


def _undoing(call: Call) -> tuple[Call, ...]:
    """What takes a call back, each said to be that."""
    text = f"undo: {call.text}"
    if call.operation in _UNDONE_BY:
        operation, key = _UNDONE_BY[call.operation]
        return (Call(call.service, operation, {key: call.params[key]}, text),)
    return tuple(replace(one, text=text) for one in call.undone_by)


class _Listening:
    """To what an endpoint prints while it is brought to another config."""

    def __init__(self, clients: Clients, endpoint: str, report: Report, pace: Pace) -> None:
        self._clients, self._endpoint, self._report = clients, endpoint, report
        self._goes_along = pace.reads_log
        self._since = time.time()
        # At AWS a new fleet writes streams of its own, beside those of the one that still serves.
        self._others = streams(clients("logs"), endpoint) if self._goes_along else frozenset()
        self._tail: Tail | None = None
        self._heard: list[LogEvent] = []

    def go_along(self) -> None:
        """Report what is new, where the log is read while one waits."""
        if self._goes_along:
            for event in self._hear():
                self._report.printed(event.message)

    def trace(self, *, is_alone: bool) -> str:
        """The traceback of the load; else, if no other fleet prints there, what was printed last."""
        self._hear()
        load = [event.message for event in self._heard if event.stream.endswith("/load")]
        last = self._heard[-_LAST_LINES:] if is_alone or self._goes_along else []
        return "\n".join(load or [event.message for event in last])

    def _hear(self) -> list[LogEvent]:
        if self._tail is None:
            self._tail = Tail(self._clients("logs"), self._endpoint, self._since, self._others)
        new: list[LogEvent] = []
        with suppress(DeployError):  # there is no log yet, or it may not be read
            new.extend(self._tail.read())
        self._heard += new
        return new


def _with_sources(trace: str, sources: Mapping[str, Path]) -> str:
    """A traceback with the user's own files in place of their copies in the model folder."""

    def named(match: re.Match[str]) -> str:
        copy = match[1]
        found = (source for place, source in sources.items() if copy.endswith(f"/model/{place}"))
        return f'File "{next(found, copy)}", line'

    return re.sub(r'File "([^"\n]+)", line', named, trace)


def _reason(found: dict[str, Any] | None, existing: Existing) -> str:
    if found is None:
        return "it was deleted meanwhile"
    if found["EndpointStatus"] == "InService" and found["EndpointConfigName"] != existing.config:
        return f"another deploy brought it to {found['EndpointConfigName']}"
    return str(found.get("FailureReason", "no reason is given"))
