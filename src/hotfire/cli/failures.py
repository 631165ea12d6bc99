"""Every way in which a command can fail, told and turned into an exit code at this one place."""

from __future__ import annotations

import errno
import sys

import click

from hotfire import __version__
from hotfire.cli.output import CLOSED_PIPE, Output, OutputClosed, forget_streams
from hotfire.errors import HotfireError

USAGE, BUG, INTERRUPTED = 2, 70, 130

_OF_THE_SYSTEM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""What the system refuses whoever asks: not a fault of ours."""


def told(error: BaseException, output: Output) -> int:
    """Say what happened; the exit code."""
    try:
        return _told(error, output)
    except (OutputClosed, BrokenPipeError):
        forget_streams()
        return CLOSED_PIPE


def _told(error: BaseException, output: Output) -> int:
    match error:
        case click.exceptions.Exit(exit_code=code):
            return int(code)
        case OutputClosed() | BrokenPipeError():
            forget_streams()
            return CLOSED_PIPE
        case click.UsageError():
            output.error(error.format_message().rstrip("."), _usage_advice(error))
            return USAGE
        case KeyboardInterrupt() | click.Abort():
            output.note("")
            output.error("Interrupted.", output.if_interrupted)
            return INTERRUPTED
        case HotfireError():
            output.error(error.message, error.advice)
            return error.exit_code
        case OSError(errno=number) if number in _OF_THE_SYSTEM:
            output.error(f"{error.filename or 'Writing'}: {error.strerror}")
            return HotfireError.exit_code
    return _bug(error, output)


def _usage_advice(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "hotfire"
    return f"`{path} --help` says how it is used."


def _bug(error: BaseException, output: Output) -> int:
    from traceback import format_exception

    output.note("".join(format_exception(error)).rstrip())
    advice = "Please report it, with the lines above, to the project's issue tracker."
    output.error(f"This is a bug in Hotfire {__version__} (Python {sys.version.split()[0]}).", advice)
    return BUG
