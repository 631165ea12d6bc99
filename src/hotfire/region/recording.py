"""A fleet whose requests are examined, and kept with their answers for whoever wants to look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hotfire.errors import DeadlineExceeded
from hotfire.instances.base import Answer, Change, Instance, Request
from hotfire.region.fleet import Broken, Fleet, Variant
from hotfire_worker.findings import of_reason

Keep = Callable[[Request, Answer], None]


class Recorded:
    """Answers as the fleet does, and gives each request with its answer to `keep`."""

    def __init__(self, fleet: Fleet | Broken, keep: Keep) -> None:
        self._fleet, self._keep = fleet, keep

    def variant(self, name: str | None) -> Variant:
        """The fleet's variant, recorded."""
        variant = self._fleet.variant(name)
        return Variant(variant.plan, [_RecordedInstance(variant.instance(), self._keep)])

    @property
    def pids(self) -> list[int]:
        """The processes that answer."""
        return self._fleet.pids

    async def stop(self) -> None:
        """Stop the fleet."""
        await self._fleet.stop()


class _RecordedInstance:
    def __init__(self, instance: Instance, keep: Keep) -> None:
        self._instance, self._keep = instance, keep

    @property
    def load(self) -> int:
        return self._instance.load

    @property
    def pids(self) -> Sequence[int]:
        return self._instance.pids

    async def start(self) -> None:
        await self._instance.start()

    async def invoke(self, request: Request) -> Answer:
        try:
            answer = await self._instance.invoke(replace(request, examined=True))
        except DeadlineExceeded as error:
            self._keep(request, unanswered(error.message))
            raise
        self._keep(request, answer)
        return answer

    async def stream(self, request: Request) -> Answer:
        answer = await self._instance.stream(replace(request, examined=True))
        # Of an answer in parts there is no whole that could be expected.
        if answer.rest is None:
            self._keep(request, answer)
        return answer

    def successor(self, changes: Sequence[Change]) -> Instance | None:
        return self._instance.successor(changes)

    async def stop(self) -> None:
        await self._instance.stop()


def unanswered(reason: str) -> Answer:
    """What stands for the answer of a request that has none."""
    return Answer(0, {}, reason.encode(), findings={"failure": of_reason(reason)})
