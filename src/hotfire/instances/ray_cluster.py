"""A Ray cluster, by the API of its dashboard: plain HTTP, so that Hotfire need not have Ray itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from hotfire.errors import ClusterAway, ClusterError
from hotfire.instances.connections import Connections, Disconnected, NotReached, Reply
from hotfire.instances.ray_state import Serving, serving

LEAST_VERSION = (2, 54)
"""The oldest Ray that this was tried with."""

SECONDS_FOR_AN_AGENT = 60.0
"""For which a head node that takes no jobs yet is asked again."""

_LATER = "try again later"
_SECONDS_TO_ANSWER = 30.0
_SERVE = "/api/serve/applications/"
_JOBS = "/api/jobs/"


@dataclass(frozen=True, slots=True)
class Job:
    """A program that the cluster runs, or ran."""

    id: str
    status: str
    message: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")


class RayCluster:
    """The cluster whose dashboard is at this address. Every call raises ClusterError."""

    def __init__(self, address: str, token: str = "") -> None:
        parts = urlsplit(address)
        self.address, self.host, self.port = address, parts.hostname or "", parts.port or 8265
        self._headers = {"Host": parts.netloc, "Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connections = Connections(self.port, self.host)

    async def session(self) -> str:
        """The name of its session, by which it is known to its own programs; of a Ray that is new enough."""
        told = await self._ask("GET", "/api/version")
        version = str(told.get("ray_version", "")) if isinstance(told, dict) else ""
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            message = f"what answers at {self.address} is not the dashboard of a Ray cluster"
            raise ClusterError(message, _ADDRESS_ADVICE)
        if (int(numbers[1]), int(numbers[2])) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            message = f"the Ray cluster at {self.address} runs Ray {version}; Hotfire needs {least} or newer"
            raise ClusterError(message, f'On every node: pip install -U "ray[serve]>={least}"')
        return str(told.get("session_name", ""))

    async def serving(self) -> Serving:
        """Serve and its applications."""
        return serving(await self._ask("GET", _SERVE))

    async def submit(self, entrypoint: str) -> str:
        """Have the head node run a command; the id of the job."""
        until = asyncio.get_running_loop().time() + SECONDS_FOR_AN_AGENT
        while True:
            try:
                told = await self._ask("POST", _JOBS, {"entrypoint": entrypoint})
            except ClusterError as error:
                # A node that has just come up, or has much to do, is not ready for jobs yet.
                if _LATER not in error.message or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(1)
            else:
                return str(told["submission_id"])

    async def job(self, job: str) -> Job:
        """How a job is getting on."""
        told = await self._ask("GET", f"{_JOBS}{job}")
        return Job(job, str(told.get("status", "")), str(told.get("message") or ""))

    async def output(self, job: str) -> str:
        """What a job has printed."""
        told = await self._ask("GET", f"{_JOBS}{job}/logs")
        return str(told.get("logs") or "")

    async def lines(self, actor: str, suffix: str, *, from_now_on: bool = False) -> AsyncIterator[str]:
        """What an actor prints to `out` or `err`, as it comes; all of it, if not only what is to come."""
        facts = {"actor_id": actor, "suffix": suffix}
        # 0 would be Ray's own default, which is a thousand. The last line is one that is known.
        known = 1 if from_now_on and await self._has_printed(facts) else 0
        query = urlencode({**facts, "lines": known or -1, "interval": 0.2})
        partial = b""
        async with self._reply("GET", f"/api/v0/logs/stream?{query}") as reply:
            if reply.status != 200:
                raise ClusterError(f"the output of the replica {actor} cannot be read")
            while part := await reply.part():
                *whole, partial = (partial + part).split(b"\n")
                for line in whole[known:]:
                    yield line.decode("utf-8", "replace").rstrip("\r")
                known = max(0, known - len(whole))

    async def _has_printed(self, facts: Mapping[str, str]) -> bool:
        query = urlencode({**facts, "lines": 1})
        async with self._reply("GET", f"/api/v0/logs/file?{query}") as reply:
            return reply.status == 200 and bool(await reply.read())

    def close(self) -> None:
        """Let the connections go."""
        self._connections.close()

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            async with asyncio.timeout(_SECONDS_TO_ANSWER), self._reply(method, path, body) as reply:
                content = await reply.read()
        except TimeoutError:
            message = f"the Ray cluster at {self.address} did not answer within {_SECONDS_TO_ANSWER:g} s"
            raise ClusterAway(message, "See that its head node is well: `ray status` there.") from None
        if reply.status in (401, 403):
            message = f"the Ray cluster at {self.address} wants a token"
            raise ClusterError(message, "Set RAY_AUTH_TOKEN, and start the region anew: `hotfire down`.")
        return self._understood(path, reply.status, content)

    def _understood(self, path: str, status: int, content: bytes) -> Any:
        if status == 501 and path == _SERVE:
            message = f"the Ray cluster at {self.address} has no Ray Serve"
            raise ClusterError(message, 'On every node: pip install "ray[serve]"')
        if path == "/api/version" and status != 200:
            content = b"{}"
        elif status != 200:
            said = content.decode("utf-8", "replace").strip().splitlines()
            message = (
                f"the Ray cluster at {self.address} answered {path} with {status}: {said[-1] if said else ''}"
            )
            raise ClusterError(message)
        try:
            return json.loads(content or b"null")
        except ValueError:
            message = f"what answers at {self.address} is not the dashboard of a Ray cluster"
            raise ClusterError(message, _ADDRESS_ADVICE) from None

    @contextlib.asynccontextmanager
    async def _reply(self, method: str, path: str, body: Any = None) -> AsyncIterator[Reply]:
        content = b"" if body is None else json.dumps(body).encode()
        headers: Mapping[str, str] = self._headers
        try:
            reply = await self._connections.ask(method, path, headers, content)
            try:
                yield reply
            finally:
                reply.close()
        except NotReached as error:
            message = f"no Ray cluster answers at {self.address} ({error.message})"
            raise ClusterAway(message, _ADDRESS_ADVICE) from error
        except Disconnected as error:
            message = f"what answers at {self.address} broke off: {error.message}"
            raise ClusterAway(message, _ADDRESS_ADVICE) from error


_ADDRESS_ADVICE = (
    "`ray_address` is that of the dashboard, http://HEAD:8265; `ray start --head --dashboard-host 0.0.0.0` "
    "shows it beyond the head node."
)
