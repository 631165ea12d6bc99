"""`hotfire parity`: the same requests to several environments, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotfire.cli import options
from hotfire.cli.deployment import deployer, explained
from hotfire.cli.output import Output
from hotfire.deploy_env import SERVING
from hotfire.environment import Environment
from hotfire.errors import HotfireError, ProjectError, Unreachable, UsageError

if TYPE_CHECKING:
    from hotfire.deploy import Deployer
    from hotfire.examples import Answer, Example, ExampleRequest
    from hotfire.parity import Finding, Refused, Reply, Row, Side

_INSTEAD = "Name one of them, or `http://127.0.0.1:8080` for a container."


@click.command()
@click.argument("sides", nargs=-1, metavar="SIDE SIDE [SIDE]...")
@click.option("--example", "names", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option(
    "--journal",
    "recorded",
    type=click.IntRange(1),
    metavar="N",
    help="Send the last N different requests that the first side's endpoint got, in place of the examples.",
)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="Take the time of N requests, after one that warms up; the median is shown.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    callback=lambda _context, _option, value: _tolerance(value),
    metavar="X",
    help="How far numbers may be apart, absolutely or relatively; else as each example says, else 0.0001.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The config.yml; else the nearest, here or in a folder above.",
)
@options.json
def parity(
    output: Output,
    sides: tuple[str, ...],
    names: tuple[str, ...],
    recorded: int | None,
    repeat: int,
    tolerance: float | None,
    config: Path | None,
) -> int:
    """Send the examples to several environments and compare their answers.

    A SIDE is an environment of config.yml, or http://HOST:PORT of a container, such as `hotfire serve` or
    `docker run -p HOST:PORT:8080 IMAGE serve`. The first is what the others are compared with: status,
    content type, body by value. Exits 1 if an answer differs or a side cannot be reached.
    """
    from hotfire.cli.side_by_side import Table
    from hotfire.parity import Parity

    if len(sides) < 2:
        message = f"{len(sides) or 'No'} side is named, and one is compared with another."
        raise UsageError(message, "Name two or more, such as `hotfire parity local production`.")
    environments = _environments(output, sides, config)
    if recorded is not None:
        _check_recording(sides[0], environments.get(sides[0]), names)
    asked = [_side(output, side, environments.get(side)) for side in sides]
    _check_names([side.name for side in asked])
    first = next(iter(environments.values()))
    examples = _examples(first, names) if recorded is None else _recorded(output, first, recorded)
    comparing = Parity(asked, repeat=repeat, tolerance=tolerance)
    called = [side.name for side in asked]
    what = "examples" if recorded is None else "requests"
    table, rows = Table(output, called, [example.name for example in examples], what), []
    table.begin()
    for row in comparing.rows(examples):
        table.show(row)
        rows.append(row)
    table.close(rows, comparing.down)
    passed = not comparing.down and all(row.is_same for row in rows)
    output.result({"passed": passed, **_results(called, rows, comparing.down)})
    return 0 if passed else 1


class _Deployed:
    """The endpoint of an environment."""

    def __init__(self, environment: Environment, deploying: Deployer) -> None:
        self.name = environment.name
        self._environment, self._deploying = environment, deploying

    def ask(self, request: ExampleRequest) -> Answer:
        """What the endpoint answers. Raises Unreachable, or DeployError if it serves and refuses this."""
        try:
            with explained(self._environment, self._deploying):
                return self._deploying.ask(request)
        except HotfireError as error:
            if self._serves():
                raise
            raise Unreachable(error.message, error.advice) from error

    def _serves(self) -> bool:
        try:
            return self._deploying.status().state in SERVING
        except HotfireError:
            return False


def _tolerance(value: float | None) -> float | None:
    """As an example's own is held. Raises BadParameter for what click's range lets pass."""
    from hotfire.comparison import is_tolerance

    if value is not None and not is_tolerance(value):
        raise click.BadParameter(f"{value} is not a finite number of 0 or more.")
    return value


def _check_names(names: Sequence[str]) -> None:
    """That no side is there twice, in whatever form it was given."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice.", "Name another side to compare it with.")


