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

import psutil
from report import Report, Row, parser
from serving import ECHO, Load, Wrk, handler_project, hotfire, template

from hotfire import DeployEnv
from hotfire.address import find

CONNECTIONS = 8


@dataclass(frozen=True)
class Seen:
    """What wrk saw, and the processor time of the region's process for a request, in microseconds."""

    load: Load
    processor: float


@dataclass(frozen=True)
class Side:
    """A region: its process, the load on it for so many seconds, and the addresses of its endpoints."""

    process: psutil.Process
    seconds: float
    wrk: Wrk
    urls: dict[str, str]

    def load(self, name: str) -> Seen:
        """Put the load on an endpoint."""
        before = self._processor()
        load = self.wrk(self.urls[name], CONNECTIONS)
        return Seen(load, (self._processor() - before) / (load.rate * self.seconds) * 1e6)

    def _processor(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


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
        wrk = Wrk(folder, seconds, address.key.access_key)
        yield Side(psutil.Process(address.pid), seconds, wrk, urls)
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
        loads: dict[str, list[tuple[Seen, Seen]]] = {"template": [], "echo": []}
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


def tell(report: Report, seen: dict[str, list[tuple[Seen, Seen]]]) -> None:
    """What was measured, and the ratios of what was measured in one round."""
    errors = sum(one.load.errors for pairs in seen.values() for pair in pairs for one in pair)
    report.add(Row("answers that were errors", [errors], at_most=0))
    for name, found in seen.items():
        added = [on.processor - off.processor for on, off in found]
        report.add(Row(f"{name}: processor, not recorded", [off.processor for _, off in found], "us"))
        report.add(Row(f"{name}: processor added", added, "us"))
        pairs = [(on.load, off.load) for on, off in found]
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
