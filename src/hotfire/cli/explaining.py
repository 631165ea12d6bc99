"""Failures of a handler, as a terminal shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotfire.cli.deployment import FAILED
from hotfire.cli.output import Output, duration

if TYPE_CHECKING:
    from hotfire.deployment import Trial
    from hotfire.failure import Failure

_WIDEST = 100

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "error": {"fg": "red"},
    "place": {"bold": True},
    "source": {"dim": True},
    "line": {},
    "value": {"fg": "cyan"},
    "sent": {"dim": True},
    "advice": {"fg": "green"},
}


def show_failure(output: Output, failure: Failure, indent: str) -> None:
    """A failure with all that is known of it."""
    from hotfire.failure import lines

    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST) - len(indent)
    for part, line in lines(failure, Path.cwd(), width):
        output.say(indent + output.paint(line, **_STYLES[part.value]))


def show_failed(output: Output, trial: Trial, failure: Failure, told: list[Failure]) -> None:
    """An example that failed, and why; of what was `told` already, which example it failed as."""
    name, answer, expect = trial.example.name, trial.answer, trial.example.expect
    line = f"  {output.paint(FAILED, fg='red', bold=True)} {name}  {duration(answer.seconds)}"
    before = next((one for one in told if one.is_as(failure)), None)
    if before is not None and before.sent is not None:
        output.say(f"{line}  the same as {before.sent.example}")
        return
    told.append(failure)
    output.say(line)
    got = f"status {answer.status}" if answer.status else "no answer"
    output.say(f"      {got}, expected {expect.status}")
    show_failure(output, failure, "      ")


def show_doubts(output: Output, doubts: Iterable[str]) -> None:
    """What may be wrong though there are answers: each once."""
    import textwrap

    from hotfire.failure import DOUBTS

    for doubt in dict.fromkeys(doubts):
        width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST) - 4
        for number, line in enumerate(textwrap.wrap(DOUBTS[doubt], width, break_on_hyphens=False)):
            output.say(output.paint(f"  {'  ' if number else '! '}{line}", fg="yellow"))


def failure_values(failure: Failure) -> dict[str, Any]:
    """A failure as JSON has it."""
    focus, sent = failure.focus, failure.sent
    return {
        "function": failure.function,
        "error": failure.headline,
        "file": str(focus.file) if focus else None,
        "line": focus.line if focus else None,
        "values": dict(failure.values or {}),
        "advice": failure.advice,
        "request": sent and {"content_type": sent.content_type, "accept": sent.accept, "size": sent.size},
    }
