"""What a deploy tells while it goes on, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotfire.examples import Answer, Example, Verdict
from hotfire.plan import Plan


class Report(Protocol):
    """Takes what happens, as it happens."""

    def call(self, text: str) -> None:
        """A step was done: `create model news-classifier-1f2e3d4c5b6a`."""

    def state(self, status: str, seconds: float) -> None:
        """The endpoint is in this state, so many seconds after the wait began."""

    def passing(self, text: str) -> None:
        """What goes on within a step, in words that the next overwrite."""

    def log(self, line: str) -> None:
        """A sentence beside the result, such as what was taken along to the model data."""

    def printed(self, line: str) -> None:
        """The endpoint that is waited for printed this."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """So many bytes are to be handled; what is given takes how many more are."""


class Silence:
    """A report that nobody reads."""

    def call(self, text: str) -> None:
        """Nothing."""

    def state(self, status: str, seconds: float) -> None:
        """Nothing."""

    def passing(self, text: str) -> None:
        """Nothing."""

    def log(self, line: str) -> None:
        """Nothing."""

    def printed(self, line: str) -> None:
        """Nothing."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Nothing."""
        return nullcontext(lambda count: None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deploy or a rollback came to, or is to come to. `sha256` is that of the model data's tree.

    `changed` is whether anything was done, or is to be done after a dry run; `previous` the config that
    served before, None if none did; `url` the endpoint's page in a local region. `before` says what is done
    to model data before the plan's calls, `after` names the URLs of what is removed after them. `cost` names
    what is to be paid for from now on; empty if nothing is that was not before. `cause` is the exception that
    the container printed last, where an example failed for want of an answer; empty if none is known.
    """

    endpoint: str
    config: str
    model: str
    sha256: str
    changed: bool
    plan: Plan
    previous: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    seconds: float = 0.0
    url: str | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    cost: str = ""
    cause: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every step in a few words, in the order in which they are done."""
        return (*self.before, *(call.text for call in self.plan.all), *map("delete {}".format, self.after))

    @property
    def passed(self) -> bool:
        """Whether no example fails."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Trial:
    """An example, what the endpoint answered to it, and how that compares."""

    example: Example
    answer: Answer
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Status:
    """An endpoint as it is; `state` is None if there is none. Times in seconds since the epoch.

    `sha256` and `commit` are those of the deployed model data, `working_sha256` that of the project's as it
    is now (None where it cannot be collected), `owner` the project that made the endpoint. `variants` are as
    the config has them and as DescribeEndpoint does, in one. `developer` is the process of the `hotfire dev`
    that serves in its place.
    """

    endpoint: str
    state: str | None = None
    reason: str = ""
    config: str | None = None
    model: str | None = None
    sha256: str | None = None
    commit: str | None = None
    working_sha256: str | None = None
    owner: str | None = None
    variants: tuple[Mapping[str, Any], ...] = field(default=())
    created: float | None = None
    modified: float | None = None
    url: str | None = None
    developer: int | None = None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line that an endpoint printed; `time` in seconds since the epoch."""

    time: float
    stream: str
    message: str
