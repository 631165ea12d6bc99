"""Requests that wait for a model, in the region's store: they outlive the region's process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.region.store import Store

_COLUMNS = "number, endpoint, aws_region, received, expires, seconds, params, output, failure"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that waits, and where its outcome goes; `failure` may be empty.

    `received` and `expires` in seconds since the epoch, `seconds` what the model may take. `params` are those
    of InvokeEndpointAsync, but for the body.
    """

    number: int
    endpoint: str
    aws_region: str
    received: float
    expires: float
    seconds: float
    params: Mapping[str, Any]
    output: str
    failure: str


class Queue:
    """All tickets, those of an endpoint in the order in which they were given.

    One leaves the queue when its outcome is written. So it is answered at least once: again, if the region
    ends between the two.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, ticket: Ticket, body: bytes | None) -> None:
        """Give a ticket, whose number is made here; `body` is what comes with the request itself."""
        row = (
            ticket.endpoint,
            ticket.aws_region,
            ticket.received,
            ticket.expires,
            ticket.seconds,
            json.dumps(ticket.params),
            ticket.output,
            ticket.failure,
            body,
        )
        self._store.write(
            f"INSERT INTO tickets ({_COLUMNS}, body) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *row
        )

    def after(self, endpoint: str, number: int) -> Ticket | None:
        """An endpoint's first ticket with a higher number."""
        found = self._tickets("endpoint = ? AND number > ? ORDER BY number LIMIT 1", endpoint, number)
        return found[0] if found else None

    def all_after(self, endpoint: str, number: int) -> list[Ticket]:
        """An endpoint's tickets with higher numbers."""
        return self._tickets("endpoint = ? AND number > ? ORDER BY number", endpoint, number)

    def expired(self, endpoint: str, number: int, now: float) -> list[Ticket]:
        """Those of them that have waited longer than they may."""
        return self._tickets(
            "endpoint = ? AND number > ? AND expires <= ? ORDER BY number", endpoint, number, now
        )

    def next_expiry(self, endpoint: str, number: int) -> float | None:
        """When the first of them will have."""
        query = "SELECT min(expires) FROM tickets WHERE endpoint = ? AND number > ?"
        expiry: float | None = self._store.rows(query, endpoint, number)[0][0]
        return expiry

    def body(self, number: int) -> bytes | None:
        """What came with a request itself."""
        rows = self._store.rows("SELECT body FROM tickets WHERE number = ?", number)
        return rows[0][0] if rows else None

    def remove(self, number: int) -> None:
        """Forget a ticket whose outcome is written."""
        self._store.write("DELETE FROM tickets WHERE number = ?", number)

    def lengths(self) -> dict[str, int]:
        """How many tickets wait for each of those endpoints, or are in hand."""
        return dict(self._store.rows("SELECT endpoint, count(*) FROM tickets GROUP BY endpoint"))

    def endpoints(self) -> list[str]:
        """Those for which tickets wait."""
        return [row[0] for row in self._store.rows("SELECT DISTINCT endpoint FROM tickets ORDER BY 1")]

    def _tickets(self, condition: str, *values: Any) -> list[Ticket]:
        rows = self._store.rows(f"SELECT {_COLUMNS} FROM tickets WHERE {condition}", *values)
        return [_ticket(*row) for row in rows]


def _ticket(
    number: int,
    endpoint: str,
    aws_region: str,
    received: float,
    expires: float,
    seconds: float,
    params: str,
    output: str,
    failure: str,
) -> Ticket:
    return Ticket(
        number, endpoint, aws_region, received, expires, seconds, json.loads(params), output, failure
    )
