"""Answers that come over HTTP in parts, and by when they must."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

from hotfire.errors import DeadlineExceeded, StreamBroken
from hotfire.instances.connections import Disconnected, Reply


class ReplyParts:
    """What follows the first part of an answer; it is in hand until it is closed."""

    def __init__(self, reply: Reply, until: float, limit: float, hand: contextlib.ExitStack) -> None:
        self._reply, self._until, self._limit, self._hand = reply, until, limit, hand

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with time_limit(self._until, self._limit):
                part = await self._reply.part()
        except Disconnected as error:
            await self.aclose()
            raise StreamBroken(error.message) from error
        except BaseException:
            await self.aclose()
            raise
        if not part:
            await self.aclose()
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        """Want no more of it: the connection is closed, which who answers may notice."""
        self._hand.close()


@contextlib.asynccontextmanager
async def time_limit(until: float, limit: float) -> AsyncIterator[None]:
    """Raise DeadlineExceeded when the loop's clock reaches `until`; `limit` is how long that was."""
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {limit:g} s") from None
