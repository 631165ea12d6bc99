"""`hotfire up`, `down` and `env`: the local region."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread

import click

from hotfire import address
from hotfire.address import Address
from hotfire.cli import options
from hotfire.cli.output import Output
from hotfire.environment import home, load
from hotfire.errors import HotfireError

EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "SAGEMAKER_USER_CONFIG_OVERRIDE",
)
"""The names of `Address.exports`, known without a region."""

_SECONDS_TO_SEND = 0.1
_SECONDS_TO_WARM = 120.0


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Listen there; else on 4774 or next."
)
@click.option("--foreground", is_flag=True, help="Run it here, until Ctrl-C.")
@options.json
def up(output: Output, port: int | None, foreground: bool) -> None:
    """Start the local region in the background, if it is not up."""
    from hotfire.server import daemon

    place = home()
    if foreground:
        announcer = Thread(target=_announce, args=(output, place), daemon=True)
        announcer.start()
        daemon.run(place, port)
        return
    running = address.find(place)
    output.if_interrupted = "If the region came up, `hotfire down` stops it."
    region = running or daemon.start(place, port)
    _warm_project(region)
    _show(output, region, started=running is None)


@click.command()
@options.json
def down(output: Output) -> None:
    """Stop the local region. Its endpoints come back when it is started again."""
    from hotfire.server import daemon

    stopped = daemon.stop(home())
    output.say("The local region is stopped." if stopped else "The local region was not up.")
    output.result({"stopped": stopped})


@click.command()
@click.option("--unset", is_flag=True, help="Print what takes the variables back.")
@options.json
def env(output: Output, unset: bool) -> None:
    """Print the variables that point any AWS client at the local region.

    \b
      eval "$(hotfire env)"            points this shell at it
      eval "$(hotfire env --unset)"    takes that back
    """
    if unset:
        output.say(f"unset {' '.join(EXPORTED)}")
        output.result({"unset": list(EXPORTED)})
        return
    region = address.find(home())
    if region is None:
        raise address.not_running()
    exports = region.exports()
    output.say(export_lines(exports))
    output.result(exports)


def export_lines(exports: Mapping[str, str]) -> str:
    """What a POSIX shell evaluates."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())


def started(output: Output) -> Address:
    """The region, started if it is not up."""
    region = address.find(home())
    if region is None:
        from hotfire.server import daemon

        region = daemon.start(home())
        output.note(f"Started the local region at {region.url}.")
    return region


def warm(region: Address, python: Path) -> Thread:
    """Have the region import torch by the project's Python, which takes a while, beside what we do."""

    def ask() -> None:
        # What is wrong with that Python is told when the model is to be loaded by it.
        with suppress(HotfireError):
            region.call("POST", "/_hotfire/warm", {"python": str(python)}, timeout=_SECONDS_TO_WARM)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    return thread


def entry(region: Address, url: str) -> str:
    """The address of one of the region's pages, which lets a browser in once."""
    token = region.call("POST", "/_hotfire/entry")["token"]
    return f"{url}?entry={token}"


def _warm_project(region: Address) -> None:
    """Where this is a project, a deploy is to come."""
    try:
        environment = load()
    except HotfireError:
        return
    if environment.is_local:
        # Long enough for the request to be on its way.
        warm(region, environment.python).join(_SECONDS_TO_SEND)


def _show(output: Output, region: Address, *, started: bool) -> None:
    already = "" if started else "already "
    output.say(f"The local region is {already}up at {region.url}\n")
    output.say('  eval "$(hotfire env)"   points the AWS clients of this shell at it')
    output.say("  hotfire down            stops it")
    values = {"url": region.url, "pid": region.pid, "version": region.version, "home": str(region.home)}
    output.result({**values, "started": started})


def _announce(output: Output, place: Path) -> None:
    """Say where the region is as soon as this process serves it."""
    import os
    from time import sleep

    while True:
        with suppress(HotfireError):
            region = address.find(place)
            if region is not None and region.pid == os.getpid():
                break
        sleep(0.05)
    _show(output, region, started=True)
