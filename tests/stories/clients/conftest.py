"""What client stories are told with: a machine that nothing leaves unseen, and clients as users have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hotfire

if TYPE_CHECKING:
    from conftest import Machine

HERE = Path(__file__).parent
SCALING = """\
import os
from pathlib import Path

def model_fn(model_dir):
    return float(Path(model_dir, "scale.txt").read_text())

def predict_fn(data, model):  # a tensor, as the toolkit reads JSON and npy
    return data * model + float(os.environ.get("SHIFT", "0"))
"""
_BEYOND = "198.51.100.9"
_MARK = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as away:
    away.sendto(b"", ("{_BEYOND}", {{port}}))
"""


class Island:
    """A network of one machine: what is sent beyond it goes nowhere, and is known."""

    def __init__(self, folder: Path, user: list[str]) -> None:
        self._record = folder / "sent.txt"
        program = [sys.executable, str(HERE / "island.py"), str(self._record)]
        command = ["unshare", "--net", "--mount", *user, *program]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != "ready\n":
            raise AssertionError(self._process.stderr.read())
        preserving = ["--user", "--preserve-credentials"] if user else []
        self.enter = ["nsenter", f"--target={self._process.pid}", "--net", "--mount", *preserving, "--"]
        self._marks = 0

    def sent(self) -> list[str]:
        """Where programs sent something beyond the machine, till now."""
        self._marks += 1
        mark = f"udp {_BEYOND} {self._marks}"
        subprocess.run([*self.enter, sys.executable, "-c", _MARK.format(port=self._marks)], check=True)
        deadline = time.monotonic() + 30
        while mark not in (lines := self._record.read_text().splitlines()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return [line for line in lines if not line.startswith(f"udp {_BEYOND} ")]

    def close(self) -> None:
        """Take the network away."""
        with self._process as process:
            process.kill()


@pytest.fixture(scope="session")
def user_namespace(require: Callable[[str, str], str]) -> list[str] | None:
    """The options with which this user may lay a network of its own; None if there is no way."""
    for program, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        require(program, package)
    for options in ([], ["--user", "--map-root-user"]):
        command = ["unshare", "--net", "--mount", *options, "ip", "link", "set", "lo", "up"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return options
    return None


@pytest.fixture(scope="module")
def island(
    user_namespace: list[str] | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Island | None]:
    """The network of this story; None where this user may not make one."""
    if user_namespace is None:
        yield None
        return
    island = Island(tmp_path_factory.mktemp("island"), user_namespace)
    yield island
    island.close()


@pytest.fixture(scope="module")
def machine(island: Island | None, machines: Callable[..., Machine]) -> Machine:
    """The user of this story, on a machine that nothing leaves unseen."""
    return machines(island.enter if island else [])


@pytest.fixture(scope="module")
def sent(island: Island | None) -> Callable[[], list[str]]:
    """`sent()`: where programs of this story sent something beyond the machine."""
    if island is None:
        pytest.skip("a network of one's own can be made here by nobody but root")
    return island.sent


class Client:
    """A Python of its own, with a client as anybody installs it."""

    def __init__(self, folder: Path, requirements: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        # Every package is named with its version, so pip has nothing to find out.
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
        command = [*pip, "install", *options, "--requirement", str(requirements)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, env=_without_settings(), check=False
        )
        assert done.returncode == 0, done.stderr

    def program(self, name: str) -> list[str]:
        """The command that runs one of the programs beside these stories."""
        return [str(self.python), str(HERE / "programs" / name)]


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Client]:
    """`clients("sagemaker-2")`: a client by the name of its file of requirements; each is installed once."""
    made: dict[str, Client] = {}

    def get(name: str) -> Client:
        if name not in made:
            made[name] = Client(tmp_path_factory.mktemp(name), HERE / "requirements" / f"{name}.txt")
        return made[name]

    return get


@pytest.fixture(scope="module")
def told(machine: Machine) -> Callable[..., dict[str, Any]]:
    """`told(command)`: the facts that a program tells, as JSON on its last line, which ends well.

    It has the exports of `hotfire env`, and nothing else that would lead it anywhere.
    """
    machine.hotfire("up")

    def told(command: list[str], **variables: str) -> dict[str, Any]:
        done = machine.run(command, **machine.exports(), **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts

    return told


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`archive(handler)`: model data with that handler and nothing else."""

    def archive(handler: str) -> Path:
        folder = tmp_path_factory.mktemp("model")
        (folder / "inference.py").write_text(handler)
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            tar.add(folder / "inference.py", "code/inference.py")
        return folder / "model.tar.gz"

    return archive


@pytest.fixture(scope="session")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model that triples, as an SDK is given one: an archive of weights, and a folder with the handler."""
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "scale.txt").write_text("3")
    with tarfile.open(folder / "weights.tar.gz", "w:gz") as tar:
        tar.add(folder / "scale.txt", "scale.txt")
    (folder / "sources").mkdir()
    (folder / "sources" / "inference.py").write_text(SCALING)
    return [str(folder / "weights.tar.gz"), str(folder / "sources")]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Hotfire and nothing else that is installed beside it here."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "hotfire").symlink_to(Path(hotfire.__file__).parent)
    return folder
