"""The keyboard of `hotfire dev`: a key does what it does, and a debugger that talks gets whole lines."""

from __future__ import annotations

import codecs
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_WR, socket
from threading import Thread

from hotfire.breakpoints import Breakpoints
from hotfire.cli.output import Output

Actions = Mapping[str, Callable[[], None]]


class Keyboard:
    """A terminal's keys."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._stdin = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._stdin)
        self._debugger: socket | None = None
        self._line = ""

    @contextmanager
    def read(self, actions: Actions) -> Iterator[None]:
        """Have each key do what it does."""
        try:
            tty.setcbreak(self._stdin)
            Thread(target=self._read, args=(actions,), daemon=True).start()
            yield
        finally:
            termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)

    def converse(self, debugger: socket) -> None:
        """Show what a debugger says and give it the lines that are typed, until it ends."""
        text = "  breakpoint: c goes on, q fails the request, h is help"
        self._output.note(self._output.paint(text, bold=True))
        self._line, self._debugger = "", debugger
        termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            while said := debugger.recv(65536):
                self._output.talk(decoder.decode(said))
        finally:
            self._debugger = None
            tty.setcbreak(self._stdin)

    def _read(self, actions: Actions) -> None:
        while True:
            key = sys.stdin.read(1)
            debugger = self._debugger
            if debugger is not None:
                self._type(debugger, key)
            elif not key:
                return
            else:
                actions.get(key, lambda: None)()

    def _type(self, debugger: socket, key: str) -> None:
        self._line += key
        with suppress(OSError):  # it may just have ended
            if not key:
                debugger.shutdown(SHUT_WR)
            elif key == "\n":
                line, self._line = self._line, ""
                debugger.sendall(line.encode())


@contextmanager
def listening(keyboard: Keyboard | None) -> Iterator[str]:
    """Let breakpoints lead to a keyboard: the socket's path, empty without a keyboard."""
    if keyboard is None:
        yield ""
        return
    breakpoints = Breakpoints(keyboard.converse)
    try:
        yield str(breakpoints.path)
    finally:
        breakpoints.close()
