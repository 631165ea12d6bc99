"""The files of a project, watched: which folders, and when something in them has changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

_STEP_MS = 10
"""A burst of saves has ended when nothing has changed for so long."""
_LONGEST_BURST_MS = 1000
_LOOK_MS = 50
"""After so long at most it is seen that the watch has begun, or is to end."""


class Listener(Protocol):
    """Is told of changes, on another thread."""

    def changed(self, paths: frozenset[Path]) -> None:
        """Something has happened to these files and folders, which may be gone now."""


class Watch:
    """Watches folders, not those below them, until it is closed."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._folders: frozenset[Path] = frozenset()
        self._end = Event()
        self._thread: Thread | None = None

    def look_at(self, folders: Iterable[Path]) -> bool:
        """Watch these folders and no others; whether they are others than before.

        If so, something may have changed meanwhile.
        """
        wanted = frozenset(folder.resolve() for folder in folders if folder.is_dir())
        if wanted == self._folders:
            return False
        self.close()
        self._folders, self._end = wanted, Event()
        ready = Event()
        self._thread = Thread(target=self._watch, args=(wanted, self._end, ready), daemon=True)
        self._thread.start()
        ready.wait()
        return True

    def close(self) -> None:
        """Watch no more."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, folders: frozenset[Path], end: Event, ready: Event) -> None:
        from watchfiles import watch

        # That it looks is only to be seen when it has looked for the first time.
        for found in watch(
            *folders,
            watch_filter=None,
            debounce=_LONGEST_BURST_MS,
            step=_STEP_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            stop_event=end,
            recursive=False,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            ready.set()
            if found:
                self._listener.changed(frozenset(Path(path) for _, path in found))
        ready.set()
