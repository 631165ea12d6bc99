"""What the journal of requests costs: throughput of InvokeEndpoint with it against without it.

Two regions stand side by side, each with the template's model and an echo; one records every request, the
other none (HOTFIRE_JOURNAL_REQUESTS=0). wrk loads them in turns, first the one and then the other, on
keep-alive connections.

    python benchmarks/journal.py [--rounds 20] [--seconds 3] [--json FILE]
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from report import Report, Row, parser
from serving import ECHO, Load, Wrk, handler_project, hotfire, template

from hotfire import DeployEnv
from hotfire.address import find

CONNECTIONS = 8


@dataclass(frozen=True)
class Side:
    """A region: the load on it, and the addresses of its endpoints."""

    wrk: Wrk
    urls: dict[str, str]

    def load(self, name: str) -> Load:
        """Put the load on an endpoint."""
        return self.wrk(self.urls[name], CONNECTIONS)


@contextlib.contextmanager
def region(folder: Path, requests: int, seconds: float) -> Iterator[Side]:
    """A region that keeps so many requests."""
    folder.mkdir()
    home = folder / "home"
    os.environ.update(HOTFIRE_HOME=str(home), HOTFIRE_JOURNAL_REQUESTS=str(requests))
    hotfire("up", folder=folder)
    try:
        project = template(folder)
        handler_project(folder, "echo", ECHO, 1)
        address = find(home)
        assert address is not None
        model = DeployEnv(config=project / "config.yml").setting("model_name")
        names = {"template": model, "echo": "echo"}
        urls = {name: f"{address.url}/endpoints/{one}/invocations" for name, one in names.items()}
        yield Side(Wrk(folder, seconds, address.key.access_key), urls)
    finally:
        environment = {**os.environ, "HOTFIRE_HOME": str(home)}
        subprocess.run([sys.executable, "-m", "hotfire", "down"], env=environment, check=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=20, help="how often each is measured, in turns (20)")
    options.add_argument("--seconds", type=float, default=3.0, help="how long each time (3)")
    given = options.parse_args()
    report = Report("The journal of requests, on against off, 8 connections")
    with (
        tempfile.TemporaryDirectory() as top,
        region(Path(top) / "on", 10_000, given.seconds) as on,
        region(Path(top) / "off", 0, given.seconds) as off,
    ):
        loads: dict[str, list[tuple[Load, Load]]] = {"template": [], "echo": []}
        for number in range(given.rounds):
            for name, pairs in loads.items():
                # Whichever comes first may be the luckier: they take turns in that, too.
                if number % 2:
                    with_it, without = on.load(name), off.load(name)
                else:
                    without, with_it = off.load(name), on.load(name)
                pairs.append((with_it, without))
            print(f"round {number + 1} of {given.rounds}", flush=True)
    tell(report, loads)
    report.finish(given.json)


def tell(report: Report, loads: dict[str, list[tuple[Load, Load]]]) -> None:
    """What was measured, and the ratios of what was measured in one round."""
    errors = sum(load.errors for pairs in loads.values() for pair in pairs for load in pair)
    report.add(Row("answers that were errors", [errors], at_most=0))
    for name, pairs in loads.items():
        report.add(Row(f"{name}, recorded", [on.rate for on, _ in pairs], "/s"))
        report.add(Row(f"{name}, not recorded", [off.rate for _, off in pairs], "/s"))
        report.add(Row(f"{name}: p50 added", [on.p50 - off.p50 for on, off in pairs], "ms"))
        report.add(Row(f"{name}: p99 added", [on.p99 - off.p99 for on, off in pairs], "ms"))
        ratios = [on.rate / off.rate for on, off in pairs]
        # An echo does nothing else: what there is of a cost is seen there first.
        least = 0.97 if name == "template" else None
        report.add(Row(f"{name}: with against without", ratios, "x", at_least=least))


if __name__ == "__main__":
    main()
