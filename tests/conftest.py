"""What every test gets: an environment without the user's settings."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from hotfire.address import Address, find

_OF_DOCKER = ("docker_daemon", "tiny_image")
_ALONE = re.compile(r"\b(docker|podman|own_docker|own_image|tiny_image|registry|browser|window|engine): ")
"""Parameters of tests that get in each other's way: a browser drops its connections when networks come and
go, as those of containers do."""
_DEAR = re.compile(r"\b(ray_python|ray_cluster): ")
"""Parameters that take long to make, once in each process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="DIR", help="where the tests of pages put the README's pictures")
    parser.addoption("--whole", action="store_true", help="send all recorded requests to every target")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes, those of a file stay together, and files that share something."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(config.rootpath / nodeid.partition("::")[0])

    return Together(config, log)


@cache
def _group(file: Path) -> str:
    """What the tests of a file are run with."""
    source = file.read_text()
    if _ALONE.search(source) or file.name == "test_conformance.py":
        return "alone"
    return "ray" if _DEAR.search(source) else str(file)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line for each target that recorded requests were sent to."""
    if not config.getoption("--whole"):
        return
    counts = {
        outcome: Counter(_target(report.nodeid) for report in terminalreporter.stats.get(outcome, ()))
        for outcome in ("passed", "failed")
    }
    for target in sorted(set().union(*counts.values()) - {""}):
        same, other = counts["passed"][target], counts["failed"][target]
        terminalreporter.write_line(
            f"{target}: {same + other} requests, {same} answered as recorded, {other} otherwise"
        )


def _target(test: str) -> str:
    """What a test sent a recorded request to; nothing, if it is about something else."""
    name, _, parameters = test.partition("[")
    if not name.endswith("::test_answers_as_aws_does"):
        return ""
    return "Ray Serve" if "test_ray_app" in name else parameters.partition("-")[0]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the machine's user reaches a test; no test reaches the user's own region."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "HOTFIRE_", "SAGEMAKER_", "DEPLOY_ENV")) and name != "HOTFIRE_TEST_ALL":
            monkeypatch.delenv(name)
    nowhere = tmp_path_factory.mktemp("aws") / "absent"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOTFIRE_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the project's sources."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], str]:
    """`require(program, package)`: the path of a program of the system.

    Where it is absent the test is skipped with the line that installs it, or fails if none may be skipped.
    """

    def require(program: str, package: str) -> str:
        found = shutil.which(program)
        if found is None:
            message = f"{program} is not installed: apt-get install {package}"
            if os.environ.get("HOTFIRE_TEST_ALL"):
                pytest.fail(message)
            pytest.skip(message)
        return found

    return require


@pytest.fixture(scope="session")
def docker() -> Iterator[Any]:
    """A client of Docker's, whose daemon runs; it is nobody's task here to start one."""
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        message = "no Docker daemon answers: apt-get install docker.io iptables, then start dockerd as root"
        if os.environ.get("HOTFIRE_TEST_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    yield client
    client.close()


@pytest.fixture(scope="session")
def tiny_image(docker: Any, repository: Path) -> str:
    """An image that keeps SageMaker's contract and calls a handler: see `tiny_image.py`."""
    name: str = run_path(str(repository / "tests" / "tiny_image.py"))["build"](docker)
    return name


@pytest.fixture(scope="session")
def python_base(docker: Any, require: Callable[[str, str], str], repository: Path) -> str:
    """A base for images of one's own: see `python_base.py`."""
    debootstrap = require("debootstrap", "debootstrap")
    name: str = run_path(str(repository / "tests" / "python_base.py"))["build"](docker, debootstrap)
    return name


