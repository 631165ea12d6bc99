"""The program `hotfire`, also `python -m hotfire`."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, and end with its exit code."""
    # A command is short, and botocore's data are many small objects: collecting them, at times and when the
    # process is torn down, takes a third of a second. What runs on turns the collector on again.
    gc.disable()
    try:
        # Imported here: Ctrl-C may come at any moment, also before there is a command.
        from hotfire.cli.root import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
