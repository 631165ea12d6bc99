"""A lease on an endpoint of the local region, as its holder sees it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from socket import SHUT_RDWR
from threading import Thread
from typing import Any

from hotfire.address import Address
from hotfire.app_schema import App
from hotfire.examples import Answer, Example, ExampleRequest
from hotfire.invocation import page_of
from hotfire.local_region import LocalImage
from hotfire.resources import TAKES_VERSIONS_VARIABLE
from hotfire.snapshot import Snapshot
from hotfire.wanted import asynchronous, hosting
from hotfire_worker.terminal import VARIABLE

LONGEST_LOAD = 3600.0
_STARTUP_SECONDS = 600

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Timed:
    """What was answered to an example, and how long each function of the handler took, in seconds.

    `findings` are what the worker found about it besides: `failure` or `doubts`.
    """

    answer: Answer
    times: Mapping[str, float] = field(default_factory=dict)
    findings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload came to: the answers to the examples in their order, or why it cannot be loaded.

    `generation` counts the loads of the model; `kept` is whether this one was spared. `seconds` are those
    until it could answer. `findings` are about what cannot be loaded, where there are any.
    """

    answers: tuple[Timed, ...] = ()
    generation: int = 0
    kept: bool = False
    seconds: float = 0.0
    message: str = ""
    trace: str = ""
    findings: Mapping[str, Any] | None = None
    overtaken: bool = False

    @property
    def failed(self) -> bool:
        """Whether requests are now told why the handler cannot be loaded."""
        return bool(self.message)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a developer looks into a handler with.

    `debug_port` is where a debugger attaches, if it may; `terminal` the socket of breakpoints, empty if
    nobody is at a terminal; `profile`, whether it is told where an example's time went.
    """

    debug_port: int | None = None
    terminal: str = ""
    profile: bool = False


NO_TOOLS = Tools()


class Lease:
    """Has an endpoint for itself until it is closed. Raises RegionError if somebody else has it."""

    def __init__(
        self,
        region: Address,
        endpoint: str,
        tags: Mapping[str, str],
        tell: Callable[[Event], None],
        tools: Tools = NO_TOOLS,
    ) -> None:
        self._region, self._endpoint = region, endpoint
        self._tell = tell
        self._tools = tools
        given = {"endpoint": endpoint, "pid": os.getpid(), "tags": dict(tags)}
        self._connection, self._stream = region.open("POST", "/_hotfire/lease", given)
        self._id = json.loads(self._stream.readline())["lease"]
        self._reader = Thread(target=self._read, args=(self._stream,), daemon=True)
        self._reader.start()

    def reload(
        self,
        snapshot: Snapshot,
        changes: Sequence[Mapping[str, Any]] | None,
        generation: int,
        image: LocalImage | None = None,
    ) -> Reloaded:
        """Have the region serve a snapshot and try its examples; raises RegionError, ConfigError.

        `changes`, if there are any, are all since the load of that `generation`, which they go on with.
        `image` is what its container is made of, where it is one.
        """
        environment = snapshot.environment
        params = {
            "lease": self._id,
            "entries": snapshot.data.manifest(),
            "environment": self._variables(snapshot, image),
            "hosting": hosting(environment),
            "asynchronous": asynchronous(environment),
            "image": image.name if image else "",
            "folders": snapshot.folders,
            "profiled": self._tools.profile,
            "startup_timeout": environment.startup_timeout or _STARTUP_SECONDS,
            "examples": [_as_json(example.request) for example in snapshot.examples],
            "changes": changes,
            "generation": generation,
        }
        return _result(self._region.call("POST", "/_hotfire/reload", params, timeout=LONGEST_LOAD))

    def _variables(self, snapshot: Snapshot, image: LocalImage | None) -> dict[str, str]:
        variables = snapshot.container_environment
        if image is None:
            return {**variables, VARIABLE: self._tools.terminal}
        # Nobody's terminal is inside a container.
        return {**variables, TAKES_VERSIONS_VARIABLE: "true" if image.is_ours else ""}

    def try_again(self, examples: Sequence[Example]) -> Reloaded:
        """Have what is live answer the examples; raises RegionError."""
        given = {
            "lease": self._id,
            "examples": [_as_json(example.request) for example in examples],
            "profiled": self._tools.profile,
        }
        return _result(self._region.call("POST", "/_hotfire/try", given, timeout=LONGEST_LOAD))

    def show(self, examples: Sequence[Example], app: App | None) -> None:
        """Have the endpoint's page be this for as long as the lease lasts; raises RegionError."""
        self._region.call("POST", "/_hotfire/examples", {"lease": self._id, **page_of(app, examples)})

    def report(self, told: Mapping[str, Any]) -> None:
        """Tell the endpoint's pages what a save came to; raises RegionError."""
        self._region.call("POST", "/_hotfire/report", {"lease": self._id, "report": told})

    def debug(self) -> int | None:
        """Have debuggers attach where the tools say; the port. Raises RegionError if it is taken."""
        port = self._tools.debug_port
        if port is None:
            return None
        given = {"lease": self._id, "port": port}
        return int(self._region.call("POST", "/_hotfire/debug", given)["port"])

    def last(self) -> tuple[ExampleRequest, Answer] | None:
        """The last request that a client sent, and its answer; raises RegionError."""
        value = self._region.call("POST", "/_hotfire/last", {"lease": self._id})
        if value is None:
            return None
        headers = {name.lower(): text for name, text in value["headers"].items()}
        request = ExampleRequest(
            base64.b64decode(value["body"]),
            headers.get("content-type", "application/json"),
            headers.get("accept"),
            headers.get("x-amzn-sagemaker-custom-attributes"),
        )
        return request, _timed(value["answer"]).answer

    def close(self) -> None:
        """Give the endpoint back."""
        # The reader waits in it, and would be waited for.
        with suppress(OSError):
            self._connection.sock.shutdown(SHUT_RDWR)
        self._reader.join()
        self._stream.close()
        self._connection.close()

    def _read(self, stream: HTTPResponse) -> None:
        try:
            for line in stream:
                self._tell(json.loads(line))
        except (OSError, ValueError, HTTPException, AttributeError):
            pass  # closed, by whichever side
        self._tell({"event": "end"})


def _as_json(request: ExampleRequest) -> dict[str, Any]:
    return {**request.parameters(), "Body": base64.b64encode(request.body).decode()}


def _result(value: Mapping[str, Any]) -> Reloaded:
    if value.get("overtaken"):
        return Reloaded(overtaken=True)
    if "failure" in value:
        return Reloaded(**value["failure"])
    answers = tuple(_timed(answer) for answer in value["answers"])
    return Reloaded(answers, value["generation"], value["kept"], value["seconds"])


def _timed(value: Mapping[str, Any]) -> Timed:
    body = base64.b64decode(value["body"])
    answer = Answer(value["status"], value["content_type"], body, value["seconds"])
    return Timed(answer, value["times"], value["findings"])
