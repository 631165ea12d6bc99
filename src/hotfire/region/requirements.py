"""Python environments with what a handler's requirements.txt asks for, made once for each content.

An environment sees all that the project's own Python has, so that torch is not installed a second time, and
has what is missing there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from hotfire.errors import LoadFailed

_LAST_LINES = 8
_WHOLE = "whole"
_FOLDERS = (
    "import site, sysconfig; print(*{*site.getsitepackages(), *sysconfig.get_paths().values()}, sep='\\n')"
)
_KEEPER = """
import os, signal, subprocess, sys, threading

def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=watch, daemon=True).start()
try:
    sys.exit(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL))
except OSError as error:
    sys.exit(f"it cannot be started: {error.strerror}")
"""
"""Runs a command, and ends it with all that it has started when the pipe that it is given to read closes.

Of what pip starts, the region that is killed could end nothing, and the kernel only pip itself.
"""


class PythonEnvironments:
    """The environments below one folder.

    `python` is called on threads, where it takes its time; `close` ends what they have under way.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = dict(variables)
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False
        self._guard = Lock()

    def python(self, base: Path, requirements: Path) -> Path:
        """The Python that has what `base` has and what the file asks for; `base` if there is no file.

        Raises LoadFailed with the last lines that pip printed, or when it is ended by `close`.
        """
        if not requirements.is_file():
            return base
        # Never resolved: a virtual environment's Python is a link, and is that environment by its path.
        key = hashlib.sha256(str(base).encode() + b"\0" + requirements.read_bytes()).hexdigest()[:32]
        target = self._folder / key
        with self._turn(key) as lock:
            if not (target / _WHOLE).exists():
                shutil.rmtree(target, ignore_errors=True)
                self._make(target, base, requirements, lock)
                (target / _WHOLE).touch()
        return target / "bin" / "python"

    def close(self) -> None:
        """End what is being installed, with all that it has started; nothing is installed any more."""
        with self._guard:
            self._closed = True
            for process in self._running:
                with suppress(ProcessLookupError):
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)

    def _make(self, target: Path, base: Path, requirements: Path, lock: int) -> None:
        self._run([base, "-m", "venv", target], "cannot make a virtual environment", lock)
        python = target / "bin" / "python"
        seen = self._run([base, "-c", _FOLDERS], "cannot be asked for its folders", lock)
        purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
        own = self._run([python, "-c", purelib], "is broken", lock)
        # What is on this list comes after the environment's own, as if it were installed there.
        Path(own.strip(), "hotfire-base.pth").write_text(
            "".join(f"{line}\n" for line in seen.splitlines() if line.endswith("-packages"))
        )
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--requirement",
            requirements,
        ]
        self._run(install, "could not install code/requirements.txt", lock)

    def _run(self, command: Sequence[str | Path], what: str, lock: int) -> str:
        ours, region_is_there = os.pipe()
        try:
            process = self._start([str(part) for part in command], lock, ours)
            try:
                printed, complained = process.communicate()
            finally:
                with self._guard:
                    self._running.discard(process)
        finally:
            os.close(ours)
            os.close(region_is_there)
        if process.returncode:
            tail = "\n".join((printed + complained).strip().splitlines()[-_LAST_LINES:])
            raise LoadFailed(f"{command[0]} {what}: {tail}", tail)
        return printed

    def _start(self, command: Sequence[str], lock: int, ends_with: int) -> subprocess.Popen[str]:
        with self._guard:
            if self._closed:
                raise LoadFailed("the region ended before code/requirements.txt was installed")
            process = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, *command],
                env=self._variables,
                stdin=ends_with,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # A group of its own, to be ended as a whole.
                start_new_session=True,
                # It has its turn until it has ended, also when the region is killed and another begins.
                pass_fds=[lock],
            )
            self._running.add(process)
            return process

    @contextmanager
    def _turn(self, key: str) -> Iterator[int]:
        """Two endpoints that ask for the same wait for each other; the descriptor of the lock."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock.fileno()
