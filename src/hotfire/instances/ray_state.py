"""What Ray tells of Serve and its applications, as frozen values; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hotfire.errors import LoadFailed
from hotfire_worker.ray_driver import FAILED

_NO_REPLICA = "failed to start"
"""In Serve's message about a deployment, from the first try on."""
_DIED = "ActorDiedError"
_ENDED_EARLY = (
    "a replica's process ended while it loaded the model: its node had no memory left, or the handler ended "
    "it"
)
_LOST = ("DEPLOY_FAILED", "DELETING")
_LONGEST_REASON = 500
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Application:
    """One of Serve's applications. `messages` are those of its deployments, and its own."""

    name: str
    status: str
    messages: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    """The ids of its replicas that run or begin to."""

    @property
    def answers(self) -> bool:
        """Whether all of it is up."""
        return self.status == "RUNNING"

    @property
    def is_lost(self) -> bool:
        """Whether Serve will not bring it up any more."""
        return self.status in _LOST

    @property
    def reason(self) -> str:
        """Why it is not up, as far as Serve says."""
        said = next((message for message in self.messages if message), "")
        return " ".join(said.split())[:_LONGEST_REASON]

    def failure(self) -> LoadFailed | None:
        """What kept a replica from starting; None if nothing did."""
        for message in self.messages:
            if _NO_REPLICA not in message:
                continue
            _, is_ours, trace = _COLOUR.sub("", message).partition(f"{FAILED}\n")
            if not is_ours and _DIED in message:
                return LoadFailed(_ENDED_EARLY, message)
            lines = [line for line in (trace if is_ours else message).splitlines() if line.strip()]
            if is_ours and lines[0].startswith("ray::"):  # which Ray writes in its place
                lines[0] = "Traceback (most recent call last):"
            return LoadFailed(lines[-1].strip()[:_LONGEST_REASON], "\n".join(lines))
        return LoadFailed(self.reason or "Ray Serve gave it up") if self.is_lost else None


@dataclass(frozen=True, slots=True)
class Serving:
    """Serve as it is on one cluster. `proxies` are where it takes requests: host and port."""

    is_there: bool = False
    host: str = ""
    proxies: tuple[tuple[str, int], ...] = ()
    applications: Mapping[str, Application] = field(default_factory=dict)

    @property
    def is_on_loopback(self) -> bool:
        """Whether a node is asked by its own programs alone."""
        return self.host in ("127.0.0.1", "localhost", "::1")


def serving(given: Mapping[str, Any]) -> Serving:
    """Of what `GET /api/serve/applications/` answers."""
    options = given.get("http_options") or {}
    port = options.get("port")
    nodes = [
        proxy["node_ip"]
        for proxy in (given.get("proxies") or {}).values()
        if proxy.get("status") == "HEALTHY" and proxy.get("node_ip")
    ]
    return Serving(
        is_there=bool(given.get("controller_info")),
        host=str(options.get("host", "")),
        proxies=tuple((node, int(port)) for node in sorted(nodes)) if port else (),
        applications={name: _application(name, one) for name, one in given["applications"].items()},
    )


def _application(name: str, given: Mapping[str, Any]) -> Application:
    deployments = list((given.get("deployments") or {}).values())
    messages = [one.get("message") or "" for one in deployments if one.get("status") != "HEALTHY"]
    return Application(
        name=name,
        status=str(given.get("status", "")),
        messages=(*messages, given.get("message") or ""),
        actors=tuple(_actors(deployments)),
    )


def _actors(deployments: list[Mapping[str, Any]]) -> Iterator[str]:
    for deployment in deployments:
        for replica in deployment.get("replicas") or ():
            if replica.get("actor_id"):
                yield replica["actor_id"]
