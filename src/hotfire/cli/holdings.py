"""`hotfire status --all`: every endpoint that Hotfire made in a region."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hotfire.cli.output import Output
from hotfire.cli.signing import interruptible
from hotfire.environment import Environment

if TYPE_CHECKING:
    from hotfire.holdings import Holding

_HEAD = ("ENDPOINT", "STATE", "INSTANCES", "$/HOUR", "AGE", "COMMIT", "HASH", "PROJECT", "BY")
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"))


def show(output: Output, environment: Environment) -> None:
    """A line for each, and what they cost together."""
    from hotfire.holdings import holdings

    client = interruptible(environment).client_for("sagemaker")
    found = list(holdings(client))
    region = "the local region" if environment.is_local else str(client.meta.region_name)
    if not found:
        output.say(f"There is no endpoint of Hotfire's in {region}.")
    else:
        for line in table([_HEAD, *(_row(one, is_local=environment.is_local) for one in found)]):
            output.say(line)
        if not environment.is_local:
            output.say(_cost(found))
    output.result([_values(one, is_local=environment.is_local) for one in found])


def _row(one: Holding, *, is_local: bool) -> tuple[str, ...]:
    return (
        one.endpoint,
        one.state,
        ", ".join(map(str, one.hosts)) or "-",
        "0" if is_local else f"{one.price.usd:.3f}" if one.price else "?",
        age(time.time() - one.created),
        one.commit or "-",
        (one.sha256 or "-")[:12],
        one.project,
        (one.caller or "").rpartition(":")[2],
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cost(found: Sequence[Holding]) -> str:
    known = [one.price for one in found if one.price]
    if not known:
        return "What they cost is not known here."
    total, since = sum(price.usd for price in known), min(price.as_of for price in known)
    unknown = len(found) - len(known)
    more = f", and {unknown} whose price is not known here" if unknown else ""
    return f"About ${total:.2f} an hour by prices of {since:%B %Y}{more}."


def age(seconds: float) -> str:
    """A span of time in its largest unit: `3 h`."""
    for span, unit in _SPANS:
        if seconds >= span:
            return f"{seconds / span:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _values(one: Holding, *, is_local: bool) -> dict[str, Any]:
    price = {"usd": one.price.usd, "as_of": one.price.as_of.isoformat()} if one.price else None
    return {
        **{name: value for name, value in asdict(one).items() if name not in ("hosts", "price")},
        "hosts": [asdict(host) for host in one.hosts],
        "hourly_price": None if is_local else price,
    }
