"""`hotfire dev`: serve the project in place and try its examples after every save."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotfire.cli import options, region
from hotfire.cli.deployment import page, show_verdict, verdict_values
from hotfire.cli.explaining import failure_values, show_doubts, show_failed, show_failure
from hotfire.cli.keyboard import Keyboard, listening
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment, load
from hotfire.errors import ConfigError, HotfireError, PackageMissing

if TYPE_CHECKING:
    from hotfire.dev import Result, Session, Tried
    from hotfire.failure import Failure

_LOGGED_FAILURE = "Transform failed for model: "
"""How the toolkit begins a line that holds a whole traceback."""
_KEYS = "r rerun · a accept answers · s save the last request · l logs · o open the page · d debug · q quit"
_DEBUG_PORT = 5678


@click.command()
@click.option(
    "--keep-weights/--no-keep-weights",
    default=True,
    help="Whether an edit of the request's functions may go on with the loaded model.  [default: on]",
)
@click.option("--debug", is_flag=True, help="Let a debugger attach: VS Code, PyCharm, whatever speaks DAP.")
@click.option(
    "--debug-port",
    type=click.IntRange(0, 65535),
    default=_DEBUG_PORT,
    show_default=True,
    metavar="PORT",
    help="Where it attaches; 0 takes a free one.",
)
@click.option("--profile", is_flag=True, help="Show where the time of each example went.")
@options.json
@options.environment
def dev(
    output: Output,
    environment: Environment,
    keep_weights: bool,
    debug: bool,
    debug_port: int,
    profile: bool,
) -> None:
    """Serve the project in place, and run its examples after every save.

    What changed is shown. Every client of the local region reaches it under its endpoint's name. What was
    deployed there answers again when this ends.
    """
    from hotfire.dev import Session
    from hotfire.lease import Tools

    if not environment.is_local:
        message = f"the environment {environment.name!r} is at AWS; `hotfire dev` serves on this machine"
        raise ConfigError(message, "`--env local` does.", file=environment.file, key="instance_type")
    if environment.on_ray:
        message = (
            f"the environment {environment.name!r} is on a Ray cluster; `hotfire dev` serves on this machine"
        )
        advice = "Name an environment with `instance_type: local` by --env."
        raise ConfigError(message, advice, file=environment.file, key="instance_type")
    if environment.in_containers and (debug or profile):
        option = "--debug" if debug else "--profile"
        message = f"{option} looks into processes of this machine, and {environment.name!r} has containers"
        raise ConfigError(message, "`instance_type: local` has processes.", file=environment.file)
    for package in [*(["debugpy"] if debug else []), *(["pyinstrument"] if profile else [])]:
        _require(environment.python, package)
    gc.enable()  # which a short command does without
    found = region.started(output)

    def again() -> Environment:
        return load(environment.name, config=environment.file)

    screen = Screen(output, environment)
    with ExitStack() as stack:
        keyboard = Keyboard(output) if output.can_ask else None
        terminal = stack.enter_context(listening(keyboard))
        tools = Tools(debug_port if debug else None, terminal, profile)
        session = Session(again, found, screen, keep_weights=keep_weights, tools=tools, told=_values)
        if keyboard is not None:
            stack.enter_context(keyboard.read(screen.keys(session)))
        try:
            session.run()
        except KeyboardInterrupt:
            output.note("")


class Screen:
    """Shows a session in a terminal, or in plain lines off it."""

    def __init__(self, output: Output, environment: Environment) -> None:
        self._output, self._environment = output, environment
        self._prints = True
        self._url: str | None = None
        self._debug_port: int | None = None

    def keys(self, session: Session) -> Mapping[str, Callable[[], None]]:
        """What each key does."""
        return {
            "r": session.rerun,
            "a": session.accept,
            "s": session.save,
            "l": lambda: session.do(self._switch_logs),
            "o": lambda: session.do(self._open),
            "d": lambda: session.do(self._say_how_to_debug),
            "q": session.stop,
            "\x03": session.stop,
            "\x04": session.stop,
        }

    def serving(self, url: str, debug_port: int | None) -> None:
        """The endpoint is ours; its page is there, and a debugger attaches at that port, if it may."""
        self._url, self._debug_port = url, debug_port
        name = self._output.paint(self._environment.model_name, bold=True)
        self._output.say(f"{name} at {page(self._environment, url)}")
        if debug_port is not None:
            self.noted(_attaching(debug_port))
        if self._output.can_ask:
            self._output.note(self._output.paint(f"  {_KEYS}", dim=True))

    def began(self, reason: str) -> None:
        """A reload has begun."""
        if self._output.is_watched:
            self._output.live(f"  {reason} …")

    def ended(self, result: Result) -> None:
        """A reload has ended, well or not."""
        for line in _result_lines(self._output, result):
            self._output.say(line)
        if result.cause is not None:
            show_failure(self._output, result.cause, "  ")
        told: list[Failure] = []
        for tried in result.tried:
            self._show(tried, told)
        show_doubts(self._output, [doubt for tried in result.tried for doubt in tried.doubts])
        self._output.item(_values(result))

    def printed(self, line: str) -> None:
        """The handler printed a line."""
        # What the toolkit logs of a failure is told with the failure itself.
        if self._prints and not line.startswith(_LOGGED_FAILURE):
            self._output.say(self._output.paint(f"  │ {line}", dim=True))

    def noted(self, text: str) -> None:
        """Something beside the results."""
        self._output.note(f"  {text}")

    def failed(self, error: HotfireError) -> None:
        """The project cannot be served as it is; what was served before is."""
        self._output.error(error.message, error.advice)

    def refused(self, failure: Failure) -> None:
        """The handler failed on a client's request."""
        mark = self._output.paint("✗", fg="red", bold=True)
        self._output.say(f"{_clock(self._output)}  {mark} a client's request failed")
        show_failure(self._output, failure, "  ")

    def _show(self, tried: Tried, told: list[Failure]) -> None:
        """An example; of a failure that was told already, that it is the same."""
        if tried.failure is None or tried.trial.verdict.passed:
            show_verdict(self._output, tried.trial.verdict)
        else:
            show_failed(self._output, tried.trial, tried.failure, told)
        if tried.is_slower and tried.median is not None:
            seconds = tried.trial.answer.seconds
            self._output.say(f"      slower: {duration(seconds)}, {duration(tried.median)} before")
        if tried.is_new:
            self._output.say("      new: nothing is expected of it yet; `a` accepts the answer")
        for line in _profile_lines(tried) if tried.profile else ():
            self._output.say(f"      {line}")

    def _say_how_to_debug(self) -> None:
        if self._environment.in_containers:
            self.noted(
                "Breakpoints and debuggers do not reach into containers; `instance_type: local` has them."
            )
            return
        self.noted("`breakpoint()` in a function of the request stops here, in pdb.")
        if self._debug_port is None:
            self.noted("For VS Code or PyCharm start `hotfire dev --debug`.")
        else:
            self.noted(_attaching(self._debug_port))

    def _switch_logs(self) -> None:
        self._prints = not self._prints
        self.noted(f"What the handler prints is {'shown' if self._prints else 'not shown'}.")

    def _open(self) -> None:
        if self._url is not None:
            click.launch(page(self._environment, self._url) or self._url)


