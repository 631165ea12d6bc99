"""`hotfire share`: one model's page, for the people in the same network."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click

from hotfire.cli import options, region
from hotfire.cli.output import Output
from hotfire.cli.region import ip
from hotfire.cli.since import span
from hotfire.environment import load
from hotfire.errors import ConfigError


@click.command()
@click.argument("model", required=False)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Others reach it there; else at a free one."
)
@click.option(
    "--host",
    callback=ip,
    default="0.0.0.0",
    show_default=True,
    metavar="ADDRESS",
    help="By this address of the machine alone; 0.0.0.0 is by all.",
)
@click.option("--for", "seconds", callback=span, metavar="TIME", help="End it after so long: 1h, 30m.")
@options.json
@options.naming_environment
def share(
    output: Output,
    model: str | None,
    port: int | None,
    host: str,
    seconds: float | None,
    env_name: str | None,
    config: Path | None,
) -> None:
    """Share MODEL's page with the people in your network, until Ctrl-C.

    MODEL is an endpoint of the local region, that of the project here if none is named. Whoever has the
    link that is printed sees this model's page and may ask its API, and nothing else of the region.
    """
    name = model or _model_here(env_name, config)
    found = region.started(output)
    given = {"model": name, "host": host, "port": port, "seconds": seconds}
    connection, stream = found.open("POST", "/_hotfire/share", given)
    with closing(connection), stream:
        told = json.loads(stream.readline())
        links = [_link(address, told) for address in told["addresses"] or ["127.0.0.1"]]
        _show(output, name, links, told["key"])
        try:
            reason = _end(stream)
        except KeyboardInterrupt:
            reason = ""
            output.note("")
    output.note(f"{reason}{name} is not shared any more.")


def _model_here(env_name: str | None, config: Path | None) -> str:
    """The endpoint's name in the project's config.yml."""
    environment = load(env_name, config=config)
    if not environment.is_local:
        message = f"the environment {environment.name!r} is at AWS; what is shared is of the local region"
        raise ConfigError(message, "`--env local` does.", file=environment.file, key="instance_type")
    return environment.model_name


def _link(address: str, told: dict[str, Any]) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{told['port']}/?entry={told['key']}"


def _end(stream: Any) -> str:
    """Why it is over, when it is."""
    try:
        for line in stream:
            if json.loads(line).get("expired"):
                return "The time is over. "
    except (OSError, ValueError, HTTPException):
        pass  # the region was killed
    return "The local region has ended. "


def _show(output: Output, name: str, links: list[str], key: str) -> None:
    first, *others = links
    root = first.partition("/?")[0]
    output.say(f"{output.paint(name, bold=True)} is shared, while this runs, at\n\n  {first}\n")
    if output.is_terminal:
        for line in picture(first):
            output.say(f"  {output.paint(line, fg='bright_white', bg='black')}")
        output.say()
    for link in others:
        output.say(f"  or {link}\n")
    output.say("Whoever has this link sees the model's page and may ask its API, and nothing else. What is")
    output.say("sent is not encrypted: share it in a network that you trust. Ctrl-C ends it.\n")
    output.say(f"  curl {root}/api/models/{name} -H 'X-Api-Key: {key}'")
    output.item({"model": name, "links": links, "key": key, "api": f"{root}/api/models/{name}"})


def picture(text: str) -> Iterator[str]:
    """A QR code in lines, for a terminal that can show one."""
    if (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "") != "utf8":
        return
    import segno

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(out=drawn, border=2, compact=True)
    yield from drawn.getvalue().rstrip("\n").splitlines()
