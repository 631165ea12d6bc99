"""The command `hotfire`: which commands there are, each imported when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from hotfire import __version__
from hotfire.cli.failures import told
from hotfire.cli.output import Output, prepare_streams

COMMANDS: Mapping[str, tuple[str, str]] = {
    "new": ("new", "Make a project in DIR: text classification in PyTorch."),
    "init": ("init", "Make a project of this folder, around a model that you have."),
    "dev": ("dev", "Serve the project in place, and run its examples after every save."),
    "check": ("check", "Say what would fail in production, before a deploy."),
    "deploy": ("deploy", "Deploy the project, to this machine if no other environment is named."),
    "test": ("ask", "Send the examples to the endpoint and compare its answers."),
    "parity": ("parity", "Send the examples to several environments and compare their answers."),
    "invoke": ("ask", "Send one request to the endpoint."),
    "bench": ("bench", "Put load on the endpoint and say how much it carries."),
    "status": ("endpoint", "Show what is deployed."),
    "logs": ("endpoint", "Show what the model printed."),
    "rollback": ("deploy", "Go back to the version before."),
    "delete": ("deploy", "Delete the endpoint and all that was made for it."),
    "pack": ("pack", "Write model.tar.gz."),
    "image": ("image", "Build an image that serves the project by Hotfire."),
    "serve": ("serve", "Serve MODEL, a folder or a model.tar.gz, as SageMaker's container does."),
    "up": ("region", "Start the local region in the background, if it is not up."),
    "down": ("region", "Stop the local region."),
    "env": ("region", "Print the variables that point any AWS client at the local region."),
    "keys": ("keys", "Make, list and revoke keys of the public API."),
    "share": ("share", "Share MODEL's page with the people in your network, until Ctrl-C."),
}
"""Each command with its module and what it does; the module's command object has the command's name."""


class Commands(click.Group):
    """The commands of `COMMANDS`, without importing one until it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        if cmd_name not in COMMANDS:
            return None
        module, help_text = COMMANDS[cmd_name]
        command = getattr(import_module(f"hotfire.cli.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        command.name, command.short_help = cmd_name, help_text
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a word on what may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, by which none is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="hotfire %(version)s")
@click.pass_context
def hotfire(context: click.Context) -> None:
    """Run a SageMaker endpoint for a PyTorch model on this machine, and take the same project to AWS."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    prepare_streams()
    output = Output()
    try:
        with hotfire.make_context("hotfire", list(arguments), obj=output) as context:
            return hotfire.invoke(context) or 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the edge: whatever it is, it is told
        return told(error, output)
