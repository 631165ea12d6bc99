"""The program `hotfire`, also `python -m hotfire`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; the exit code."""
    try:
        # Imported here: Ctrl-C may come at any moment, also before there is a command.
        from hotfire.cli.root import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