def _environments(output: Output, sides: Sequence[str], config: Path | None) -> dict[str, Environment]:
    """The environments that are named; where none is, the one whose examples are sent."""
    from hotfire.container_port import is_address
    from hotfire.environment import load

    named = [side for side in sides if not is_address(side)]
    found = {side: load(side, config=config, otherwise=_INSTEAD) for side in named}
    _check_endpoints(list(found.values()))
    if not found:
        one = load(None, config=config)
        found = {one.name: one}
    for note in dict.fromkeys(note for environment in found.values() for note in environment.notes):
        output.note(f"Note: {note}")
    return found


def _check_endpoints(environments: Sequence[Environment]) -> None:
    """That no two are one endpoint, which would be asked twice at once and compared with itself."""
    seen: dict[object, str] = {}
    for one in environments:
        where = () if one.is_local else (one.profile, one.region, one.endpoint_url)
        other = seen.setdefault((one.model_name, where), one.name)
        if other != one.name:
            message = f"The environments {other!r} and {one.name!r} are one endpoint, {one.model_name}."
            raise UsageError(message, f"Give one of them another `model_name` in {one.file}, and deploy it.")


def _examples(environment: Environment, names: Sequence[str]) -> list[Example]:
    from hotfire.examples import load

    found = {example.name: example for example in load(environment.examples)}
    if not found:
        advice = 'Write one: {"request": {"body": …}}.'
        raise ProjectError(f"there are no examples in {environment.examples}", advice)
    for name in names:
        if name not in found:
            near = get_close_matches(name, found, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(found)}."
            raise ProjectError(f"there is no example {name!r} in {environment.examples}", advice)
    return [found[name] for name in dict.fromkeys(names)] or list(found.values())


def _check_recording(side: str, environment: Environment | None, names: Sequence[str]) -> None:
    """That the first side is one whose requests are recorded."""
    if names:
        message = "--example names one of the examples, and --journal sends none of them."
        raise UsageError(message, "Leave one of the two out.")
    if environment is None or not environment.is_local:
        message = f"{side} is not in the local region, which alone records requests."
        raise UsageError(message, "Name first an environment of this machine: `hotfire parity local …`.")


def _recorded(output: Output, environment: Environment, number: int) -> list[Example]:
    """The last requests that the endpoint got in the local region, the oldest first."""
    from hotfire.address import find, not_running
    from hotfire.environment import home
    from hotfire.recorded import examples

    region = find(home())
    if region is None:
        raise not_running()
    found, left_out = examples(region, environment.model_name, number)
    if left_out:
        output.note(
            f"Note: {left_out} of the recorded requests cannot be sent again: they are longer than what is "
            "kept of a body, hold what was masked, or came where `journal: false` is set."
        )
    if not found:
        message = f"no request to {environment.model_name} is recorded that could be sent again"
        raise ProjectError(message, "Send it some, or leave --journal out: then the examples are sent.")
    return found


def _side(output: Output, name: str, environment: Environment | None) -> Side:
    from hotfire.container_port import ContainerPort
    from hotfire.parity import Absent

    if environment is None:
        return ContainerPort(name)
    try:
        return _Deployed(environment, deployer(output, environment))
    except HotfireError as error:
        return Absent(name, error)


def _results(sides: Sequence[str], rows: Sequence[Row], down: Mapping[str, Unreachable]) -> dict[str, object]:
    reached = [{"name": name, "error": _error(down[name]) if name in down else None} for name in sides]
    return {"sides": reached, "examples": [_row(row) for row in rows]}


def _row(row: Row) -> dict[str, object]:
    return {
        "name": row.example,
        "passed": row.is_same,
        "answers": {name: _reply(reply) for name, reply in row.replies.items()},
        "differences": [_finding(finding) for finding in row.findings],
    }


def _reply(reply: Reply | Refused) -> dict[str, object]:
    from hotfire.bodies import value_of
    from hotfire.parity import Refused

    if isinstance(reply, Refused):
        return {"error": _error(reply)}
    answer = reply.answer
    return {
        "status": answer.status,
        "content_type": answer.content_type,
        "body": value_of(answer.content_type, answer.body),
        "seconds": reply.seconds,
        "steady": reply.is_steady,
    }


def _finding(finding: Finding) -> dict[str, object]:
    from dataclasses import asdict

    return {"side": finding.side, "what": finding.what.replace(" ", "_"), **asdict(finding.difference)}


def _error(error: Unreachable | Refused) -> dict[str, str]:
    return {"message": error.message, "advice": error.advice}
