"""Python environments with what a handler's requirements.txt asks for, made once for each content.

An environment sees all that the project's own Python has, so that torch is not installed a second time, and
has what is missing there.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hotfire.errors import LoadFailed

_LAST_LINES = 8
_WHOLE = "whole"
_FOLDERS = (
    "import site, sysconfig; print(*{*site.getsitepackages(), *sysconfig.get_paths().values()}, sep='\\n')"
)


class PythonEnvironments:
    """The environments below one folder."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = dict(variables)

    def python(self, base: Path, requirements: Path) -> Path:
        """The Python that has what `base` has and what the file asks for; `base` if there is no file.

        Raises LoadFailed with the last lines that pip printed.
        """
        if not requirements.is_file():
            return base
        # Never resolved: a virtual environment's Python is a link, and is that environment by its path.
        key = hashlib.sha256(str(base).encode() + b"\0" + requirements.read_bytes()).hexdigest()[:32]
        target = self._folder / key
        with self._turn(key):
            if not (target / _WHOLE).exists():
                shutil.rmtree(target, ignore_errors=True)
                self._make(target, base, requirements)
                (target / _WHOLE).touch()
        return target / "bin" / "python"

    def _make(self, target: Path, base: Path, requirements: Path) -> None:
        self._run([base, "-m", "venv", target], "cannot make a virtual environment")
        python = target / "bin" / "python"
        seen = self._run([base, "-c", _FOLDERS], "cannot be asked for its folders")
        own = self._run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "is broken")
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
        self._run(install, "could not install code/requirements.txt")

    def _run(self, command: Sequence[str | Path], what: str) -> str:
        try:
            done = subprocess.run(
                [str(part) for part in command],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise LoadFailed(f"{command[0]} cannot be started: {error.strerror}") from error
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
            raise LoadFailed(f"{command[0]} {what}: {tail}", tail)
        return done.stdout

    @contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """Two endpoints that ask for the same wait for each other."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
