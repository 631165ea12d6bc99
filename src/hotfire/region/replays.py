"""Recorded requests, sent once more: to an endpoint as it now is, or to a version that serves nowhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hotfire.errors import DeadlineExceeded, QueueFull, UsageError
from hotfire.instances.base import Answer
from hotfire.region.blueprints import Blueprints
from hotfire.region.caller import Caller
from hotfire.region.endpoints import Endpoints
from hotfire.region.records import Invocation
from hotfire.region.runtime import REAL_TIME_SECONDS, Runtime, container_request, parameters
from hotfire.region.store import Store
from hotfire.resources import DEV_TAG

_CALLER = Caller("us-east-1", via="page")
_OF_ONE_ENDPOINT = ("TargetVariant", "TargetModel", "SessionId", "InferenceId")
"""Parameters that mean nothing elsewhere."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request can be sent again: an endpoint, or an endpoint config as a version."""

    kind: Literal["endpoint", "version"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def read(cls, text: str) -> Target:
        """One that was written. Raises UsageError."""
        kind, _, name = text.partition(":")
        if kind == "endpoint" and name:
            return cls("endpoint", name)
        if kind == "version" and name:
            return cls("version", name)
        raise UsageError(f"{text!r} is neither an endpoint nor a version", "Choose one from the list.")


@dataclass(frozen=True, slots=True)
class Replay:
    """What was answered this time; `status` is the container's, 0 if there is no answer, and `message` why.

    `record` is the id of the request's own record, 0 where it was sent to a version and has none.
    """

    target: Target
    status: int
    content_type: str = ""
    body: bytes = b""
    seconds: float = 0.0
    times: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    record: int = 0


class Replays:
    """Sends requests again. A version is started for it, beside what serves, and ended after it."""

    def __init__(self, store: Store, endpoints: Endpoints, blueprints: Blueprints, runtime: Runtime) -> None:
        self._store, self._endpoints, self._blueprints = store, endpoints, blueprints
        self._runtime = runtime
        # Each version takes the memory of a model.
        self._one_version = asyncio.Lock()

    def targets(self) -> list[Target]:
        """Every endpoint, then every config that is still there."""
        endpoints = [Target("endpoint", endpoint.name) for endpoint in self._store.endpoints()]
        configs = [c for c in self._store.configs() if DEV_TAG not in self._store.tags(c.arn)]
        configs.sort(key=lambda config: -config.created)
        return [*endpoints, *(Target("version", config.name) for config in configs)]

    async def send(self, invocation: Invocation, target: Target) -> Replay:
        """Send the same request. Raises UsageError where it is not known whole or the target is gone."""
        if not invocation.can_be_sent_again:
            raise UsageError("the request is not recorded as it was sent, so it cannot be sent again")
        params = parameters(invocation.sent.headers) | {"Body": invocation.sent.body}
        if target != Target("endpoint", invocation.endpoint):
            params = {name: value for name, value in params.items() if name not in _OF_ONE_ENDPOINT}
        if target.kind == "endpoint":
            return await self._to_endpoint(target, params)
        if self._store.config(target.name) is None:
            raise UsageError(f"there is no endpoint config {target.name} any more")
        async with self._one_version:
            return await self._to_version(invocation.endpoint, target, params)

    async def _to_endpoint(self, target: Target, params: Mapping[str, object]) -> Replay:
        outcome = await self._runtime.ask(_CALLER, {**params, "EndpointName": target.name})
        message = outcome.error.message if outcome.error is not None else ""
        if outcome.answer is None:
            return Replay(target, 0, message=message, seconds=outcome.seconds, record=outcome.id)
        return _answered(target, outcome.answer, outcome.seconds, message, outcome.id)

    async def _to_version(self, endpoint: str, target: Target, params: Mapping[str, object]) -> Replay:
        fleet = await self._endpoints.prepare(endpoint, self._blueprints.draw(target.name))
        try:
            begun = time.perf_counter()
            request = container_request(params, REAL_TIME_SECONDS)
            try:
                answer = await fleet.variant(None).instance().invoke(request)
            except (DeadlineExceeded, QueueFull) as error:
                return Replay(target, 0, message=error.message, seconds=time.perf_counter() - begun)
            return _answered(target, answer, time.perf_counter() - begun)
        finally:
            await asyncio.shield(fleet.stop())


def _answered(target: Target, answer: Answer, seconds: float, message: str = "", record: int = 0) -> Replay:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    kind = headers.get("content-type", "")
    return Replay(target, answer.status, kind, answer.body, seconds, answer.times, message, record)
