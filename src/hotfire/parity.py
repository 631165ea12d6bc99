"""Two environments or more asked the same, and where their answers differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from statistics import median
from threading import Thread
from typing import Any, Literal, Protocol, TypeVar

from hotfire.bodies import media_type, value_of
from hotfire.comparison import Difference, compare
from hotfire.errors import HotfireError, Unreachable
from hotfire.examples import Answer, Example, ExampleRequest

REPEAT = 3
"""How often an answer's time is taken."""

_TRACE = "Traceback (most recent call last):"
_ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-f]+")

A = TypeVar("A")
B = TypeVar("B")


class Side(Protocol):
    """One of those that are compared."""

    name: str

    def ask(self, request: ExampleRequest) -> Answer:
        """What it answers. Raises Unreachable if it answers nothing, DeployError if it refuses this one."""
        ...


class Absent:
    """A side that is known not to answer, and why."""

    def __init__(self, name: str, reason: HotfireError) -> None:
        self.name, self._reason = name, reason

    def ask(self, request: ExampleRequest) -> Answer:
        """Raises Unreachable."""
        raise Unreachable(self._reason.message, self._reason.advice)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one side answered to an example, and the median of the times that it took.

    The first request's time does not count: it may be the one that warms the model up. `is_steady` is
    whether every answer said the same.
    """

    answer: Answer
    seconds: float
    is_steady: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why one side answered an example nothing, though it answers others."""

    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a side answers otherwise than the first one does."""

    side: str
    what: Literal["status", "content type", "body"]
    difference: Difference


@dataclass(frozen=True, slots=True)
class Row:
    """An example side by side; a side that is down has no reply."""

    example: str
    replies: Mapping[str, Reply | Refused]
    findings: tuple[Finding, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether every side that is up answered, and all of them the same."""
        return not self.findings and all(isinstance(one, Reply) for one in self.replies.values())


class Parity:
    """Asks all sides at once, and none of them more than one thing at a time; the first is the measure.

    `tolerance` is that of numbers; without one, each example's own.
    """

    def __init__(
        self, sides: Sequence[Side], *, repeat: int = REPEAT, tolerance: float | None = None
    ) -> None:
        self._sides, self._repeat, self._tolerance = sides, repeat, tolerance
        self.down: dict[str, Unreachable] = {}
        """The sides that cannot be reached, with the reason; they are asked nothing more."""

    def rows(self, examples: Iterable[Example]) -> Iterator[Row]:
        """Each example as soon as all have answered; ends where nothing is left to compare."""
        for example in examples:
            tolerance = example.expect.tolerance if self._tolerance is None else self._tolerance
            replies = self._replies(example, tolerance)
            if self._sides[0].name in self.down or len(self._sides) - len(self.down) < 2:
                return
            yield Row(example.name, replies, tuple(findings(replies, self._sides[0].name, tolerance)))

    def _replies(self, example: Example, tolerance: float) -> dict[str, Reply | Refused]:
        def ask(side: Side) -> Reply | Refused | Unreachable:
            return self._ask(side, example, tolerance)

        asked = [side for side in self._sides if side.name not in self.down]
        replies: dict[str, Reply | Refused] = {}
        for side, outcome in zip(asked, _at_once(ask, asked), strict=True):
            if isinstance(outcome, Unreachable):
                self.down[side.name] = outcome
            else:
                replies[side.name] = outcome
        return replies

    def _ask(self, side: Side, example: Example, tolerance: float) -> Reply | Refused | Unreachable:
        try:
            first, *rest = [side.ask(example.request) for _ in range(self._repeat + 1)]
        except Unreachable as error:
            return error
        except HotfireError as error:
            return Refused(error.message, error.advice)
        steady = not any(any(differences(first, other, tolerance)) for other in rest)
        return Reply(first, median(answer.seconds for answer in rest), steady)


def findings(replies: Mapping[str, Reply | Refused], measure: str, tolerance: float) -> Iterator[Finding]:
    """What the others answer otherwise than the side `measure`; nothing of those that refused."""
    first = replies[measure]
    for name, reply in replies.items():
        if name != measure and isinstance(first, Reply) and isinstance(reply, Reply):
            for what, difference in differences(first.answer, reply.answer, tolerance):
                yield Finding(name, what, difference)


Differing = tuple[Literal["status", "content type", "body"], Difference]


def differences(one: Answer, other: Answer, tolerance: float) -> Iterator[Differing]:
    """Where two answers differ, body by value.

    Of an error SageMaker does not pass on the content type, and where in the sources it happened is each
    side's own: there the content type is not compared, nor a traceback.
    """
    if one.status != other.status:
        yield "status", Difference("", "changed", one.status, other.status)
        if any(compare(said(one), said(other), tolerance)):
            yield "body", Difference("", "changed", said(one), said(other))
        return
    if _is_good(one) and media_type(one.content_type) != media_type(other.content_type):
        yield "content type", Difference("", "changed", one.content_type, other.content_type)
    if one.body != other.body:
        for difference in compare(said(one), said(other), tolerance):
            yield "body", difference


def said(answer: Answer) -> Any:
    """The value of an answer's body; that of an error without its traceback."""
    value = value_of(answer.content_type, answer.body)
    if _is_good(answer):
        return value
    if isinstance(value, dict):
        return {key: _without_trace(item) for key, item in value.items()}
    return _without_trace(value)


def _without_trace(value: Any) -> Any:
    """An error's message: what stands before the traceback, or else its last line."""
    if not isinstance(value, str):
        return value
    message, trace, rest = value.partition(_TRACE)
    if trace and not message.strip():
        message = rest.strip().rpartition("\n")[2]
    return _ADDRESS.sub("", message.strip())


def _is_good(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _at_once(function: Callable[[A], B], arguments: Iterable[A]) -> list[B]:
    """What the function returns for each argument, all called at the same time.

    On threads that a Ctrl-C need not wait for, as it would for those of an executor.
    """

    def call(argument: A, future: Future[B]) -> None:
        try:
            future.set_result(function(argument))
        except BaseException as error:  # noqa: BLE001 -- raised where the result is asked for
            future.set_exception(error)

    futures: list[Future[B]] = []
    for argument in arguments:
        futures.append(Future())
        Thread(target=call, args=(argument, futures[-1]), daemon=True).start()
    return [future.result() for future in futures]
