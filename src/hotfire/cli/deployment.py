"""What the commands of a deployed project share: its Deployer, and how it is told what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from hotfire import address
from hotfire.cli import region
from hotfire.cli.output import Output, duration, size
from hotfire.cli.signing import interruptible
from hotfire.deploy_env import SERVING, DeployEnv
from hotfire.environment import Environment, home
from hotfire.errors import DeployError
from hotfire.refusals import PERHAPS_LOCAL

if TYPE_CHECKING:
    from hotfire.deploy import Deployer
    from hotfire.destination import Destination
    from hotfire.examples import Verdict

PASSED, FAILED = "✓", "✗"

_REPEATED = 60.0
"""Seconds after which a state that stays the same is told again, where nobody looks on."""

SHOWN_FROM = 50_000_000
"""A bar is drawn for this many bytes or more."""


class Progress:
    """A Report that prints each step on a line, and the state that is waited for on one that changes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._state = ""
        self._told = 0.0

    def call(self, text: str) -> None:
        """A step that was done."""
        self._output.step(f"  {text}")

    def state(self, status: str, seconds: float) -> None:
        """The state, which is the same for many calls."""
        if self._output.is_watched:
            # A local region holds its answer until the state has changed: no clock would tick.
            so_far = f" {seconds:.0f} s" if seconds >= 1 else ""
            self._output.live(f"  {status}{so_far} …")
        elif status != self._state:
            self._output.note(f"  {status}")
            self._told = seconds
        elif seconds >= self._told + _REPEATED:
            self._output.note(f"  {status} {seconds:.0f} s")
            self._told = seconds
        self._state = status

    def passing(self, text: str) -> None:
        """What goes on, where somebody looks on: as much of it as a line holds."""
        if self._output.is_watched:
            self._output.live(f"  {text}"[: get_terminal_size().columns - 1])

    def log(self, line: str) -> None:
        """A sentence beside the result."""
        self._output.note(f"  Note: {line}")

    def printed(self, line: str) -> None:
        """A line of the endpoint's log."""
        self._output.note(f"    {line}")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal; off it, or where it is soon done, a line."""
        if total >= SHOWN_FROM and self._output.is_watched:
            with self._output.progress(f"  {label}", total) as advance:
                yield advance
        else:
            self._output.note(f"  {label} {size(total)}")
            yield lambda count: None


def deployer(output: Output, environment: Environment, *, start: bool = False) -> Deployer:
    """The environment's Deployer; `start` brings the local region up if it is needed and down."""
    from hotfire.deploy import Deployer

    env = interruptible(environment)
    return Deployer(env, _destination(output, env, start=start), Progress(output))


def _destination(output: Output, env: DeployEnv, *, start: bool) -> Destination:
    """What an environment needs is imported when it is chosen."""
    if not env.is_local():
        from hotfire.aws import Aws

        return Aws(env)
    from hotfire.local_region import LocalRegion

    found = region.started(output) if start else address.find(home())
    return LocalRegion(env.environment, found)


@contextmanager
def told_if_interrupted(output: Output, environment: Environment, deploying: Deployer) -> Iterator[None]:
    """Say what goes on without us where Ctrl-C, or a network that is gone, ends a wait."""
    try:
        yield
    except KeyboardInterrupt:
        output.if_interrupted = _left(environment, deploying)
        raise
    except DeployError as error:
        if environment.is_local and error.advice == PERHAPS_LOCAL:
            error.advice = "The local region has ended: `hotfire up` starts it again."
        if deploying.under_way:
            error.advice = f"{error.advice} {_left(environment, deploying)}".strip()
        raise


def _left(environment: Environment, deploying: Deployer) -> str:
    if deploying.uploading:
        return f"What was uploaded is kept: the next {command(environment, 'deploy')} goes on from there."
    if deploying.is_trying_out:
        return f"It is deployed: {command(environment, 'test')} sends the examples again."
    if not deploying.under_way:
        return "Nothing of it was left behind."
    back = "rollback" if deploying.is_update else "delete"
    return (
        f"The endpoint goes on changing: {command(environment, 'status')} shows what comes of it, "
        f"{command(environment, back)} undoes it."
    )


def command(environment: Environment, name: str) -> str:
    """A command as one types it for this environment."""
    option = "" if environment.name == "local" else f" --env {environment.name}"
    return f"`hotfire {name}{option}`"


@contextmanager
def explained(environment: Environment, deploying: Deployer) -> Iterator[None]:
    """Where a request does not get there, say that nothing is deployed, or why that is not in service."""
    try:
        yield
    except DeployError as error:
        found = deploying.status()
        if found.state is None:
            advice = f"{command(environment, 'deploy')} deploys it."
            raise DeployError(f"{found.endpoint} is not deployed", advice) from error
        if found.state not in SERVING:
            reason = f": {found.reason}" if found.reason else ""
            message = f"{found.endpoint} is {found.state}{reason}"
            advice = f"{command(environment, 'status')} shows when it is in service."
            raise DeployError(message, advice) from error
        raise


def page(environment: Environment, url: str | None) -> str | None:
    """The address of the endpoint's page, which lets a browser in once."""
    found = address.find(home()) if url and environment.is_local else None
    return url if found is None or url is None else region.entry(found, url)


def show_verdict(output: Output, verdict: Verdict) -> None:
    """An example's line, and below it what is wrong or different."""
    mark = output.paint(PASSED, fg="green") if verdict.passed else output.paint(FAILED, fg="red", bold=True)
    output.say(f"  {mark} {verdict.name}  {duration(verdict.seconds)}")
    for error in verdict.errors:
        output.say(_indented(error))
    for difference in verdict.differences:
        output.say(_indented(str(difference)))


def verdict_values(verdict: Verdict) -> dict[str, object]:
    """A verdict as JSON has it."""
    from dataclasses import asdict

    return {
        "name": verdict.name,
        "passed": verdict.passed,
        "errors": list(verdict.errors),
        "differences": [asdict(one) for one in verdict.differences],
        "seconds": verdict.seconds,
    }


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())
