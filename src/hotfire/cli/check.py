"""`hotfire check`: what would fail in production, found before it gets there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from hotfire.cli import options
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment, find, home, load
from hotfire.errors import ConfigError, DeployError, RegionError, UsageError

if TYPE_CHECKING:
    from hotfire.preflight import Finding
    from hotfire.preflight.rules import Silenced, Verdict

_COLORS = {"error": "red", "warning": "yellow", "information": "blue"}


@click.command()
@click.argument("subject", required=False, metavar="[PROJECT|ARCHIVE]", type=click.Path(path_type=Path))
@click.option("--measure", is_flag=True, help="Send the examples to the local endpoint, and measure it, too.")
@click.option("-v", "--all", "show_all", is_flag=True, help="Show what config.yml silences.")
@options.json
@options.naming_environment
def check(
    output: Output,
    subject: Path | None,
    measure: bool,
    show_all: bool,
    env_name: str | None,
    config: Path | None,
) -> int:
    """Say what would fail in production, before a deploy.

    Of the project here, the project in the folder PROJECT, or a model.tar.gz. Exits 1 if something would.
    In a local environment what is about AWS is information; `--env` names the environment to check for.
    """
    begun = monotonic()
    archive = subject if subject is not None and not subject.is_dir() else None
    if archive is not None and measure:
        raise UsageError("An archive cannot be measured.", "Name the project, or leave out --measure.")
    environment = _environment(env_name, config, subject if archive is None else None, archive)
    for note in environment.notes if environment else ():
        output.note(f"Note: {note}")
    if archive is not None:
        verdict = _archive(archive, environment)
    else:
        assert environment is not None
        verdict = _project(environment, measure=measure)
    _show(output, verdict, show_all, monotonic() - begun)
    output.result(_values(environment, verdict, measured=measure))
    return 0 if verdict.passed else 1


def check_before(output: Output, environment: Environment) -> None:
    """Preflight before the first call of a deploy to AWS, with what the local region shows, if it is up.

    A deploy to this machine makes no call before its own. Raises HandlerError for what could not serve.
    """
    if environment.is_local:
        return
    from hotfire.preflight import require
    from hotfire.probe import probe
    from hotfire.project import checked, measured

    require(checked(environment).findings)
    try:
        findings = measured(environment, partial(probe, home=home()))
    except (RegionError, ConfigError, DeployError):
        return  # there is no local environment, no region, or nothing in it that could be measured
    require(findings)
    for finding in findings:
        output.note(f"Note: {finding.text}")


def _environment(
    name: str | None, config: Path | None, start: Path | None, archive: Path | None
) -> Environment | None:
    """The environment to check for; an archive needs none, where there is no config.yml."""
    if archive is not None and name is None and config is None:
        try:
            find(Path.cwd())
        except ConfigError:
            return None
    return load(name, config=config, start=start)


def _archive(archive: Path, environment: Environment | None) -> Verdict:
    from hotfire.project import inspected_archive

    return inspected_archive(archive, environment)


def _project(environment: Environment, *, measure: bool) -> Verdict:
    from hotfire.project import checked

    if not measure:
        return checked(environment)
    from hotfire.probe import probe

    return checked(environment, partial(probe, home=home()))


def _show(output: Output, verdict: Verdict, show_all: bool, seconds: float) -> None:
    for finding in verdict.findings:
        for line in _lines(output, finding):
            output.say(line)
    for one in verdict.silenced if show_all else ():
        for line in _silenced_lines(output, one):
            output.say(line)
    output.say(_summary(verdict, show_all, seconds))


def _lines(output: Output, finding: Finding) -> Iterator[str]:
    severity = output.paint(finding.severity, fg=_COLORS[finding.severity], bold=True)
    yield f"{severity} {_place(finding)} [{finding.rule}]"
    yield f"  {finding.message}"
    yield f"  → {finding.advice}"


def _silenced_lines(output: Output, one: Silenced) -> Iterator[str]:
    yield f"{output.paint('silenced', dim=True)} {_place(one.finding)} [{one.finding.rule}]"
    yield f"  {one.finding.message}"
    yield f"  because: {one.reason}"


def _summary(verdict: Verdict, show_all: bool, seconds: float) -> str:
    from hotfire.preflight import SEVERITIES

    counts = [(kind, sum(one.severity == kind for one in verdict.findings)) for kind in SEVERITIES]
    words = [_counted(kind, count) for kind, count in counts if count]
    text = f"{', '.join(words) or 'Nothing found'} in {duration(seconds)}."
    if verdict.silenced:
        text += f" {len(verdict.silenced)} silenced" + ("." if show_all else "; `--all` shows what.")
    return text


def _counted(kind: str, count: int) -> str:
    return f"{count} {kind}" + ("s" if count > 1 and kind != "information" else "")


def _place(finding: Finding) -> str:
    """The place as one would type it here."""
    here = Path.cwd()
    file = finding.file.relative_to(here) if finding.file.is_relative_to(here) else finding.file
    return f"{file}:{finding.line}" if finding.line else str(file)


def _values(environment: Environment | None, verdict: Verdict, *, measured: bool) -> dict[str, object]:
    return {
        "environment": environment.name if environment else None,
        "passed": verdict.passed,
        "measured": measured,
        "findings": [_plain(finding) for finding in verdict.findings],
        "silenced": [{**_plain(one.finding), "reason": one.reason} for one in verdict.silenced],
    }


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "advice": finding.advice,
        "file": str(finding.file),
        "line": finding.line,
    }
