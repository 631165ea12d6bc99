"""`hotfire up`, `down` and `env`: the local region."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread

import click

from hotfire import address
from hotfire.address import Address, Exposure, RegionFile
from hotfire.cli import options
from hotfire.cli.output import Output
from hotfire.environment import home, load, variables_of_process
from hotfire.errors import HotfireError, UsageError
from hotfire.local import variables

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


def ip(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A callback: an IP address."""
    from ipaddress import ip_address

    if value is None:
        return None
    try:
        return str(ip_address("127.0.0.1" if value == "localhost" else value))
    except ValueError as error:
        message = f"{value!r} is no IP address: 0.0.0.0 is all that this machine has"
        raise click.BadParameter(message, context, option) from error


def origins_of(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """A callback: origins of web pages, as browsers send them."""
    return tuple(_origin(context, option, value) for value in values)


def _origin(context: click.Context, option: click.Parameter, value: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(value)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    is_one = parts.scheme in ("http", "https") and parts.hostname and value.lower() == origin
    if not is_one or {"@", "*"} & set(origin):
        message = f"{value!r} is no origin of a web page: it is written like https://app.example"
        raise click.BadParameter(message, context, option)
    return origin.removesuffix(usual)  # which browsers leave out


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Listen there; else on 4774 or next."
)
@click.option(
    "--host",
    callback=ip,
    metavar="ADDRESS",
    help="Listen there too, for other machines: 0.0.0.0 is everywhere. Signatures are checked then.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Answer also where it is asked by this name, as containers do: host.docker.internal.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    callback=origins_of,
    metavar="ORIGIN",
    help="Let web pages of this origin ask the public API: https://app.example.",
)
@click.option(
    "--any-key",
    is_flag=True,
    help="Take any AWS credentials, for clients whose keys cannot be set. Only without --host.",
)
@click.option("--foreground", is_flag=True, help="Run it here, until Ctrl-C.")
@options.json
def up(
    output: Output,
    port: int | None,
    host: str | None,
    allowed: tuple[str, ...],
    origins: tuple[str, ...],
    any_key: bool,
    foreground: bool,
) -> None:
    """Start the local region in the background, if it is not up."""
    from hotfire.server import daemon

    place = home()
    exposure = Exposure(host or daemon.LOCAL_ONLY.host, allowed, any_key, origins)
    if any_key and not exposure.is_local:
        message = "--any-key lets in whoever can reach the region, which --host lets other machines do"
        raise UsageError(message, "Give one of the two.")
    if foreground:
        announcer = Thread(target=_announce, args=(output, place), daemon=True)
        announcer.start()
        daemon.run(place, port, exposure)
        return
    running = address.find(place)
    output.if_interrupted = "If the region came up, `hotfire down` stops it."
    # Who asks for nothing takes the region as it is.
    asked = host is not None or allowed or any_key or origins
    region = daemon.start(place, port, exposure if asked else None)
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
    exports = variables(region)
    if "AWS_PROFILE" in variables_of_process():
        output.note("AWS_PROFILE is set, which some clients prefer to these keys (JavaScript's): unset it.")
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
    file = RegionFile.read(region.home)
    exposure = file.exposure if file is not None else Exposure()
    for line in _exposed(exposure, region):
        output.say(f"\n{line}")
    values = {"url": region.url, "pid": region.pid, "version": region.version, "home": str(region.home)}
    output.result({**values, **asdict(exposure), "started": started})


def _exposed(exposure: Exposure, region: Address) -> Iterator[str]:
    """What a user should know of a region that is not for this machine and its key alone."""
    if exposure.any_key:
        yield "It takes any credentials: any program of this machine can use it."
    if exposure.origins:
        yield f"Web pages of {', '.join(exposure.origins)} may ask its public API."
    if not exposure.is_local:
        port = region.url.rpartition(":")[2]
        yield (
            f"Other machines reach it at {exposure.host}, port {port}, with the key of `hotfire env`;\n"
            "its public API with one of `hotfire keys create`.\n"
            "What they send is not encrypted: let them come by a network that you trust."
        )


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
