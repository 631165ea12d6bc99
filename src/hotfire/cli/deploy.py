"""`hotfire deploy`, `rollback` and `delete`: what changes an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hotfire.cli import options
from hotfire.cli.check import check_before
from hotfire.cli.deployment import (
    command,
    deployer,
    page,
    show_verdict,
    told_if_interrupted,
    verdict_values,
)
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment
from hotfire.errors import UsageError

if TYPE_CHECKING:
    from hotfire.deploy import Deployer
    from hotfire.deployment import Deployment

CHANGES = 3
"""The exit code of a dry run that finds something to do."""

_MARKS = {
    **dict.fromkeys(("create", "upload", "build", "push", "lock"), "+"),
    **dict.fromkeys(("delete", "end"), "-"),
}
"""What a step does, by its first word, to one who reads down a plan; others change something."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done; exits 3 if there is something to do.")
@click.option("--adopt", is_flag=True, help="Take over an endpoint that is not this project's.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Deploy this model.tar.gz, byte for byte, in place of the project's files.",
)
@click.option("--yes", is_flag=True, help="Do not ask before something is to be paid for.")
@options.json
@options.environment
def deploy(
    output: Output,
    environment: Environment,
    dry_run: bool,
    adopt: bool,
    archive: Path | None,
    yes: bool,
) -> int:
    """Deploy the project, to this machine if no other environment is named.

    Starts the local region if it is not up. Ends by sending the examples, also where nothing has changed;
    exits 1 if one fails. At AWS the plan is shown first, and a new endpoint, other instances or more of them
    are asked for.
    """

    def agree(planned: Deployment) -> None:
        if not environment.is_local:
            _show_steps(output, planned)
        if planned.cost and not yes:
            _ask_to_pay(output, planned)

    verb, preposition = ("Planning", "for") if dry_run else ("Deploying", "to")
    doing = f"{verb} {environment.model_name} {preposition} {environment.name}"
    if archive is None:
        check_before(output, environment)
    deploying = _begun(output, environment, doing, start=True)
    with told_if_interrupted(output, environment, deploying):
        done = deploying.deploy(dry_run=dry_run, adopt=adopt, archive=archive, agree=agree)
    if dry_run:
        return _show_plan(output, environment, done)
    _show(output, environment, done)
    return 0 if done.passed else 1


@click.command()
@options.json
@options.environment
def rollback(output: Output, environment: Environment) -> None:
    """Go back to the version before.

    The last three that served are kept, so this can be done again.
    """
    doing = f"Rolling {environment.model_name} back in {environment.name}"
    deploying = _begun(output, environment, doing)
    with told_if_interrupted(output, environment, deploying):
        done = deploying.rollback()
    output.say(f"{done.endpoint} is in service after {duration(done.seconds)}, as {done.config}")
    output.result(_values(done, None))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.json
@options.environment
def delete(output: Output, environment: Environment, yes: bool) -> None:
    """Delete the endpoint and all that was made for it.

    That is the endpoint with its configs and models, and at AWS what was uploaded for them; the project's
    files stay as they are.
    """
    name = environment.model_name
    question = f"Delete the endpoint {name} of {environment.name} with all its versions?"
    if not yes and not output.can_ask:
        raise UsageError("There is nobody here to be asked whether to delete it.", "Say so by `--yes`.")
    deploying = _begun(output, environment, "")
    if not yes:
        _confirm(output, question, "Nothing was deleted.")
    done = deploying.delete()
    output.say(f"{name} is deleted." if done else f"There is no endpoint {name} in {environment.name}.")
    output.result({"endpoint": name, "calls": list(done)})


def _begun(output: Output, environment: Environment, doing: str, *, start: bool = False) -> Deployer:
    """The environment's Deployer, when it was said what it is to do: at AWS, first of all for whom.

    With `start` it may begin something: the local region is brought up, settings are checked.
    """
    if environment.is_local and doing:
        output.step(doing)
    deploying = deployer(output, environment, start=start)
    if not environment.is_local:
        if start:
            deploying.check()
        for line in filter(None, (deploying.introduction(), doing)):
            output.step(line)
    return deploying


def _confirm(output: Output, question: str, otherwise: str) -> None:
    if not click.confirm(question, err=True):
        output.note(otherwise)
        raise click.exceptions.Exit(1)


def _ask_to_pay(output: Output, planned: Deployment) -> None:
    if not output.can_ask:
        message = f"This is to be paid for: {planned.cost}; and there is nobody here to be asked."
        raise UsageError(message, "Say by `--yes` that it is meant. Nothing was changed.")
    _confirm(output, f"This is to be paid for: {planned.cost}. Go on?", "Nothing was changed.")


def _show_steps(output: Output, planned: Deployment) -> None:
    for text in planned.plan.kept:
        output.step(f"  = {text}")
    for text in planned.texts:
        output.step(f"  {_MARKS.get(text.partition(' ')[0], '~')} {text}")


def _show_plan(output: Output, environment: Environment, done: Deployment) -> int:
    if environment.is_local:
        for text in done.texts:
            output.say(f"  would {text}")
    else:
        _show_steps(output, done)
    if done.cost:
        output.say(f"To be paid for: {done.cost}.")
    output.say(f"{len(done.texts)} to do." if done.changed else f"{done.endpoint} is as it should be.")
    output.result(_values(done, None))
    return CHANGES if done.changed else 0


def _show(output: Output, environment: Environment, done: Deployment) -> None:
    if not done.changed:
        output.say(f"{done.endpoint} is up to date: nothing has changed since it was deployed.")
    for verdict in done.verdicts:
        show_verdict(output, verdict)
    if done.changed:
        output.say(f"{done.endpoint} is in service after {duration(done.seconds)}.")
    link = page(environment, done.url)
    _show_next(output, environment, done, link)
    output.result(_values(done, link))


def _show_next(output: Output, environment: Environment, done: Deployment, link: str | None) -> None:
    failed = sum(not verdict.passed for verdict in done.verdicts)
    if failed:
        from hotfire.hints import advice as hint

        back = f"{command(environment, 'rollback')} goes back to the version before." if done.previous else ""
        output.note(
            f"{output.paint('Error:', fg='red', bold=True)} {failed} of {len(done.verdicts)} examples failed"
        )
        again = f"Mend the handler, and {command(environment, 'deploy')} again."
        if done.cause:
            output.note(f"  The container printed: {done.cause}")
        logs = f"{command(environment, 'logs')} shows what the container printed."
        advice = (hint(done.cause), back or again, logs if environment.has_image else "")
        output.note(f"  → {' '.join(filter(None, advice))}")
        return
    output.say("")
    if link:
        output.say(f"  page           {link}")
    option = "" if environment.name == "local" else f" --env {environment.name}"
    output.say(f"  hotfire test{option}   sends the examples again")
    output.say(f"  hotfire logs{option}   shows what the model prints")


def _values(done: Deployment, link: str | None) -> dict[str, object]:
    return {
        "endpoint": done.endpoint,
        "config": done.config,
        "model": done.model,
        "sha256": done.sha256,
        "changed": done.changed,
        "previous": done.previous,
        "calls": list(done.texts),
        "cost": done.cost,
        "examples": [verdict_values(verdict) for verdict in done.verdicts],
        "passed": done.passed,
        "cause": done.cause,
        "seconds": done.seconds,
        "url": link or done.url,
    }