def _clock(output: Output) -> str:
    from datetime import datetime

    return output.paint(f"{datetime.now():%H:%M:%S}", dim=True)


def _result_lines(output: Output, result: Result) -> Iterator[str]:
    clock = _clock(output)
    reason = result.reason or ("not loaded" if result.failure else "loaded")
    if result.failure:
        yield f"{clock}  {output.paint('✗', fg='red', bold=True)} {reason}"
        return
    yield f"{clock}  {reason}  {output.paint(duration(result.seconds), bold=True)}"


def _values(result: Result) -> dict[str, object]:
    """A reload as JSON has it."""
    return {
        "reason": result.reason,
        "kept": result.kept,
        "failure": result.failure,
        "cause": result.cause and failure_values(result.cause),
        "seconds": result.seconds,
        "examples": [
            {
                **verdict_values(tried.trial.verdict),
                "new": tried.is_new,
                "slower": tried.is_slower,
                "failure": tried.failure and failure_values(tried.failure),
                "doubts": list(tried.doubts),
                "times": dict(tried.times),
                "profile": list(tried.profile),
            }
            for tried in result.tried
        ],
    }


def _profile_lines(tried: Tried) -> Iterator[str]:
    """Where an example's time went: between the handler's functions, and inside the one that predicts."""
    yield " · ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in tried.times.items())
    for one in tried.profile:
        name = "  " * one["depth"] + one["name"]
        yield f"{_milliseconds(one['seconds']):>10}  {name:<32} {one['file']}:{one['line']}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _attaching(port: int) -> str:
    """How a debugger attaches, in a line that goes into VS Code's launch.json as it is."""
    import json

    where = {"host": "127.0.0.1", "port": port}
    given = {"name": "hotfire dev", "type": "debugpy", "request": "attach", "connect": where, "restart": True}
    return f"VS Code, launch.json: {json.dumps(given)}  PyCharm: Attach to DAP, 127.0.0.1:{port}"


def _require(python: Path, package: str) -> None:
    """See that the project's Python has what looks into its handler."""
    import subprocess

    program = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    if subprocess.run([python, "-c", program], check=False).returncode:
        message = f"{package} is not installed in the project's Python, {python}"
        raise PackageMissing(message, f"`{python} -m pip install {package}`")
