"""`hotfire status` and `logs`: what an endpoint is and prints."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from hotfire.cli import holdings, options
from hotfire.cli.deployment import command, deployer, page
from hotfire.cli.output import Output
from hotfire.cli.since import since as moment
from hotfire.deploy_env import SERVING
from hotfire.environment import Environment
from hotfire.wanted import tag_value

if TYPE_CHECKING:
    from hotfire.deployment import LogEvent, Status

DEFAULT_LINES = 100
_COLORS = {"InService": "green", "Failed": "red", "OutOfService": "red"}


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Show every endpoint that Hotfire made in the region.")
@options.json
@options.environment
def status(output: Output, environment: Environment, show_all: bool) -> None:
    """Show what is deployed."""
    if show_all:
        holdings.show(output, environment)
        return
    found = deployer(output, environment).status()
    link = page(environment, found.url) if found.state else None
    for line in _lines(output, environment, found, link):
        output.say(line)
    output.result(_values(environment, found, link))


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="All lines since then: 10m, 2h, 1d (ago), or 2026-11-22T10:00:00.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    metavar="N",
    help=f"The last N lines alone; {DEFAULT_LINES} where no --since is given.",
)
@options.json
@options.environment
def logs(
    output: Output, environment: Environment, follow: bool, since: float | None, lines: int | None
) -> None:
    """Show what the model printed: the last lines, or all since a time."""
    if follow:
        gc.enable()  # which a short command does without
    if lines is None and since is None:
        lines = DEFAULT_LINES
    events = deployer(output, environment).log_events(since, lines=lines, follow=follow)
    try:
        for event in events:
            _show_event(output, event)
    except KeyboardInterrupt:
        if not follow:
            raise
        # That is how one stops to follow.
        output.note("")


def _show_event(output: Output, event: LogEvent) -> None:
    if output.as_json:
        output.item({"time": event.time, "stream": event.stream, "message": event.message})
    else:
        output.say(f"{output.paint(_clock(event.time), dim=True)}  {event.message}")


def _lines(output: Output, environment: Environment, found: Status, link: str | None) -> Iterator[str]:
    if found.state is None:
        yield f"{found.endpoint} is not deployed in {environment.name}."
        yield f"  → {command(environment, 'deploy')} deploys it."
        return
    state = output.paint(found.state, fg=_COLORS.get(found.state, "yellow"), bold=True)
    yield f"{found.endpoint} in {environment.name}: {state}"
    if found.reason:
        # Of a fleet that serves, the reason is why it was not replaced.
        yield f"  {'failed' if found.state in SERVING else 'reason'}    {found.reason}"
    if found.developer:
        yield f"  dev       `hotfire dev` (process {found.developer}) answers, until it ends"
    yield from _content(environment, found)
    for variant in found.variants:
        yield f"  variant   {_variant(variant)}"
    if found.owner and found.owner != tag_value(environment.project):
        yield f"  project   {found.owner}"
    if found.modified:
        yield f"  since     {_clock(found.modified)}  ({holdings.age(time.time() - found.modified)})"
    if link:
        yield f"  page      {link}"


def _content(environment: Environment, found: Status) -> Iterator[str]:
    """What is deployed, against the project's files as they are now."""
    is_same = found.sha256 == found.working_sha256
    if found.sha256 and found.working_sha256 and not is_same:
        brings = f"{command(environment, 'deploy')} brings them there"
        yield f"  changed   the project's files are not what is deployed: {brings}"
    yield f"  model     {found.model}" + (f"  (commit {found.commit})" if found.commit else "")
    yield f"  config    {found.config}"
    if found.sha256:
        yield f"  hash      {found.sha256[:12]}" + ("  (what the project's files are now)" if is_same else "")


def _variant(variant: Mapping[str, Any]) -> str:
    serverless = variant.get("CurrentServerlessConfig") or variant.get("ServerlessConfig")
    weight = variant.get("CurrentWeight", variant.get("InitialVariantWeight", 1.0))
    if serverless:
        return f"{variant['VariantName']}: serverless, {serverless['MemorySizeInMB']} MB, weight {weight:g}"
    count = variant.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 1))
    return f"{variant['VariantName']}: {count} × {variant.get('InstanceType', '?')}, weight {weight:g}"


def _values(environment: Environment, found: Status, link: str | None) -> dict[str, object]:
    return {
        "environment": environment.name,
        "endpoint": found.endpoint,
        "state": found.state,
        "reason": found.reason,
        "config": found.config,
        "model": found.model,
        "sha256": found.sha256,
        "working_sha256": found.working_sha256,
        "commit": found.commit,
        "project": found.owner,
        "developer": found.developer,
        "variants": [_plain(variant) for variant in found.variants],
        "created": found.created,
        "modified": found.modified,
        "url": link or found.url,
    }


def _plain(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Without what JSON does not have, such as the times of boto3."""
    return {name: value for name, value in variant.items() if isinstance(value, str | int | float | dict)}


def _clock(moment: float) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"
