"""The processes of a region, in its store, so that the next region can end what this one leaves."""

from __future__ import annotations

import contextlib

from hotfire.region.store import Process, Store


class Census:
    """Writes down which processes were started and which have ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closed = False

    def born(self, pid: int, kind: str) -> None:
        """A process was started that leads a group."""
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            self._store.add_process(Process(pid, psutil.Process(pid).create_time(), "", kind))

    def died(self, pid: int) -> None:
        """A process has ended."""
        if not self._closed:
            self._store.remove_process(pid)

    def close(self) -> None:
        """All have ended; what is still reported comes too late."""
        self._closed = True
        for process in self._store.processes():
            self._store.remove_process(process.pid)
