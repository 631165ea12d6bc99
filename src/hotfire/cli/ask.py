"""`hotfire test` and `invoke`: requests to an endpoint."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotfire.cli import options
from hotfire.cli.deployment import deployer, explained, show_verdict, verdict_values
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment
from hotfire.errors import HotfireError, ProjectError, UsageError
from hotfire.examples import ExampleRequest

if TYPE_CHECKING:
    from hotfire.deferred import Deferred
    from hotfire.deploy import Deployer
    from hotfire.deployment import Trial
    from hotfire.examples import Answer

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
    with explained(environment, deploying):
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
@click.option("--stream", is_flag=True, help="Show the parts of the answer as they come.")
@click.option("--async", "later", is_flag=True, help="Queue the request; say where its answer will be.")
@click.option("--input", "place", metavar="URL", help="With --async: where the request's body is.")
@click.option("--wait", is_flag=True, help="With --async: wait for the answer.")
@options.json
@options.environment
def invoke(
    output: Output,
    environment: Environment,
    data: str | None,
    file: Path | None,
    content_type: str | None,
    accept: str | None,
    stream: bool,
    later: bool,
    place: str | None,
    wait: bool,
) -> int:
    """Send one request to the endpoint.

    Without -d and -f it is what standard input holds, else the first example. The answer's body goes to
    standard output as it came, its status and time to standard error. An endpoint with `async:` in config.yml
    answers when the request's turn comes.
    """
    _check_request(data, file, place)
    _check_manner(environment, stream, later, place is not None or wait)
    request = ExampleRequest(b"") if place else _request(output, environment, data, file)
    request = replace(
        request, content_type=content_type or request.content_type, accept=accept or request.accept
    )
    deploying = deployer(output, environment)
    with explained(environment, deploying):
        if stream:
            return _show_stream(output, *deploying.stream(request))
        if later:
            location = place or _location(environment, file, request)
            return _show_deferred(output, deploying, deploying.hand_in(request, location), wait)
        answer = deploying.ask(request)
    output.note(_summary(answer))
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
    from hotfire.examples import load

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


def _check_request(data: str | None, file: Path | None, place: str | None) -> None:
    """That there is one request on the command line."""
    if data is not None and file is not None:
        raise UsageError("Both -d and -f are given.", "Give one of them.")
    if place is not None and (data is not None or file is not None):
        raise UsageError("--input is given beside -d or -f.", "Give one of them.")


def _check_manner(environment: Environment, stream: bool, later: bool, is_about_later: bool) -> None:
    """That the endpoint answers in the way that is asked for."""
    if stream and later:
        raise UsageError("Both --stream and --async are given.", "An endpoint answers in one of these ways.")
    if is_about_later and not later:
        raise UsageError("--input and --wait are for --async alone.", "Add --async.")
    name = environment.model_name
    is_async = environment.async_ is not None or "AsyncInferenceConfig" in environment.endpoint_config
    if stream and is_async:
        raise UsageError(f"{name} queues its requests: it has `async:`.", "Leave out --stream.")
    if later and not is_async:
        message = f"{name} answers at once: the environment {environment.name!r} has no `async:`."
        raise UsageError(message, "Leave out --async, or add `async: {output: …}` to config.yml and deploy.")


def _location(environment: Environment, file: Path | None, request: ExampleRequest) -> str | None:
    """The address of a file that is too long to be sent along; only a region of this machine can read it."""
    from hotfire.deferred import MOST_INLINE

    if file is None or str(file) == "-" or len(request.body) <= MOST_INLINE or not environment.is_local:
        return None
    return f"file://{file.absolute()}"


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
    output.result(_answer_values(answer))
    return 0 if passed else 1


def _answer_values(answer: Answer) -> dict[str, object]:
    return {
        "status": answer.status,
        "content_type": answer.content_type,
        "seconds": answer.seconds,
        "body": answer.value,
    }


def _summary(answer: Answer) -> str:
    """An answer in a line; a request that did not get to the model has no status."""
    status = str(answer.status) if answer.status else "Failed:"
    return f"{status} {answer.content_type} {duration(answer.seconds)}"


def _show_stream(output: Output, start: Answer, parts: Iterator[bytes]) -> int:
    """The parts as they come; with `--json` the whole answer at its end."""
    if start.status != 200:
        output.note(_summary(start))
        return _show_answer(output, start)
    begun, kept, count, last = time.perf_counter(), bytearray(), 0, b""
    for last in parts:
        count += 1
        if output.as_json:
            kept += last
        else:
            output.body(last)
    if output.is_terminal and not output.as_json and not last.endswith(b"\n"):
        output.say()
    whole = replace(start, body=bytes(kept), seconds=start.seconds + time.perf_counter() - begun)
    output.note(
        f"{_summary(whole)}, {count} part{'' if count == 1 else 's'}, the first {duration(start.seconds)}"
    )
    output.result({**_answer_values(whole), "parts": count, "first_part_seconds": start.seconds})
    return 0


def _show_deferred(output: Output, deploying: Deployer, deferred: Deferred, wait: bool) -> int:
    """Where the outcome of a request will be, or the outcome."""
    if wait:
        answer = deploying.outcome(deferred)
        output.note(_summary(answer))
        return _show_answer(output, answer)
    output.say(f"Queued: {deferred.inference_id}")
    output.say(f"  answer   {deferred.output}")
    if deferred.failure:
        output.say(f"  failure  {deferred.failure}")
    places = {"output": deferred.output, "failure": deferred.failure or None}
    output.result({"inference_id": deferred.inference_id, **places})
    return 0


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
