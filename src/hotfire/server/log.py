"""The region's own log, which does not grow for ever."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

NAME = "region.log"
MOST_BYTES = 5_000_000
_OLDER_FILES = 3
_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
_OUTPUT = (1, 2)


class Log(RotatingFileHandler):
    """`region.log`, put aside when it is full; the oldest of those put aside is deleted.

    Where the process prints to that file too, as a region in the background does, it prints to the new one
    from then on.
    """

    def __init__(self, file: Path, most_bytes: int) -> None:
        super().__init__(file, maxBytes=most_bytes, backupCount=_OLDER_FILES, encoding="utf-8")
        self.setFormatter(logging.Formatter(_FORMAT))
        self._printed = [descriptor for descriptor in _OUTPUT if _is(file, descriptor)]

    @property
    def is_printed_to(self) -> bool:
        """Whether what the process prints goes to this file."""
        return bool(self._printed)

    def doRollover(self) -> None:
        """Put the file aside."""
        super().doRollover()
        if self.stream is None:  # it could not be opened, and will be tried again
            return
        for descriptor in self._printed:
            os.dup2(self.stream.fileno(), descriptor)


@contextmanager
def kept(home: Path, most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Write what this process logs to `home`'s log, and to its terminal if it has one."""
    log = Log(home / NAME, most_bytes)
    handlers: list[logging.Handler] = [log]
    if not log.is_printed_to:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(logging.Formatter(_FORMAT))
        handlers.append(shown)
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _is(file: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    return False