@pytest.fixture(scope="session")
def own_image(python_base: str, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An image by `hotfire image`, with torch and nothing besides: see `own_image.py`."""
    build = run_path(str(repository / "tests" / "own_image.py"))["build"]
    return build(python_base, tmp_path_factory.mktemp("own-image"))


@pytest.fixture(scope="session")
def wheel_of(repository: Path) -> Any:
    """`wheel_of(folder, name, version)` makes a package, and says how a lock names it."""
    return run_path(str(repository / "tests" / "small_package.py"))["wheel_of"]


@pytest.fixture
def registry(require: Callable[[str, str], str], repository: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a registry of images, on the loopback: see `registry.py`."""
    programs = require("docker-registry", "docker-registry"), require("htpasswd", "apache2-utils")
    folder = tmp_path / "registry"
    folder.mkdir()
    with run_path(str(repository / "tests" / "registry.py"))["running"](*programs, folder) as address:
        yield address


@pytest.fixture(scope="session")
def ray_python(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has Ray, torch and AWS's toolkit: see `ray_python.py`."""
    made: Path = run_path(str(repository / "tests" / "ray_python.py"))["made"](tmp_path_factory.mktemp("ray"))
    return made


@pytest.fixture(scope="session")
def own_docker(
    require: Callable[[str, str], str], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """`own_docker(data)`: a Docker daemon that a test may end and start again: see `docker_daemon.py`.

    It has the image of `tiny_image`, in `data` if that is given.
    """
    require("dockerd", "docker.io")
    require("ip", "iproute2")
    programs = {name: run_path(str(repository / "tests" / f"{name}.py")) for name in _OF_DOCKER}
    made: list[Any] = []

    def own_docker(data: Path | None = None) -> Any:
        if os.geteuid() != 0:
            pytest.skip("a Docker daemon of one's own takes root")
        daemon = programs["docker_daemon"]["Daemon"](tmp_path_factory.mktemp("docker"), data)
        made.append(daemon)
        daemon.start()
        client = daemon.client()
        programs["tiny_image"]["build"](client)
        client.close()
        return daemon

    yield own_docker
    for daemon in made:
        daemon.close()


@pytest.fixture(scope="session")
def podman(
    require: Callable[[str, str], str], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The variables that lead to Podman's socket: see `podman_service.py`."""
    program = require("podman", "podman containernetworking-plugins")
    if os.geteuid() != 0:
        pytest.skip("storage of Podman's that is a test's own takes root")
    running = run_path(str(repository / "tests" / "podman_service.py"))["running"]
    with running(program, tmp_path_factory.mktemp("podman")) as variables:
        yield variables


@pytest.fixture(scope="session")
def ray_cluster(repository: Path, ray_python: Path) -> Iterator[Any]:
    """A Ray cluster of several nodes: see `ray_cluster.py`."""
    with run_path(str(repository / "tests" / "ray_cluster.py"))["running"](ray_python) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A region for one module's tests, on a port and in a home of its own."""
    home = tmp_path_factory.mktemp("region")
    environment = {**os.environ, "HOTFIRE_HOME": str(home)}

    def hotfire(command: str) -> None:
        subprocess.run([sys.executable, "-m", "hotfire", command], env=environment, check=True, timeout=60)

    hotfire("up")
    try:
        address = find(home)
        assert address is not None
        yield address
    finally:
        hotfire("down")


@pytest.fixture(scope="session")
def aws_process(repository: Path) -> Iterator[Any]:
    """An imitation of AWS, in a process of its own: see `aws.py`."""
    running = run_path(str(repository / "tests" / "aws.py"))["running"]
    with running() as imitation:
        yield imitation


@pytest.fixture
def aws(aws_process: Any) -> Any:
    """The imitation, with an empty account."""
    aws_process.reset()
    return aws_process


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """`mount("1m")`: a file system of that size of its own; skips where none can be had."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        disk = tmp_path / f"disk-{len(mounted)}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a file system can be mounted here by nobody but a privileged root")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def memory_group() -> Iterator[Callable[[int, int], None]]:
    """`memory_group(pid, size)`: a limit, in bytes, of a process from now on; skips where none can be set."""
    made: list[Path] = []
    root, limit = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    if Path("/sys/fs/cgroup/cgroup.controllers").is_file():
        root, limit = Path("/sys/fs/cgroup"), "memory.max"

    def memory_group(pid: int, size: int) -> None:
        group = root / f"hotfire-{pid}"
        try:
            group.mkdir()
            made.append(group)
            (group / limit).write_text(str(size))
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            pytest.skip(f"the memory of a process cannot be limited here: {error}")
        for swap, most in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", size)):
            if (group / swap).exists():
                (group / swap).write_text(str(most))

    yield memory_group
    for group in made:
        deadline = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        group.rmdir()
