"""The zygote's program: `python -c LAUNCHER PACKAGE DESCRIPTOR PARENT PRELOAD…`."""

import sys

from hotfire_worker.zygote import main as zygote


def main() -> None:
    """Become the zygote that the command line describes."""
    _, _, descriptor, parent, *preload = sys.argv
    zygote(int(descriptor), int(parent), preload)


if __name__ == "__main__":
    main()
