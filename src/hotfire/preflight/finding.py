"""What preflight finds, and the rules that find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hotfire.errors import HandlerError

if TYPE_CHECKING:
    from hotfire.preflight.subject import Subject

Severity = Literal["error", "warning", "information"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information")
"""The worst first. Errors stop a deploy, warnings are shown by it, information by `hotfire check` alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be. `line` counts from 1; None is the file as a whole."""

    rule: str
    severity: Severity
    message: str
    advice: str
    file: Path
    line: int | None = None

    @property
    def place(self) -> str:
        """`file:line`, as editors take it."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)

    @property
    def text(self) -> str:
        """All of it but the advice, in a line."""
        return f"{self.place}: {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule finds. `severity` is less than the rule's own, where one is not sure."""

    message: str
    advice: str
    file: Path
    line: int | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for. `finds` and `way_out` are for the documentation, a sentence each.

    Of a rule that is `of_aws`, what it finds in a local environment is information: it does not fail here.
    """

    name: str
    severity: Severity
    finds: str
    way_out: str
    find: Callable[[Subject], Iterator[Found]]
    of_aws: bool = True

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """What it finds, with its name and severity."""
        for found in self.find(subject):
            severity = found.severity or self.severity
            if self.of_aws and subject.is_local:
                severity = "information"
            yield Finding(self.name, severity, found.message, found.advice, found.file, found.line)


def require(findings: Sequence[Finding]) -> None:
    """Raise HandlerError if any of the findings is an error."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        text = "\n".join(error.text for error in errors)
        more = " `hotfire check` shows the way out of the others." if len(errors) > 1 else ""
        raise HandlerError(text, errors[0].advice + more)
