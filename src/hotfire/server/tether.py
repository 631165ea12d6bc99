"""A region that ends with the program that began it, however that ends, and leaves nothing behind.

Also that region's own program: `python -m hotfire.server.tether PID HOME`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from hotfire.address import Address
from hotfire.server import daemon

_SECONDS_BETWEEN_LOOKS = 0.2
_ANY_FREE_PORT = 0


def start() -> Address:
    """A region of this process's own, on a free port, over a new folder in the place for temporary files.

    Raises RegionError if it does not come up.
    """
    home = Path(tempfile.mkdtemp(prefix="hotfire-"))
    try:
        program = ["hotfire.server.tether", str(os.getpid()), str(home)]
        return daemon.launch(home, program, _ANY_FREE_PORT)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def stop(region: Address) -> None:
    """End a region of this process's own, with its folder."""
    try:
        daemon.stop(region.home)
        with suppress(ChildProcessError):
            os.waitpid(region.pid, 0)
    finally:
        shutil.rmtree(region.home, ignore_errors=True)


def main(parent: int, home: Path) -> None:
    """Be the region, until it is stopped or its parent is gone."""
    # Until the server takes the signal: to be ended early leaves nothing either.
    signal.signal(signal.SIGTERM, _exit)
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        daemon.run(home, _ANY_FREE_PORT)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _end_with(parent: int) -> None:
    # A pipe would tell at once, but processes that the parent forked may hold it open.
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)


def _exit(*_: Any) -> None:
    sys.exit()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
