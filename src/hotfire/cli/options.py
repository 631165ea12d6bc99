"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hotfire.cli.output import Output

Function = Callable[..., Any]


def json(function: Function) -> Function:
    """`--json`; the command's first argument is the Output, which knows of it."""

    def switch(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.ensure_object(Output).as_json |= value

    option = click.option(
        "--json",
        is_flag=True,
        # Before all others, so that an error in another option is told as JSON too.
        is_eager=True,
        expose_value=False,
        callback=switch,
        help="Print the result as JSON.",
    )
    return click.pass_obj(option(function))


def environment(function: Function) -> Function:
    """`--env` and `--config`; the command gets the Environment that they name, as `environment`."""

    @wraps(function)
    def with_environment(output: Output, *, env_name: str | None, config: Path | None, **more: Any) -> Any:
        from hotfire.environment import load

        loaded = load(env_name, config=config)
        for note in loaded.notes:
            output.note(f"Note: {note}")
        return function(output, environment=loaded, **more)

    return naming_environment(with_environment)


def naming_environment(function: Function) -> Function:
    """`--env` and `--config` as they are, as `env_name` and `config`."""
    by_name = click.option(
        "--env",
        "env_name",
        metavar="NAME",
        help="The deployment environment; else that of DEPLOY_ENV, else `local`.",
    )
    by_file = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The config.yml; else the nearest, here or in a folder above.",
    )
    return by_name(by_file(function))
