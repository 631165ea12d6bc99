import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import psutil
import pytest

from hotfire import address
from hotfire.cli.region import EXPORTED, export_lines, origins_of, up
from hotfire.environment import home


def hotfire(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hotfire", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def region() -> Iterator[dict[str, object]]:
    """A region, and what `up` said of it."""
    up = hotfire("up", "--json", "--port", str(free_port()))
    yield json.loads(up.stdout)
    hotfire("down")
    left = [one for one in psutil.process_iter() if _is_of(one, home())]
    assert left == []


def _is_of(process: psutil.Process, place: Path) -> bool:
    try:
        return process.environ().get("HOTFIRE_HOME") == str(place) and process.pid != os.getpid()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_up_starts_a_region_that_goes_on(region: dict[str, object]) -> None:
    assert region["started"] is True
    found = address.find(home())
    assert found is not None
    assert (found.url, found.pid) == (region["url"], region["pid"])


def test_up_again_says_that_it_is_up(region: dict[str, object]) -> None:
    again = hotfire("up")
    assert again.stdout.splitlines()[0] == f"The local region is already up at {region['url']}"
    assert 'eval "$(hotfire env)"' in again.stdout


def test_of_several_that_start_it_at_once_all_get_the_one_region() -> None:
    command = [sys.executable, "-m", "hotfire", "up", "--json"]
    starting = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    told = [process.communicate(timeout=60) for process in starting]
    hotfire("down")
    assert [process.returncode for process in starting] == [0, 0, 0, 0], told
    assert len({json.loads(out)["pid"] for out, _ in told}) == 1


def test_down_stops_the_region_and_says_so(region: dict[str, object]) -> None:
    process = psutil.Process(int(str(region["pid"])))
    done = hotfire("down")
    assert (done.returncode, done.stdout) == (0, "The local region is stopped.\n")
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_down_ends_where_nobody_asks_what_became_of_a_process() -> None:
    """As in a container whose process of number 1 is the user's own program."""
    if shutil.which("unshare") is None:
        (pytest.fail if "HOTFIRE_TEST_ALL" in os.environ else pytest.skip)("apt-get install util-linux")
    first = (
        "import subprocess, sys\n"
        "for command in ('up', 'down'):\n"
        "    subprocess.run([sys.executable, '-m', 'hotfire', command], check=True)\n"
    )
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run([*alone, sys.executable, "-c", first], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "The local region is stopped."


def test_down_without_a_region_is_no_error() -> None:
    done = hotfire("down")
    assert (done.returncode, done.stdout) == (0, "The local region was not up.\n")


def test_in_the_foreground_it_says_where_it_is_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "hotfire", "up", "--foreground", "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = address.find(home())
            assert found is not None
            assert line == f"The local region is up at {found.url}\n"
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_env_names_what_points_clients_at_the_region(region: dict[str, object]) -> None:
    exports = json.loads(hotfire("env", "--json").stdout)
    assert tuple(exports) == EXPORTED
    assert exports["AWS_ENDPOINT_URL"] == region["url"]


def test_a_shell_can_evaluate_env_and_take_it_back(region: dict[str, object]) -> None:
    script = (
        f'hotfire() {{ "{sys.executable}" -m hotfire "$@"; }}\n'
        'eval "$(hotfire env)"; echo "$AWS_ENDPOINT_URL"\n'
        'eval "$(hotfire env --unset)"; echo "${AWS_ENDPOINT_URL-unset} ${AWS_SESSION_TOKEN-unset}"\n'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [region["url"], "unset unset"]


def test_env_says_that_a_profile_is_in_the_way(
    region: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    done = hotfire("env")
    assert "AWS_PROFILE" in done.stderr
    assert "AWS_PROFILE" not in done.stdout


def test_env_without_a_region_prints_nothing_to_evaluate() -> None:
    done = hotfire("env")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`hotfire up`" in done.stderr


def test_exports_are_quoted() -> None:
    assert export_lines({"A": "it's $HOME", "B": ""}) == "export A='it'\"'\"'s $HOME'\nexport B=''"


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(given: str, origin: str) -> None:
    option = click.Option(["--allow-origin"])
    assert origins_of(click.Context(up), option, (given,)) == (origin,)


@pytest.mark.parametrize(
    "given",
    [
        "*",
        "null",
        "app.example",
        "https://app.example/",
        "https://*.example",
        "https://a@b",
        "ftp://a",
        "https://",
    ],
)
def test_what_is_no_origin_is_told(given: str) -> None:
    with pytest.raises(click.BadParameter, match="is no origin of a web page"):
        origins_of(click.Context(up), click.Option(["--allow-origin"]), (given,))
