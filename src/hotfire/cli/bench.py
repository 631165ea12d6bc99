"""`hotfire bench`: load on an endpoint, and what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotfire.cli import options
from hotfire.cli.deployment import deployer, explained
from hotfire.cli.failures import INTERRUPTED
from hotfire.cli.output import Output, size
from hotfire.cli.signing import interruptible
from hotfire.environment import Environment, home
from hotfire.errors import HotfireError, ProjectError, UsageError

if TYPE_CHECKING:
    from hotfire.bench.generator import Measured, Stage
    from hotfire.bench.session import Outcome
    from hotfire.bench.sizing import Fleet, Service, Target
    from hotfire.deploy import Deployer
    from hotfire.examples import Example

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PERCENTILES = (50, 90, 99)
_MOST_SHOWN = 5
_MOST_CONNECTIONS = 1000
_PRICES_OF = "us-east-1"
"""Where the prices are from that a local region's load is reckoned with."""


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """A callback: a time with its unit, in seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} is no time: say 10s, 250ms or 2m", context, option)
    return float(found[1]) * _UNITS[found[2]]


def _counts(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """A callback: numbers with commas between them, each once."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= _MOST_CONNECTIONS for part in parts):
        message = f"{value!r}: say numbers from 1 to {_MOST_CONNECTIONS} like 1,8,64"
        raise click.BadParameter(message, context, option)
    return tuple(dict.fromkeys(map(int, parts)))


@dataclass(frozen=True, slots=True)
class Hosts:
    """What answered: the workers in all, as far as their number is known, and the memory of each in bytes."""

    workers: int | None
    instances: int = 1
    footprints: tuple[dict[str, int], ...] | None = None


@click.command()
@click.option(
    "--connections",
    callback=_counts,
    default="1,8,64",
    show_default=True,
    metavar="N,…",
    help="How many at once; each sends its next request when it has its answer.",
)
@click.option(
    "--duration",
    callback=_seconds,
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Of each measurement, after a warm-up of a tenth of it.",
)
@click.option("--examples", "all_examples", is_flag=True, help="Send all examples in turn, not the first.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    metavar="N",
    help="Also send so many requests a second, whether or not answers come; say what carries them.",
)
@click.option("--latency", callback=_seconds, metavar="TIME", help="What 99 of 100 requests may take.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw it: a .html, or a .png (by matplotlib).",
)
@options.json
@options.environment
def bench(
    output: Output,
    environment: Environment,
    connections: tuple[int, ...],
    duration: float,
    all_examples: bool,
    rate: float | None,
    latency: float | None,
    plot: Path | None,
) -> int:
    """Put load on the endpoint and say how much it carries.

    Throughput, latency, errors, the workers' memory, and by a queueing model how many of which instance a
    --rate within a --latency takes. Ctrl-C shows what was measured so far.
    """
    from hotfire.bench import session
    from hotfire.bench.generator import Stage
    from hotfire.bench.requests import preparing

    _check(environment, plot)
    examples = _examples(environment, all_examples)
    deploying = deployer(output, environment)
    _try_out(environment, deploying, examples)
    client = interruptible(environment).runtime_client()
    stages = [Stage(count, duration) for count in connections]
    stages += [Stage(max(connections), duration, rate)] if rate is not None else []
    measured, whole = session.run(
        preparing(client, environment.model_name, [example.request for example in examples]),
        stages,
        lambda stage: _say_begun(output, stage),
    )
    if not measured:
        output.note("Nothing was measured: the first measurement had not begun.")
        return INTERRUPTED
    report = Report(output, environment, hosts_of(environment), measured)
    report.show(", ".join(example.name for example in examples), rate, latency, whole)
    if plot is not None:
        _plot(output, plot, environment, report.outcomes)
    return 0 if whole else INTERRUPTED


