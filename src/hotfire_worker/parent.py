"""A process that forks others and says when they end."""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
from typing import Callable, List, NoReturn, Set

from hotfire_worker.lifeline import die_with
from hotfire_worker.wire import Channel, Header

Handle = Callable[[Header, List[int]], None]


class Parent:
    """Obeys the commands of a channel, forks children, reports each one's end.

    Forks happen on the main thread only (`lifeline` says why). A child keeps nothing of its parent's: the
    channel and the wake-up sockets are closed, the signals are as at the start of a program.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._children: Set[int] = set()
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def run(self, handle: Handle) -> None:
        """Handle commands until the channel's other end is gone."""
        while True:
            ready, _, _ = select.select([self._channel.fileno(), self._wake.fileno()], [], [])
            if self._wake.fileno() in ready:
                self._wake.recv(4096)
                self._report_ends()
            if self._channel.fileno() in ready:
                received = self._channel.receive_command()
                if received is None:
                    return
                handle(*received)

    def fork(self, child: Callable[[], None], descriptors: List[int]) -> int:
        """Run `child` in a forked process, which ends with it; its descriptors are closed here."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(parent, child)
        self._children.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return pid

    def _become(self, parent: int, child: Callable[[], None]) -> NoReturn:
        status = 1
        try:
            self.retire()
            self._channel.close()
            die_with(parent)
            child()
            status = 0
        except BaseException:  # noqa: BLE001  # whatever it is, it must not run on in a copy of the parent
            traceback.print_exc()
        finally:
            _exit(status)

    def retire(self) -> None:
        """Fork no more: leave the signals as they are at the start of a program."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._wake.close()
        self._waker.close()

    def _report_ends(self) -> None:
        # Only our own children: a handler may wait for programs that it started itself.
        for child in list(self._children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                self._children.discard(pid)
                self._channel.send({"event": "end", "pid": pid, "status": status})


def settle() -> None:
    """Put what is loaded out of the garbage collector's reach, so that children share its pages."""
    gc.collect()
    gc.freeze()


def _exit(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
