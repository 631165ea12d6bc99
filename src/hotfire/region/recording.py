"""A fleet whose last request and answer are kept, for whoever wants an example of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hotfire.instances.base import Answer, Change, Instance, Request
from hotfire.region.fleet import Broken, Fleet, Variant

Keep = Callable[[Request, Answer], None]


class Recorded:
    """Answers as the fleet does, and gives each request with its answer to `keep`."""

    def __init__(self, fleet: Fleet | Broken, keep: Keep) -> None:
        self._fleet, self._keep = fleet, keep

    def variant(self, name: str | None) -> Variant:
        """The fleet's variant, recorded."""
        variant = self._fleet.variant(name)
        return Variant(variant.plan, [_RecordedInstance(variant.instance(), self._keep)])

    async def stop(self) -> None:
        """Stop the fleet."""
        await self._fleet.stop()


class _RecordedInstance:
    def __init__(self, instance: Instance, keep: Keep) -> None:
        self._instance, self._keep = instance, keep

    @property
    def load(self) -> int:
        return self._instance.load

    async def start(self) -> None:
        await self._instance.start()

    async def invoke(self, request: Request) -> Answer:
        answer = await self._instance.invoke(request)
        self._keep(request, answer)
        return answer

    async def stream(self, request: Request) -> Answer:
        # Of an answer in parts there is no whole that could be expected.
        return await self._instance.stream(request)

    def successor(self, changes: Sequence[Change]) -> Instance | None:
        return self._instance.successor(changes)

    async def stop(self) -> None:
        await self._instance.stop()