class Report:
    """What was measured and what it means, for people and for programs."""

    def __init__(
        self, output: Output, environment: Environment, hosts: Hosts, measured: Sequence[Measured]
    ) -> None:
        from hotfire.bench.session import outcome

        self._output, self._environment, self._hosts = output, environment, hosts
        self._measured = measured
        self.outcomes = [outcome(one) for one in measured]

    def show(self, examples: str, rate: float | None, latency: float | None, whole: bool) -> None:
        """All of it."""
        where = "in the local region" if self._environment.is_local else f"at {self._environment.name}"
        self._output.say(f"{self._environment.model_name} {where}, by {examples}")
        for line in _table(self.outcomes):
            self._output.say(f"  {line}")
        for line in [*self._memory(), *self._doubts()]:
            self._output.say(line)
        sizing = self._size(rate, latency)
        if not whole:
            self._output.note("Interrupted: this is what was measured so far.")
        self._output.result(
            {
                "endpoint": self._environment.model_name,
                "environment": self._environment.name,
                "examples": examples.split(", "),
                "interrupted": not whole,
                "measurements": [_values(one) for one in self.outcomes],
                "workers": self._hosts.footprints or None,
                "sizing": sizing,
            }
        )

    def _memory(self) -> Iterator[str]:
        footprints = self._hosts.footprints
        if footprints is None:
            yield "The workers' memory is not known: SageMaker does not say; CloudWatch has the instance's."
        elif footprints:
            resident = max(one["resident"] for one in footprints)
            own = max(one["own"] for one in footprints)
            count = "1 worker" if len(footprints) == 1 else f"{len(footprints)} workers"
            yield f"{count}, {size(resident)} of memory at most, of which {size(own)} its own."

    def _doubts(self) -> Iterator[str]:
        for one in self.outcomes:
            if one.is_near_limit:
                yield (
                    f"{one.name}: the load generator itself was near its limit ({one.busy:.0%} of a "
                    f"processor, {_ms(one.late)} late at p99): the endpoint may do better than this says."
                )
        if self._environment.is_local and not self._environment.on_ray:
            yield "The load and the endpoint share this machine's processors."

    def _size(self, rate: float | None, latency: float | None) -> dict[str, Any] | None:
        """Say what it means; the same for programs."""
        from hotfire.bench import sizing

        if self._environment.serverless is not None and not self._environment.is_local:
            return None
        workers = self._hosts.workers
        if workers is None:
            self._output.say(
                f"How many instances a load takes is not reckoned: {_unknown(self._environment)}."
            )
            return None
        found = sizing.service(self._measured, workers)
        if found is None:
            return None
        each = max(workers // self._hosts.instances, 1)
        alone = sizing.carried(found, latency, each)
        within = f"p99 within {_ms(latency)}" if latency else f"at {sizing.BUSIEST:.0%} of its time"
        self._output.say()
        self._output.say(
            f"An instance with {_count(each, 'worker')} as here carries {alone:,.0f}/s, {within}."
        )
        values = {"service_seconds": found.mean, "workers": each, "carried": alone}
        if rate is None:
            self._output.say("  → --rate N and --latency TIME say how many instances that takes.")
            return values
        target = sizing.Target(rate, latency)
        fleets = self._fleets(found, target, each)
        self._say_checked(found, rate, workers)
        self._say_fleets(fleets, target)
        kinds = [one.instance_type for one in fleets[:_MOST_SHOWN]]
        stands_on = sizing.assumptions(found, workers, kinds, is_here=self._environment.is_local)
        self._output.say("This assumes:")
        for text in stands_on:
            self._output.say(f"  - {text}")
        return {
            **values,
            "rate": rate,
            "latency": latency,
            "fleets": [{**asdict(one), "as_of": one.as_of and str(one.as_of)} for one in fleets],
            "assumptions": list(stands_on),
        }

    def _fleets(self, found: Service, target: Target, workers: int) -> tuple[Fleet, ...]:
        from hotfire.bench import sizing

        if self._environment.is_local:
            largest = max((one["resident"] for one in self._hosts.footprints or ()), default=0)
            return sizing.candidates(found, target, largest, self._environment.region or _PRICES_OF)
        kind = self._environment.instance_type or ""
        one = sizing.fleet(found, target, kind, workers, self._environment.region or "")
        return () if one is None else (one,)

    def _say_checked(self, found: Service, rate: float, workers: int) -> None:
        """Hold the model against what was measured at that rate."""
        from hotfire.bench import sizing

        tried = next((one for one in self.outcomes if one.stage.rate == rate and one.latencies), None)
        if tried is None or tried.latencies is None:
            return
        instances = self._hosts.instances
        expected = sizing.expected(found, rate, instances, max(workers // instances, 1))
        text = _ms(expected) if math.isfinite(expected) else "a queue that grows without end"
        self._output.say(
            f"At {rate:g}/s p99 was {_ms(tried.latencies.percentile(99))} here; the model says {text}."
        )

    def _say_fleets(self, fleets: Sequence[Fleet], target: Target) -> None:
        wanted = f"{target.rate:g}/s" + (f" with p99 within {_ms(target.latency)}" if target.latency else "")
        if not fleets:
            self._output.say(f"For {wanted}: no number of instances does it; a request alone takes too long.")
            return
        self._output.say(f"For {wanted}:")
        for one in fleets[:_MOST_SHOWN]:
            price = "price not known"
            if one.usd is not None and one.usd_a_month is not None:
                price = f"${one.usd:.2f} an hour, ${one.usd_a_month:,.0f} a month"
            self._output.say(
                f"  {one.count} × {one.instance_type:<15} {_count(one.workers, 'worker')} each, "
                f"{one.utilization:.0%} busy, p99 {_ms(one.p99)}, {price}"
            )
        if fleets[0].as_of is not None:
            place = self._environment.region or _PRICES_OF
            self._output.say(f"  Prices of {place} as of {fleets[0].as_of:%B %Y}, for orientation.")


def _check(environment: Environment, plot: Path | None) -> None:
    from hotfire.bench.plot import check

    if environment.async_ is not None or "AsyncInferenceConfig" in environment.endpoint_config:
        message = f"{environment.model_name} queues its requests: it has `async:`"
        raise UsageError(message, "Bench an environment without it.")
    if plot is not None:
        check(plot)


def _examples(environment: Environment, every: bool) -> list[Example]:
    from hotfire.examples import load

    found = load(environment.examples)
    if not found:
        advice = 'Write one: {"request": {"body": …}, "expect": {"status": 200}}.'
        raise ProjectError(f"there are no examples in {environment.examples}", advice)
    return list(found) if every else [found[0]]


def _try_out(environment: Environment, deploying: Deployer, examples: Sequence[Example]) -> None:
    """That the endpoint answers these requests at all."""
    for example in examples:
        with explained(environment, deploying):
            answer = deploying.ask(example.request)
        if not 200 <= answer.status < 300:
            message = f"the example {example.name} is answered with status {answer.status}"
            raise HotfireError(message, "`hotfire test` shows the answer; a load of errors says little.")


def hosts_of(environment: Environment) -> Hosts:
    """What answers for an environment, as far as the region or the settings tell."""
    from hotfire import address

    if environment.is_local:
        region = address.find(home())
        given = {"endpoint": environment.model_name}
        found = [] if region is None else region.call("POST", "/_hotfire/workers", given)
        return Hosts(len(found) or None, 1, tuple(found))
    each, count = _workers_at_aws(environment), max(environment.instance_count, 1)
    return Hosts(each and each * count, count)


def _workers_at_aws(environment: Environment) -> int | None:
    """How many an instance has: as many as it is told, or one for each processor; of Ray, its replicas."""
    from hotfire.instance_types import vcpus
    from hotfire.ray_settings import fixed_replicas

    if environment.serving == "ray":
        return fixed_replicas(environment)
    given = environment.container_env.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")
    return int(given) if given.isdigit() and int(given) else vcpus(environment.instance_type or "")


def _unknown(environment: Environment) -> str:
    """Why the number of workers is not known."""
    if environment.on_ray:
        return "replicas of a Ray cluster share its nodes"
    if environment.serving == "ray" and not environment.is_local:
        return "Ray Serve has as many replicas as the load takes"
    return "it is not known how many workers answered"


def _say_begun(output: Output, stage: Stage) -> None:
    what = (
        f"{stage.rate:g} requests a second"
        if stage.rate is not None
        else _count(stage.connections, "connection")
    )
    text = f"  {what} for {stage.seconds:g} s …"
    if output.is_watched:
        output.live(text)
    else:
        output.note(text)


def _plot(output: Output, file: Path, environment: Environment, outcomes: Sequence[Outcome]) -> None:
    from hotfire.bench.plot import write

    try:
        write(file, f"hotfire bench: {environment.model_name} ({environment.name})", outcomes)
    except OSError as error:
        raise HotfireError(f"--plot: {file} cannot be written: {error.strerror}") from error
    output.say(f"Drawn in {file}")


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    names = [f"p{percent}" for percent in _PERCENTILES]
    yield f"{'load':>11} {'answers/s':>11}" + "".join(f"{name:>11}" for name in [*names, "max"]) + "  errors"
    for one in outcomes:
        times = ["-"] * 4
        if one.latencies is not None:
            found = one.latencies
            times = [_ms(found.percentile(percent)) for percent in (*_PERCENTILES, 100)]
        errors = ", ".join(f"{count} × {kind}" for kind, count in one.errors.items()) or "none"
        yield (
            f"{one.name:>11} {one.throughput:>11,.1f}"
            + "".join(f"{text:>11}" for text in times)
            + f"  {errors}"
        )


def _values(one: Outcome) -> dict[str, Any]:
    found = one.latencies
    latency = None
    if found is not None:
        latency = {f"p{percent}": found.percentile(percent) for percent in _PERCENTILES}
        latency |= {"max": found.percentile(100), "mean": found.mean}
    return {
        "connections": one.stage.connections,
        "rate": one.stage.rate,
        "seconds": one.stage.seconds,
        "requests": (len(found.sorted) if found else 0) + sum(one.errors.values()),
        "throughput": one.throughput,
        "latency": latency,
        "errors": dict(one.errors),
        "generator": {"busy": one.busy, "late": one.late, "near_limit": one.is_near_limit},
    }


def _ms(seconds: float) -> str:
    """A latency for people, in three digits: `0.85 ms`, `12.3 ms`, `1.20 s`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    digits = 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{digits}f} ms"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
