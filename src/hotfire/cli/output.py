"""What commands print: for people, or one JSON value for programs."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

CLOSED_PIPE = 141
"""The exit code where the reader of our output went away: 128 + SIGPIPE, as of any other program."""


_ERASE = "\r\x1b[K"


class OutputClosed(Exception):
    """Nobody reads our output any more, as where `hotfire logs | head` has seen enough."""


class Output:
    """Standard output and standard error of one command.

    With `--json` standard output carries the result alone, one JSON value, or an error as
    `{"error": {"message", "advice"}}`. What people need to know meanwhile goes to standard error.
    """

    def __init__(self) -> None:
        self.as_json = False
        self.if_interrupted = ""
        self._plain: bool | None = None
        self._live = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads standard output."""
        return sys.stdout.isatty()

    @property
    def is_watched(self) -> bool:
        """Whether a person looks on while it goes on."""
        return sys.stderr.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, text: str = "") -> None:
        """A line of the command's result, for people; nothing with `--json`."""
        if not self.as_json:
            self._echo(text, err=False)

    def step(self, text: str) -> None:
        """A line of what is being done, as it is done."""
        self._echo(text, err=self.as_json)

    def note(self, text: str) -> None:
        """A line beside the result: progress, a warning."""
        self._echo(text, err=True)

    def result(self, value: Any) -> None:
        """The command's result for programs; nothing without `--json`."""
        if self.as_json:
            self._echo(self._json(value, indent=2), err=False)

    def item(self, value: Any) -> None:
        """One of several results for programs, on a line of its own."""
        if self.as_json:
            self._echo(self._json(value), err=False)

    def error(self, message: str, advice: str = "") -> None:
        """What went wrong and what to do next."""
        self.note(f"{self.paint('Error:', fg='red', bold=True)} {message}")
        if advice:
            self.note(f"  → {advice}")
        self.result({"error": {"message": message, "advice": advice}})

    def body(self, content: bytes) -> None:
        """Bytes as they are."""
        self._print(content, sys.stdout, end=False)

    def live(self, text: str) -> None:
        """A line on the terminal that the next one overwrites."""
        self._live = True
        self._print(f"{_ERASE}{text}", sys.stderr, end=False)

    def talk(self, text: str) -> None:
        """What somebody else says in the terminal, whose line may go on."""
        self._print(text, sys.stderr, end=False)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar on the terminal, which is told of each further part of the total."""
        # Drawn a hundred times at most, whatever the parts.
        step = max(1, total // 100)
        waiting = 0
        with click.progressbar(length=total, label=label, file=sys.stderr) as bar:

            def advance(count: int) -> None:
                nonlocal waiting
                waiting += count
                if waiting >= step:
                    bar.update(waiting)
                    waiting = 0

            yield advance
            bar.update(waiting)

    def paint(self, text: str, **style: Any) -> str:
        """The text in colour, unless the user wants none; off a terminal `say` takes it out again."""
        if self._plain is None:
            from hotfire.environment import variables_of_process

            variables = variables_of_process()
            self._plain = bool(variables.get("NO_COLOR")) or variables.get("TERM") == "dumb"
        return text if self._plain else click.style(text, **style)

    def _json(self, value: Any, indent: int | None = None) -> str:
        encoding = getattr(sys.stdout, "encoding", None) or ""
        ascii_only = encoding.lower().replace("-", "") != "utf8"
        return json.dumps(_finite(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)

    def _echo(self, text: str, *, err: bool) -> None:
        if self._live:
            self._live = False
            self._print(_ERASE, sys.stderr, end=False)
        self._print(text, sys.stderr if err else sys.stdout)

    def _print(self, text: str | bytes, stream: TextIO, *, end: bool = True) -> None:
        try:
            click.echo(text, file=stream, nl=end)
        except BrokenPipeError as error:
            raise OutputClosed from error


def prepare_streams() -> None:
    """Print what the terminal's encoding lacks as an escape, in place of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def forget_streams() -> None:
    """Let Python end in silence although our output is closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        _redirect(stream, nowhere)
    os.close(nowhere)


def size(count: int) -> str:
    """Bytes for people: `1.2 MB`."""
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.1f} {unit}" if unit != "B" and number < 99.5 else f"{number:.0f} {unit}"


def duration(seconds: float) -> str:
    """A time for people: `12 ms`, `1.2 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _finite(value: Any) -> Any:
    """The value without NaN and infinity, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _redirect(stream: TextIO, target: int) -> None:
    try:
        os.dup2(target, stream.fileno())
    except (OSError, ValueError):
        return
