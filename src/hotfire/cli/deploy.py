"""`hotfire deploy`, `rollback` and `delete`: what changes an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hotfire.cli import options
from hotfire.cli.deployment import deployer, page, show_verdict, told_if_interrupted, verdict_values
from hotfire.cli.output import Output, duration
from hotfire.environment import Environment
from hotfire.errors import UsageError

if TYPE_CHECKING:
    from hotfire.deployment import Deployment

CHANGES = 3
"""The exit code of a dry run that finds something to do."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done; exits 3 if there is something to do.")
@click.option("--adopt", is_flag=True, help="Take over an endpoint that is not this project's.")
@options.json
@options.environment
def deploy(output: Output, environment: Environment, dry_run: bool, adopt: bool) -> int:
    """Deploy the project, to this machine if no other environment is named.

    Starts the local region if it is not up. Ends by sending the examples; exits 1 if one fails.
    """
    verb = "Planning" if dry_run else "Deploying"
    output.step(f"{verb} {environment.model_name} to {environment.name}")
    deploying = deployer(output, environment, start=True)
    with told_if_interrupted(output, deploying):
        done = deploying.deploy(dry_run=dry_run, adopt=adopt)
    if dry_run:
        return _show_plan(output, done)
    _show(output, environment, done)
    return 0 if done.passed else 1


@click.command()
@options.json
@options.environment
def rollback(output: Output, environment: Environment) -> None:
    """Go back to the version before.

    The last three that served are kept, so this can be done again.
    """
    output.step(f"Rolling {environment.model_name} back in {environment.name}")
    deploying = deployer(output, environment)
    with told_if_interrupted(output, deploying):
        done = deploying.rollback()
    output.say(f"{done.endpoint} is in service after {duration(done.seconds)}, as {done.config}")
    output.result(_values(done, None))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.json
@options.environment
def delete(output: Output, environment: Environment, yes: bool) -> None:
    """Delete the endpoint and all that was made for it.

    That is the endpoint with its configs and models; the project's files stay as they are.
    """
    name = environment.model_name
    question = f"Delete the endpoint {name} of {environment.name} with all its versions?"
    if not yes:
        _ask(output, question)
    done = deployer(output, environment).delete()
    output.say(f"{name} is deleted." if done else f"There is no endpoint {name} in {environment.name}.")
    output.result({"endpoint": name, "calls": list(done)})


def _ask(output: Output, question: str) -> None:
    if not output.can_ask:
        raise UsageError("There is nobody here to be asked whether to delete it.", "Say so by `--yes`.")
    if not click.confirm(question, err=True):
        output.note("Nothing was deleted.")
        raise click.exceptions.Exit(1)


def _show_plan(output: Output, done: Deployment) -> int:
    calls = [call.text for call in (*done.plan.calls, *done.plan.afterwards)]
    for text in calls:
        output.say(f"  would {text}")
    output.say(f"{len(calls)} to do." if done.changed else f"{done.endpoint} is as it should be.")
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
        back = "`hotfire rollback` goes back to the version before." if done.previous else ""
        output.note(
            f"{output.paint('Error:', fg='red', bold=True)} {failed} of {len(done.verdicts)} examples failed"
        )
        output.note(f"  → {back or 'Mend the handler, and `hotfire deploy` again.'}")
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
        "calls": [call.text for call in (*done.plan.calls, *done.plan.afterwards)],
        "examples": [verdict_values(verdict) for verdict in done.verdicts],
        "passed": done.passed,
        "seconds": done.seconds,
        "url": link or done.url,
    }
