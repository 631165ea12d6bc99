"""Write docs/commands.md from the commands themselves; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hotfire.cli.root import COMMANDS, hotfire

FILE = Path(__file__).parent.parent / "docs" / "commands.md"
HEAD = """\
# Commands

Every command that prints a result takes `--json`. They exit 0 on success, 1 on an error that you can mend
(one line and a next step), a failed example or a difference, 2 on a command line that asks for what cannot
be, 3 when `--dry-run` finds changes, 70 on a bug of ours.
"""


def page() -> str:
    """The page as it should be."""
    # With its settings: a command is asked for help by the options that they name.
    context = click.Context(hotfire, info_name="hotfire", **hotfire.context_settings)
    parts = [HEAD]
    for name in COMMANDS:
        command = hotfire.get_command(context, name)  # type: ignore[attr-defined]
        assert command is not None
        parts += sections(command, name, context)
    return "\n".join(parts)


def sections(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """What a command says of itself, and each of its own commands."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=90, terminal_width=90)
    found = [f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"]
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        assert inner.name is not None
        found += sections(inner, inner.name, context)
    return found


def main() -> None:
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(page())
    elif FILE.read_text() != page():
        sys.exit("docs/commands.md is not what the commands say: run scripts/document_commands.py")


if __name__ == "__main__":
    main()
