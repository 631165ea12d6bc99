"""Environments with what a handler asks for."""

import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from hotfire.errors import LoadFailed
from hotfire.region.requirements import PythonEnvironments


def wheel(folder: Path, name: str) -> Path:
    """A package without dependencies, made here: nothing is fetched."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", "ANSWER = 42\n")
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return file


@pytest.fixture
def environments(tmp_path: Path) -> PythonEnvironments:
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return PythonEnvironments(tmp_path / "environments", {**variables, "PIP_NO_INDEX": "1"})


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.txt"
    file.write_text(f"{wheel(tmp_path, 'hotfire_asked_for')}\n")
    return file


def says(python: Path, program: str) -> str:
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_without_a_file_the_python_is_the_projects_own(
    environments: PythonEnvironments, tmp_path: Path
) -> None:
    assert environments.python(Path(sys.executable), tmp_path / "absent.txt") == Path(sys.executable)


def test_what_is_asked_for_is_there_beside_what_the_project_has(
    environments: PythonEnvironments, requirements: Path
) -> None:
    python = environments.python(Path(sys.executable), requirements)
    assert says(python, "import hotfire_asked_for; print(hotfire_asked_for.ANSWER)") == "42"
    assert says(python, "import torch; print(torch.__file__)") == says(
        Path(sys.executable), "import torch; print(torch.__file__)"
    )


def test_the_same_content_is_installed_once(
    environments: PythonEnvironments, requirements: Path, tmp_path: Path
) -> None:
    first = environments.python(Path(sys.executable), requirements)
    copy = tmp_path / "copy.txt"
    copy.write_bytes(requirements.read_bytes())
    before = first.parent.parent.stat().st_mtime_ns
    assert environments.python(Path(sys.executable), copy) == first
    assert first.parent.parent.stat().st_mtime_ns == before


def test_what_cannot_be_installed_is_told_by_pip_and_tried_again(
    environments: PythonEnvironments, requirements: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_text(f"{tmp_path / 'hotfire_later-1.0-py3-none-any.whl'}\n")
    with pytest.raises(LoadFailed, match="hotfire_later"):
        environments.python(Path(sys.executable), broken)
    wheel(tmp_path, "hotfire_later")
    python = environments.python(Path(sys.executable), broken)
    assert says(python, "import hotfire_later; print(hotfire_later.ANSWER)") == "42"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A package index that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_what_is_being_installed_ends_with_all_that_it_has_started(
    environments: PythonEnvironments, silent: socket.socket, tmp_path: Path
) -> None:
    asking = tmp_path / "asking.txt"
    asking.write_text(f"--index-url http://127.0.0.1:{silent.getsockname()[1]}/simple\nnever-there\n")
    allowed = PythonEnvironments(tmp_path / "others", {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    others = set(psutil.Process().children(recursive=True))
    with ThreadPoolExecutor() as pool:
        installing = pool.submit(allowed.python, Path(sys.executable), asking)
        connection, _ = silent.accept()
        with connection:
            started = set(psutil.Process().children(recursive=True)) - others
            allowed.close()
            error = installing.exception(timeout=60)
    assert isinstance(error, LoadFailed)
    assert len(started) > 1
    # The last of them is no child of ours: it is gone when the system's first process has noticed.
    assert psutil.wait_procs(started, timeout=60)[1] == []


def test_what_is_being_installed_ends_with_a_region_that_is_killed(
    silent: socket.socket, tmp_path: Path
) -> None:
    asking = tmp_path / "asking.txt"
    asking.write_text(f"--index-url http://127.0.0.1:{silent.getsockname()[1]}/simple\nnever-there\n")
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from hotfire.region.requirements import PythonEnvironments\n"
        "variables = {'PATH': os.environ['PATH'], 'HOME': sys.argv[1]}\n"
        "environments = PythonEnvironments(Path(sys.argv[1]), variables)\n"
        "environments.python(Path(sys.executable), Path(sys.argv[2]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / "killed", asking]) as region:
        connection, _ = silent.accept()
        with connection:
            started = psutil.Process(region.pid).children(recursive=True)
            region.kill()
            _, alive = psutil.wait_procs(started, timeout=60)
    assert len(started) > 1
    assert alive == []


def test_nothing_is_installed_after_the_end(
    environments: PythonEnvironments, requirements: Path, tmp_path: Path
) -> None:
    environments.close()
    with pytest.raises(LoadFailed, match="the region ended before"):
        environments.python(Path(sys.executable), requirements)
    assert not list((tmp_path / "environments").glob("*/whole"))
