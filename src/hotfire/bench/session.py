"""A bench from beginning to end: its stages one after the other, and what they come to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hotfire.bench.generator import Generator, Measured, Stage
from hotfire.bench.latencies import Latencies
from hotfire.bench.requests import Prepare

BUSY, LATE = 0.8, 0.01
"""From here on the generator was near its limit: the part of a processor, and seconds too late at p99."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A stage in numbers; times in seconds. `latencies` is None where nothing good was answered."""

    stage: Stage
    throughput: float
    latencies: Latencies | None
    errors: Mapping[str, int]
    busy: float
    late: float

    @property
    def is_near_limit(self) -> bool:
        """Whether a faster generator might have measured more."""
        return self.busy > BUSY or self.late > LATE

    @property
    def name(self) -> str:
        """What was sent, in a few words."""
        if self.stage.rate is not None:
            return f"{self.stage.rate:g}/s"
        return f"{self.stage.connections} at once"


def outcome(measured: Measured) -> Outcome:
    """What a stage came to."""
    late = Latencies.of(measured.late).percentile(99) if measured.late else 0.0
    return Outcome(
        measured.stage,
        measured.answered / measured.seconds if measured.seconds else 0.0,
        Latencies.of(measured.latencies) if measured.latencies else None,
        dict(measured.errors.most_common()),
        measured.busy,
        late,
    )


def run(
    prepare: Prepare, stages: Sequence[Stage], begin: Callable[[Stage], None]
) -> tuple[list[Measured], bool]:
    """Put the stages on an endpoint, and say whether all of them; Ctrl-C ends them and keeps what there is.

    `begin` is called before each.
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(prepare, stages, begin))


async def _run(
    prepare: Prepare, stages: Sequence[Stage], begin: Callable[[Stage], None]
) -> tuple[list[Measured], bool]:
    generator, done = Generator(prepare), []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, generator.stop)
    try:
        for stage in stages:
            begin(stage)
            measured = await generator.run(stage)
            if measured.seconds:
                done.append(measured)
            if generator.is_stopped:
                return done, False
        return done, True
    finally:
        loop.remove_signal_handler(signal.SIGINT)
