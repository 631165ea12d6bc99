"""Clients that misbehave, handlers that do, crowds, and a full disk: each costs itself alone."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from hotfire.address import find

if TYPE_CHECKING:
    from conftest import Machine, Project

HANDLER = """\
import json, os, resource, threading, time

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    what = data.get("do") if isinstance(data, dict) else None
    if what == "print":
        print("x" * 1_000_000)
    elif what == "thread":
        threading.Thread(target=time.sleep, args=(0.2,)).start()
    elif what == "fork":
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    elif what == "write":
        with open("written-" + str(time.time_ns()), "w") as file:
            file.write("y" * 10_000)
    elif what == "exit":
        os._exit(3)
    elif what == "wait":
        time.sleep(0.005)
    elif what == "devour":
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, hard))
        try:
            bytearray(64 << 30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return data

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""

HARMLESS = {"do": "nothing"}


class Client:
    """Raw requests to one endpoint, many at once."""

    def __init__(self, machine: Machine, project: Project) -> None:
        region = find(machine.home)
        assert region is not None
        parts = urlsplit(region.url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        scope = f"{region.key.access_key}/20260101/us-east-1/sagemaker/aws4_request"
        self._head = (
            f"POST /endpoints/{project.name}/invocations HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
        )

    def request(self, body: bytes) -> bytes:
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask(self, value: Any) -> tuple[int, bytes]:
        return await self.send(self.request(json.dumps(value).encode()))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    async def ask_often(self, values: list[Any], at_once: int) -> list[int]:
        """The statuses of the answers, in the order of the requests."""
        room = asyncio.Semaphore(at_once)

        async def one(value: Any) -> int:
            async with room:
                status, _ = await self.ask(value)
                return status

        return list(await asyncio.gather(*(one(value) for value in values)))


@pytest.fixture(scope="module")
def project(
    machine: Machine, new_project: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project: Project = new_project(tmp_path_factory.mktemp("project"), "faults")
    project.handler.write_text(HANDLER)
    project.configure(model_name="faults", container_env={"SAGEMAKER_MODEL_SERVER_WORKERS": "2"})
    project.deploy()
    yield project
    machine.hotfire("delete", "--yes", at=project.folder)


@pytest.fixture
def client(machine: Machine, project: Project) -> Client:
    return Client(machine, project)


@pytest.mark.parametrize("misdeed", ["print", "thread", "fork", "write"])
def test_a_handler_that_misbehaves_harms_nobody(client: Client, misdeed: str) -> None:
    values = [{"do": misdeed} if number % 10 == 0 else HARMLESS for number in range(200)]
    assert set(asyncio.run(client.ask_often(values, 8))) == {200}


def test_a_handler_that_exits_costs_its_own_requests(client: Client) -> None:
    values = [{"do": "exit"} if number % 20 == 0 else HARMLESS for number in range(200)]
    statuses = asyncio.run(client.ask_often(values, 8))
    assert [statuses[number] for number in range(0, 200, 20)] == [424] * 10
    assert {status for number, status in enumerate(statuses) if number % 20} == {200}


def test_a_crowd_is_answered_to_the_last(client: Client) -> None:
    statuses = asyncio.run(client.ask_often([{"do": "wait"}] * 500, 500))
    assert len(statuses) == 500
    assert set(statuses) <= {200, 429, 503}
    assert statuses.count(200) >= 400


def test_a_client_that_leaves_in_the_middle_of_its_request(client: Client) -> None:
    for _ in range(20):
        with socket.create_connection((client.host, client.port)) as connection:
            connection.sendall(client.request(b'{"do": "nothing"}')[:-5])
    assert asyncio.run(client.ask(HARMLESS))[0] == 200


def test_a_client_that_leaves_before_its_answer(client: Client) -> None:
    for _ in range(20):
        with socket.create_connection((client.host, client.port)) as connection:
            connection.sendall(client.request(b'{"do": "wait"}'))
    assert set(asyncio.run(client.ask_often([HARMLESS] * 50, 8))) == {200}


def test_a_client_that_sends_a_byte_at_a_time_holds_nobody_up(client: Client) -> None:
    async def story() -> tuple[list[int], bytes]:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        request = client.request(b'{"do": "slowly"}')
        others: list[int] = []
        for number in range(len(request)):
            writer.write(request[number : number + 1])
            await writer.drain()
            if number % 50 == 0:
                others.append((await client.ask(HARMLESS))[0])
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return others, answer

    others, answer = asyncio.run(story())
    assert set(others) == {200}
    assert answer.endswith(b'{"do": "slowly"}')


def test_a_body_of_30_mb_is_refused_and_the_next_is_answered(client: Client) -> None:
    status, body = asyncio.run(client.send(client.request(b'"' + b"x" * 30_000_000 + b'"')))
    assert status == 400
    assert b"6291456" in body
    assert len(body) < 10_000
    assert asyncio.run(client.ask(HARMLESS))[0] == 200


def test_ten_thousand_invocations_leave_nothing_behind(
    client: Client, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    def family() -> list[psutil.Process]:
        region = find(machine.home)
        assert region is not None
        first = psutil.Process(region.pid)
        return [first, *first.children(recursive=True)]

    def measured() -> tuple[int, int, float]:
        processes = family()
        return (
            len(processes),
            sum(process.num_fds() for process in processes),
            sum(process.memory_full_info().uss for process in processes) / 2**20,
        )

    asyncio.run(client.ask_often([HARMLESS] * 2_000, 8))  # what is made once is made now
    before = measured()
    statuses = asyncio.run(client.ask_often([HARMLESS] * 10_000, 8))
    after = measured()
    with capsys.disabled():
        sys.stdout.write(f"\n10,000 invocations: processes, descriptors, MB: {before}, then {after}\n")
    assert set(statuses) == {200}
    assert after[0] == before[0]
    assert after[1] <= before[1] + 8  # connections that are on their way out
    assert after[2] <= before[2] + 15


@pytest.fixture(scope="module")
def mortal(machine: Machine, new_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """An endpoint of two workers whose container waits no longer than a second for an answer."""
    project: Project = new_project(tmp_path_factory.mktemp("project"), "mortal")
    project.handler.write_text(HANDLER)
    variables = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "TS_DEFAULT_RESPONSE_TIMEOUT": "1"}
    project.configure(model_name="mortal", container_env=variables)
    project.deploy()
    yield project
    machine.hotfire("delete", "--yes", at=project.folder)


class Family:
    """The processes of one endpoint: where two endpoints share a zygote, its holder is the youngest."""

    def __init__(self, machine: Machine) -> None:
        region = find(machine.home)
        assert region is not None
        (self.zygote,) = psutil.Process(region.pid).children()
        self.holder = max(self.zygote.children(), key=psutil.Process.create_time)
        self.worker = self.holder.children()[0]


@pytest.mark.parametrize(
    ("victim", "deed", "cost"),
    [
        ("worker", signal.SIGKILL, 1),
        ("worker", signal.SIGSTOP, 1),
        ("holder", signal.SIGKILL, 2),
        ("zygote", signal.SIGKILL, 2),
    ],
)
def test_a_death_under_load_costs_what_was_in_hand(
    machine: Machine, mortal: Project, victim: str, deed: signal.Signals, cost: int
) -> None:
    client = Client(machine, mortal)
    # The region has seen the last death: there is a worker for each of these.
    assert set(asyncio.run(client.ask_often([HARMLESS] * 50, 8))) == {200}
    target: psutil.Process = getattr(Family(machine), victim)

    async def story() -> list[int]:
        asking = asyncio.create_task(client.ask_often([{"do": "wait"}] * 400, 8))
        await asyncio.to_thread(lambda: client_has_begun(client))
        target.send_signal(deed)
        return await asking

    def client_has_begun(client: Client) -> None:
        asyncio.run(client.ask(HARMLESS))

    statuses = asyncio.run(story())
    assert set(statuses) <= {200, 424}
    assert statuses.count(424) <= cost
    assert asyncio.run(client.ask(HARMLESS))[0] == 200


def test_a_handler_that_is_out_of_memory_fails_its_own_requests(client: Client) -> None:
    values = [{"do": "devour"} if number % 20 == 0 else HARMLESS for number in range(200)]
    statuses = asyncio.run(client.ask_often(values, 8))
    assert [statuses[number] for number in range(0, 200, 20)] == [424] * 10
    assert {status for number, status in enumerate(statuses) if number % 20} == {200}


@pytest.fixture
def small_disk(mount: Callable[[str], Path]) -> Path:
    """A file system of eight megabytes."""
    return mount("8m")


def test_a_full_disk_costs_lines_of_the_log_and_no_request(
    machines: Any, new_project: Any, small_disk: Path, tmp_path: Path
) -> None:
    machine = machines()
    machine.home = small_disk
    machine._environment["HOTFIRE_HOME"] = str(small_disk)
    project = new_project(tmp_path / "project", "full", machine)
    project.handler.write_text(HANDLER)
    project.deploy()
    client = Client(machine, project)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):  # until it is full
        while True:
            file.write(b"z" * 4096)
    statuses = asyncio.run(client.ask_often([{"do": "print"}] * 20 + [HARMLESS] * 50, 4))
    assert set(statuses) == {200}
    filler.unlink()
    assert project.hotfire("status").returncode == 0
    assert machine.hotfire("down").returncode == 0
    assert machine.is_quiet()
