"""A region's process: how it comes up, and what is left of it when it ends, well or badly."""

import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from hotfire.address import Address, Exposure, RegionFile, find
from hotfire.errors import PortInUse, RegionError
from hotfire.region.store import Process, Store
from hotfire.server import daemon

HANDLER = """\
import os, subprocess, time
def model_fn(model_dir):
    while os.path.exists({slow!r}): time.sleep(0.01)
def transform_fn(model, code, content_type, accept):
    scope = {{**globals(), "answer": ""}}
    exec(code, scope)
    return scope["answer"]
"""
ROLE = "arn:aws:iam::000000000000:role/r"


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable that all has which comes from this test, however deep."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv("MARK", mark)
    return mark


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("MARK") == mark and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [one for one in found if one.pid != os.getpid()]


@pytest.fixture
def home(tmp_path: Path, mark: str) -> Iterator[Path]:
    """A home whose region is gone in the end, with everything that came from it."""
    yield tmp_path / "home"
    daemon.stop(tmp_path / "home")
    until(lambda: not marked(mark))


def client(region: Address, service: str = "sagemaker") -> Any:
    return boto3.client(
        service,
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


class Endpoint:
    """An endpoint that runs the Python of its requests; while the file `slow` is there no model loads."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.slow = folder / "slow"
        self.data = folder / "model"
        (self.data / "code").mkdir(parents=True)
        (self.data / "code" / "inference.py").write_text(HANDLER.format(slow=str(self.slow)))
        self.workers = workers

    def create(self, region: Address) -> None:
        sagemaker = client(region)
        self.config(sagemaker, "one")
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e")

    def config(self, sagemaker: Any, name: str, **variables: str) -> None:
        source = {"S3Uri": f"file://{self.data}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        container = {
            "ModelDataSource": {"S3DataSource": source},
            "Environment": {
                "NAME": name,
                "SAGEMAKER_MODEL_SERVER_WORKERS": str(self.workers),
                **variables,
            },
        }
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {"VariantName": "v", "ModelName": name, "InstanceType": "local", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def ask(region: Address, code: str) -> str:
    runtime = client(region, "sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName="e", ContentType="application/json", Body=code.encode())
    body: bytes = answer["Body"].read()
    return body.decode()


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_region_comes_up_and_says_where_it_is(home: Path) -> None:
    region = daemon.start(home)
    file = RegionFile.read(home)
    assert file is not None
    assert (file.pid, file.url, find(home)) == (region.pid, region.url, region)


def test_its_state_is_for_its_user_alone(home: Path) -> None:
    daemon.start(home)
    modes = {name: stat.S_IMODE((home / name).stat().st_mode) for name in (".", "key.json", "region.json")}
    assert modes == {".": 0o700, "key.json": 0o600, "region.json": 0o600}


def test_a_region_that_runs_is_not_started_again(home: Path) -> None:
    assert daemon.start(home) == daemon.start(home)


def test_a_second_one_over_the_same_home_is_refused(home: Path) -> None:
    daemon.start(home)
    with pytest.raises(RegionError) as caught:
        daemon.run(home)
    assert caught.value.message == f"a region runs already over {home}"


def test_a_port_of_another_program_is_refused(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortInUse) as caught:
            daemon.start(home, taken.getsockname()[1])
    assert "is in use by another program" in caught.value.message


def test_without_a_port_asked_for_the_next_free_one_is_taken(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        assert daemon.start(home).url != daemon.start(other).url
    finally:
        daemon.stop(other)


def test_a_region_that_cannot_come_up_is_told_with_what_it_said(home: Path) -> None:
    home.mkdir()
    (home / "region.sqlite").write_text("no database, but long enough to be looked at as one" * 20)
    with pytest.raises(RegionError) as caught:
        daemon.start(home)
    assert "the region did not start" in caught.value.message
    assert "is not a sound database" in caught.value.message
    assert str(home / "region.log") in caught.value.advice
    assert RegionFile.read(home) is None


def test_an_address_of_another_machine_is_told_with_what_to_do(home: Path) -> None:
    with pytest.raises(RegionError) as caught:
        daemon.start(home, exposure=Exposure("192.0.2.1"))
    assert caught.value.message == "the region did not start: 192.0.2.1 is no address of this machine"
    assert caught.value.advice == (
        f"`--host 0.0.0.0` listens on all that it has. Its log: {home / 'region.log'}"
    )


def test_a_home_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegionError, match="cannot be used for the region's state") as caught:
        daemon.start(tmp_path / "file" / "home")
    assert caught.value.advice == "Name another folder in HOTFIRE_HOME."


def test_stopping_where_none_runs_is_nothing(home: Path) -> None:
    assert daemon.stop(home) is False


def test_a_region_ends_while_requirements_are_installed(home: Path, endpoint: Endpoint, mark: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code = endpoint.data / "code"
        code.mkdir(parents=True, exist_ok=True)
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        (code / "requirements.txt").write_text(f"--index-url {index}\nnever-there\n")
        sagemaker = client(daemon.start(home), "sagemaker")
        endpoint.config(sagemaker, "c", HOTFIRE_INSTALL_REQUIREMENTS="true")
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        connection, _ = silent.accept()
        with connection:
            assert daemon.stop(home) is True
    # One that had to be killed leaves its file.
    assert (RegionFile.read(home), marked(mark)) == (None, [])


def test_a_region_that_is_stopped_takes_its_file_away(home: Path) -> None:
    region = daemon.start(home)
    assert daemon.stop(home) is True
    assert (RegionFile.read(home), find(home)) == (None, None)
    assert not psutil.pid_exists(region.pid) or psutil.Process(region.pid).status() == psutil.STATUS_ZOMBIE


def test_the_users_credentials_and_settings_reach_no_handler(
    home: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "precious")
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "other.py")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    region = daemon.start(home)
    endpoint.create(region)
    assert "AWS_SECRET_ACCESS_KEY" not in psutil.Process(region.pid).environ()
    seen = json.loads(ask(region, "import json; answer = json.dumps(dict(os.environ))"))
    assert {name for name in seen if name.startswith(daemon._KEPT_FROM_HANDLERS)} == {
        "PYTHONPATH",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
    }
    assert (seen["NAME"], "MARK" in seen) == ("one", True)


def begun(region: Address, code: str, tmp_path: Path, pool: ThreadPoolExecutor) -> "Future[str]":
    """A request that a handler has in hand."""
    sign = tmp_path / secrets.token_hex(4)
    asking = pool.submit(ask, region, f"open({str(sign)!r}, 'w').close()\n{code}")
    until(sign.exists)
    return asking


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_region_that_is_told_to_end_answers_what_it_has_in_hand(
    home: Path, mark: str, endpoint: Endpoint, tmp_path: Path, pool: ThreadPoolExecutor, number: int
) -> None:
    region = daemon.start(home)
    endpoint.create(region)
    flag = tmp_path / "flag"
    wait = f"while not os.path.exists({str(flag)!r}): time.sleep(0.01)\nanswer = 'in hand'"
    asking = begun(region, wait, tmp_path, pool)
    os.kill(region.pid, number)
    until(lambda: find(home) is None)
    flag.touch()
    assert asking.result(60) == "in hand"
    until(lambda: not marked(mark))
    assert RegionFile.read(home) is None
    assert not (home / "instances").exists() or list((home / "instances").iterdir()) == []
    with Store(home / "region.sqlite") as store:
        assert store.processes() == []


def test_a_client_that_stalls_does_not_hold_up_the_end(home: Path, mark: str) -> None:
    region = daemon.start(home)
    address = region.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as stalled:
        stalled.sendall(
            f"POST / HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        find(home)  # answered after what came before it was taken
        os.kill(region.pid, signal.SIGTERM)
        answer = stalled.recv(100)
        assert answer.startswith(b"HTTP/1.1 503")
        until(lambda: not marked(mark))


def test_of_a_killed_region_nothing_is_left_and_the_next_one_serves_again(
    home: Path, mark: str, endpoint: Endpoint, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    region = daemon.start(home)
    endpoint.workers = 2
    endpoint.create(region)
    sagemaker = client(region)
    endpoint.config(sagemaker, "two")
    ask(region, "os.system('sleep 1000 &')")
    asking = begun(region, "time.sleep(1000)", tmp_path, pool)
    endpoint.slow.touch()
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="two")  # which does not come to its end
    os.kill(region.pid, signal.SIGKILL)
    with pytest.raises(Exception, match="Connection was closed"):
        asking.result(60)
    until(lambda: [one.name() for one in marked(mark)] == ["sleep"])  # what a handler had started
    endpoint.slow.unlink()

    again = daemon.start(home)
    until(lambda: "sleep" not in [one.name() for one in marked(mark)])
    assert ask(again, "answer = os.environ['NAME']") == "one"
    described = client(again).describe_endpoint(EndpointName="e")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "one")
    assert {model["ModelName"] for model in client(again).list_models()["Models"]} == {"one", "two"}
    assert len(list((home / "instances").iterdir())) == 1


def test_a_process_of_another_that_has_the_number_of_one_of_ours_is_left_alone(home: Path) -> None:
    home.mkdir()
    command = [sys.executable, "-c", "import time; time.sleep(1000)"]
    with (
        subprocess.Popen(command, start_new_session=True) as ours,
        subprocess.Popen(command, start_new_session=True) as another,
    ):
        started = psutil.Process(ours.pid).create_time()
        with Store(home / "region.sqlite") as store:
            store.add_process(Process(ours.pid, started + 1.0, "", "zygote"))  # the clock was set since
            store.add_process(Process(another.pid, started - 3600.0, "", "zygote"))
        daemon.start(home)
        assert ours.wait(60) == -signal.SIGKILL
        assert another.poll() is None
        another.kill()


def test_a_model_that_does_not_load_is_told_by_the_end_of_its_traceback(
    home: Path, endpoint: Endpoint
) -> None:
    (endpoint.data / "code" / "inference.py").write_text(
        "def model_fn(model_dir):\n    raise OSError('no weights')\n"
    )
    region = daemon.start(home)
    sagemaker = client(region)
    endpoint.config(sagemaker, "one")
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
    described = sagemaker.describe_endpoint(EndpointName="e")
    assert (described["EndpointStatus"], described["FailureReason"]) == ("Failed", "OSError: no weights")
    events = client(region, "logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/e")["events"]
    lines = [event["message"] for event in events]
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "OSError: no weights"
    assert any("in model_fn" in line for line in lines)
    with pytest.raises(ClientError, match="its state is Failed"):
        ask(region, "")


def test_an_endpoint_can_be_deleted_while_its_model_loads(home: Path, mark: str, endpoint: Endpoint) -> None:
    region = daemon.start(home)
    sagemaker = client(region)
    endpoint.slow.touch()
    endpoint.config(sagemaker, "one")
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="one")
    until(lambda: len(marked(mark)) == 3)  # region, zygote, holder
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e")
    until(lambda: len(marked(mark)) == 2)
    assert list((home / "instances").iterdir()) == []


def test_an_update_under_load_loses_no_request(
    home: Path, endpoint: Endpoint, pool: ThreadPoolExecutor
) -> None:
    endpoint.workers = 2
    region = daemon.start(home)
    endpoint.create(region)
    sagemaker = client(region)
    endpoint.config(sagemaker, "two")
    answers: list[str] = []
    over = False

    def load() -> None:
        runtime = client(region, "sagemaker-runtime")
        while not over:
            answer = runtime.invoke_endpoint(
                EndpointName="e", ContentType="application/json", Body=b"answer = os.environ['NAME']"
            )
            answers.append(answer["Body"].read().decode())

    clients = [pool.submit(load) for _ in range(8)]
    until(lambda: len(answers) > 50)
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="two")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e")
    until(lambda: answers[-50:] == ["two"] * 50)
    over = True
    for one in clients:
        one.result(60)
    assert set(answers) == {"one", "two"}
