"""`hotfire test` and `invoke`: requests to an endpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotfire.cli import options
from hotfire.cli.deployment import deployer, explained, show_verdict, verdict_values
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment
from hotfire.errors import HotfireError, ProjectError, UsageError

if TYPE_CHECKING:
    from hotfire.deployment import Trial
    from hotfire.examples import Answer, ExampleRequest

_JSON = "application/json"
_CONTENT_TYPES = {
    ".json": _JSON,
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
}
"""Of a file's contents, by the end of its name, as SageMaker's own serializers call them."""


@click.command()
@click.option("--accept", is_flag=True, help="Make the answers what the examples expect, after showing them.")
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the results there too, as JUnit XML.",
)
@options.json
@options.environment
def test(output: Output, environment: Environment, accept: bool, junit: Path | None) -> int:
    """Send the examples to the endpoint and compare its answers.

    Exits 1 if one fails. A `value` that differs is shown, and fails only where the example is strict.
    """
    deploying = deployer(output, environment)
    with explained(deploying):
        trials = deploying.run_examples()
    if not trials:
        advice = 'Write one: {"request": {"body": …}, "expect": {"status": 200}}.'
        raise ProjectError(f"there are no examples in {environment.examples}", advice)
    for trial in trials:
        show_verdict(output, trial.verdict)
    failed = sum(not trial.verdict.passed for trial in trials)
    if junit is not None:
        _write_junit(junit, trials, environment.model_name)
    accepted = _accept(output, trials) if accept else []
    if not accept:
        output.say(f"{len(trials) - failed} of {len(trials)} examples pass.")
    output.result(_results(environment, trials, accepted))
    return 0 if accept or not failed else 1


@click.command()
@click.option("-d", "--data", metavar="DATA", help="The request's body.")
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file with the body; - for standard input.",
)
@click.option("--content-type", metavar="TYPE", help=f"Of the body; else as FILE's name says, else {_JSON}.")
@click.option("--accept", metavar="TYPE", help="What the answer is to be.")
@options.json
@options.environment
def invoke(
    output: Output,
    environment: Environment,
    data: str | None,
    file: Path | None,
    content_type: str | None,
    accept: str | None,
) -> int:
    """Send one request to the endpoint.

    Without -d and -f it is what standard input holds, else the first example. The answer's body goes to
    standard output as it came, its status and time to standard error.
    """
    if data is not None and file is not None:
        raise UsageError("Both -d and -f are given.", "Give one of them.")
    request = _request(output, environment, data, file)
    deploying = deployer(output, environment)
    with explained(deploying):
        answer = deploying.invoke(
            request.body, content_type or request.content_type, accept or request.accept
        )
    output.note(f"{answer.status} {answer.content_type} {duration(answer.seconds)}")
    return _show_answer(output, answer)


def _accept(output: Output, trials: Sequence[Trial]) -> list[str]:
    from hotfire import examples

    accepted = [trial.example.name for trial in trials if examples.accept(trial.example, trial.answer)]
    output.say(f"Accepted: {', '.join(accepted)}." if accepted else "There was nothing new to accept.")
    return accepted


def _write_junit(file: Path, trials: Sequence[Trial], suite: str) -> None:
    from hotfire.junit import junit

    text = junit([trial.verdict for trial in trials], suite)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    except OSError as error:
        raise HotfireError(f"--junit: {file} cannot be written: {error.strerror}") from error


def _results(environment: Environment, trials: Sequence[Trial], accepted: list[str]) -> dict[str, object]:
    values = [{**verdict_values(trial.verdict), "status": trial.answer.status} for trial in trials]
    return {
        "endpoint": environment.model_name,
        "passed": all(trial.verdict.passed for trial in trials),
        "examples": values,
        "accepted": accepted,
    }


def _request(output: Output, environment: Environment, data: str | None, file: Path | None) -> ExampleRequest:
    from hotfire.examples import ExampleRequest, load

    if data is not None:
        return ExampleRequest(data.encode("utf-8", "surrogateescape"))
    if file is not None and str(file) != "-":
        return ExampleRequest(_read(file), _CONTENT_TYPES.get(file.suffix.lower(), _JSON))
    if file is not None or not sys.stdin.isatty():
        body = sys.stdin.buffer.read()
        if body or file is not None:
            return ExampleRequest(body)
    found = load(environment.examples)
    if not found:
        message = f"there is nothing to send: no -d, no -f, no example in {environment.examples}"
        raise UsageError(message, "Give the request's body by -d DATA or -f FILE.")
    output.note(f"Sending the example {found[0].name}")
    return found[0].request


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise HotfireError(f"-f: {file} cannot be read: {error.strerror}") from error


def _show_answer(output: Output, answer: Answer) -> int:
    passed = 200 <= answer.status < 300
    if not passed:
        output.note(_message(answer))
    elif not output.as_json:
        _show_body(output, answer)
    output.result(
        {
            "status": answer.status,
            "content_type": answer.content_type,
            "seconds": answer.seconds,
            "body": answer.value,
        }
    )
    return 0 if passed else 1


def _show_body(output: Output, answer: Answer) -> None:
    if not output.is_terminal:
        output.body(answer.body)
        return
    value: Any = answer.value
    if isinstance(value, str):
        output.say(value.removesuffix("\n"))
    elif isinstance(value, dict) and set(value) == {"base64"}:
        output.note(f"{len(answer.body):,} bytes that are no text: `> FILE` keeps them.")
    else:
        output.say(json.dumps(value, indent=2, ensure_ascii=False))


def _message(answer: Answer) -> str:
    """What the container says went wrong, with the traceback."""
    value = answer.value
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return answer.body.decode("utf-8", "replace")
