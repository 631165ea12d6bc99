"""`hotfire keys`: who may ask the models of the local region by its public API."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from hotfire import address
from hotfire.address import Address
from hotfire.cli import options, region
from hotfire.cli.holdings import age, table
from hotfire.cli.output import Output
from hotfire.cli.since import span
from hotfire.environment import home

_HEAD = ("NAME", "KEY", "MODELS", "AGE", "LAST USED", "EXPIRES")


@click.group()
@options.json
def keys(output: Output) -> None:
    """Make, list and revoke keys of the public API.

    A key lets programs, web pages and other machines ask models for predictions, and nothing else.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="For this model; may be repeated. Else for all."
)
@click.option("--expires", callback=span, metavar="TIME", help="It ends after so long: 30d, 12h. Else never.")
@options.json
def create(output: Output, name: str, models: tuple[str, ...], expires: float | None) -> None:
    """Make a key, which is shown this once."""
    found = region.started(output)
    given = {"name": name, "models": models, "seconds": expires}
    made = found.call("POST", "/_hotfire/keys", given)
    output.say(made["key"])
    for line in _about(made, found):
        output.note(line)
    output.result(made)


@keys.command("list")
@options.json
def list_keys(output: Output) -> None:
    """Show the keys there are.

    How each begins, what it is for, when it was last used, and when it ends.
    """
    found = _running().call("GET", "/_hotfire/keys")
    if not found:
        output.say("There are no keys. `hotfire keys create NAME` makes one.")
    for line in table([_HEAD, *map(_row, found)]) if found else ():
        output.say(line)
    output.result(found)


@keys.command()
@click.argument("name")
@options.json
def revoke(output: Output, name: str) -> None:
    """Take a key back: from now on it opens nothing."""
    revoked = _running().call("POST", "/_hotfire/keys/revoke", {"name": name})
    output.say(f"The key {name}, {revoked['prefix']}…, opens nothing any more.")
    output.result(revoked)


def _running() -> Address:
    found = address.find(home())
    if found is None:
        raise address.not_running()
    return found


def _about(made: dict[str, Any], found: Address) -> list[str]:
    """What its holder should know of a key."""
    good_for = f"for {_and(made['models'])}" if made["models"] else "for every model"
    expires = made["expires"]
    until = f", until {datetime.fromtimestamp(expires):%d %B %Y, %H:%M}" if expires is not None else ""
    lines = [f"It is shown this once, and is good {good_for}{until}. It is sent in a header:"]
    lines.append(f'  curl -H "X-Api-Key: KEY" {found.url}/api/models')
    lines += [f"Note: there is no model {name!r} in the region yet." for name in made["absent"]]
    return lines


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    now = time.time()
    return (
        key["name"],
        f"{key['prefix']}…",
        ", ".join(key["models"]) or "all",
        age(now - key["created"]),
        "never" if key["used"] is None else f"{age(now - key['used'])} ago",
        _expiry(key["expires"], now),
    )


def _expiry(expires: float | None, now: float) -> str:
    if expires is None:
        return "never"
    return "expired" if expires <= now else f"in {age(expires - now)}"
