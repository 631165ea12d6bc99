"""A folder for as long as one server runs, in the place for temporary files.

A server that is killed cannot clear up after itself: the next one does, as the lock in the folder tells it
that nobody is there any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

_PREFIX = "hotfire-serve-"
_LOCK = "lock"


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder, which is gone in the end, as are those of servers that were killed."""
    _clear_up()
    with ExitStack() as stack:
        folder = _made(stack)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _made(stack: ExitStack) -> Path:
    """A folder whose lock is ours until the stack ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = stack.enter_context((folder / _LOCK).open("w"))
        # Another server that is just starting may have taken it for one of a server that was killed.
        if _taken(lock) and (folder / _LOCK).exists():
            return folder


def _clear_up() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is another user's, or somebody else has just removed it
            if folder.lstat().st_uid == os.getuid():
                with (folder / _LOCK).open("r+") as lock:
                    if _taken(lock):
                        shutil.rmtree(folder, ignore_errors=True)


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
