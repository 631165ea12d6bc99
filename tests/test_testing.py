"""The pytest plugin, in runs of pytest of its own: what tests get, and what is left of them."""

import os
import secrets
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytest_plugins = ["pytester"]

HANDLER = """\
import json

def model_fn(model_dir):
    return 7

def transform_fn(model, body, content_type, accept):
    return json.dumps(model)
"""
PROJECT = """\
environments:
  local: {model_name: tiny}
  production: {model_name: tiny, instance_type: ml.m5.large, region: eu-west-1}
"""
TESTS = """\
import json, os
from pathlib import Path
import boto3, pytest
from hotfire import DeployEnv
from hotfire.errors import DeployError, UsageError

@pytest.fixture(scope="session")
def endpoint(hotfire_region):
    return hotfire_region.deploy("project")

def answer(client, endpoint):
    return json.load(client.invoke_endpoint(EndpointName=endpoint, Body=b"1")["Body"])

def test_the_endpoint_answers(hotfire_region, endpoint):
    assert answer(hotfire_region.client(), endpoint) == 7

def test_it_is_a_region_of_its_own(hotfire_region):
    assert str(hotfire_region.address.home) != os.environ["HOTFIRE_HOME"]
    assert "AWS_ENDPOINT_URL" not in os.environ

def test_code_that_makes_clients_itself_reaches_it(hotfire_local, endpoint):
    assert answer(boto3.client("sagemaker-runtime"), endpoint) == 7
    assert DeployEnv(config="project/config.yml").is_deployed()

def test_it_ends_with_the_test():
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert boto3.DEFAULT_SESSION is None

def test_a_program_is_pointed_there(hotfire_region):
    assert hotfire_region.environment["AWS_ENDPOINT_URL"] == hotfire_region.url

def test_what_cannot_be_deployed_is_told(hotfire_region, endpoint):
    handler = Path("project/serve.py")
    handler.write_text("def model_fn(model_dir:\\n")
    with pytest.raises(DeployError, match="(?s)was not deployed.*serve.py"):
        hotfire_region.deploy("project")

def test_nothing_is_deployed_to_aws(hotfire_region):
    with pytest.raises(UsageError, match="'production' is at AWS"):
        hotfire_region.deploy("project", env="production")
"""
INTERRUPTED = """\
import os, signal, time
from pathlib import Path

def test_interrupted(hotfire_region):
    hotfire_region.deploy("project")
    Path("home.txt").write_text(str(hotfire_region.address.home))
    Path("home.txt").rename("ready.txt")
    time.sleep(600)
"""


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[psutil.Process]]]:
    """All that was started from this test, however deep, and goes on."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv("MARK", mark)

    def left() -> list[psutil.Process]:
        found = []
        for one in psutil.process_iter():
            try:
                if one.environ().get("MARK") == mark and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [one for one in found if one.pid != os.getpid()]

    yield left
    for process in left():
        process.kill()


@pytest.fixture
def run(pytester: pytest.Pytester) -> list[str]:
    """The command that runs tests beside a project; what is temporary goes into a folder of this test's."""
    project = pytester.mkdir("project")
    (project / "serve.py").write_text(HANDLER)
    (project / "config.yml").write_text(PROJECT)
    pytester.mkdir("tmp")
    return [sys.executable, "-m", "pytest", "-p", "hotfire.testing", "-p", "no:cacheprovider"]


@pytest.fixture
def temporary(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    folder = pytester.path / "tmp"
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def regions(folder: Path) -> list[Path]:
    return list(folder.glob("hotfire-*"))


def test_tests_have_a_region_and_leave_nothing(
    pytester: pytest.Pytester, run: list[str], temporary: Path, left: Callable[[], list[psutil.Process]]
) -> None:
    pytester.makepyfile(TESTS)
    done = subprocess.run([*run, "-q"], capture_output=True, text=True, check=False)
    assert "7 passed" in done.stdout, done.stdout
    assert left() == []
    assert regions(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_tests_that_are_interrupted_leave_nothing(
    pytester: pytest.Pytester,
    run: list[str],
    temporary: Path,
    left: Callable[[], list[psutil.Process]],
    number: int,
) -> None:
    pytester.makepyfile(INTERRUPTED)
    ready = pytester.path / "ready.txt"
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: ready.exists() or process.poll() is not None)
        home = Path(ready.read_text())
        assert home.exists()
        process.send_signal(number)
    until(lambda: not left())
    assert not home.exists()
    assert regions(temporary) == []


def test_where_no_fixture_is_asked_for_nothing_is_started(
    pytester: pytest.Pytester, run: list[str], temporary: Path
) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_light():
            heavy = {"boto3", "botocore", "psutil", "yaml", "hotfire.server.daemon"}
            assert "hotfire.testing" in sys.modules
            assert heavy & set(sys.modules) == set()
        """
    )
    done = subprocess.run([*run, "-q"], capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert regions(temporary) == []


def test_a_region_that_does_not_come_up_is_an_error_that_says_why(
    pytester: pytest.Pytester, run: list[str], temporary: Path
) -> None:
    pytester.makeconftest(
        """
        import sys
        sys.executable = "/bin/false"
        """
    )
    pytester.makepyfile("def test_region(hotfire_region): pass")
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "RegionError: the region did not start" in done.stdout
    assert regions(temporary) == []


def test_the_plugin_is_declared_by_its_own_name(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"hotfire.testing": "hotfire.testing"}
