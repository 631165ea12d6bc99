"""What befalls containers from outside: a daemon that ends or comes up late, ports, disks, GPUs."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import HostAway, LoadFailed
from hotfire.instances import container
from hotfire.instances.base import Container, Request, Spec
from hotfire.instances.container import ContainerInstance
from hotfire.instances.containers import ContainerHost

pytestmark = [
    pytest.mark.anyio,
    # The package `docker` forgets the socket by which it found nobody.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HANDLER = """
import json, os

def model_fn(model_dir):
    return os.getpid()

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return data

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
IMAGE = "hotfire-tests/tiny:2"
SECONDS = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def daemon(own_docker: Callable[..., Any]) -> Any:
    return own_docker()


@pytest.fixture
def running_daemon(daemon: Any) -> Any:
    """It runs when the test begins."""
    daemon.stop()
    daemon.start()
    return daemon


@pytest.fixture
def client(running_daemon: Any) -> Iterator[Any]:
    client = running_daemon.client()
    yield client
    client.close()


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
async def host(daemon: Any, tmp_path: Path) -> AsyncIterator[ContainerHost]:
    host = ContainerHost(tmp_path, daemon.variables)
    yield host
    await host.close()


@pytest.fixture
async def instance(
    host: ContainerHost, tmp_path: Path, printed: list[str], request: pytest.FixtureRequest
) -> AsyncIterator[ContainerInstance]:
    made = made_by(host, tmp_path, printed, **getattr(request, "param", {}))
    yield made
    await made.stop()


def made_by(host: ContainerHost, folder: Path, printed: list[str], **how: Any) -> ContainerInstance:
    handler = folder / "model" / "code" / "inference.py"
    handler.parent.mkdir(parents=True, exist_ok=True)
    handler.write_text(HANDLER)
    spec = Spec(
        "AllTraffic/i-1",
        folder / "model",
        {},
        Path("/none"),
        SECONDS,
        endpoint="tiny",
        container=Container(IMAGE, **how),
    )
    return host.instance(spec, lambda request, line: printed.append(line))


async def ask(instance: ContainerInstance) -> int:
    answer = await instance.invoke(Request("r", {}, json.dumps(1).encode(), SECONDS))
    return answer.status


async def until_it_answers(instance: ContainerInstance) -> None:
    async with asyncio.timeout(SECONDS):
        while await ask(instance) != 200:
            await asyncio.sleep(0.05)


def fill(file: Path) -> None:
    """Let a file take all that is left of its disk."""
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 16))


def ids(client: Any) -> list[str]:
    return [one["Id"] for one in client.api.containers(all=True)]


async def test_an_engine_that_is_not_up_yet_is_told_from_a_model_that_fails(
    running_daemon: Any, instance: ContainerInstance
) -> None:
    running_daemon.stop()
    with pytest.raises(HostAway, match=r"no container engine answers at unix:.*\. Start Docker"):
        await instance.start()


async def test_an_engine_that_is_started_again_serves_again(
    running_daemon: Any, client: Any, instance: ContainerInstance, printed: list[str]
) -> None:
    await instance.start()
    (before,) = ids(client)
    await asyncio.to_thread(running_daemon.stop)
    while not any("does not answer any more" in line for line in printed):
        await asyncio.sleep(0.02)
    assert await ask(instance) == 500
    await asyncio.to_thread(running_daemon.start)
    await until_it_answers(instance)
    (after,) = ids(client)
    assert after != before


async def test_a_stop_while_the_engine_is_away_leaves_nothing_for_long(
    running_daemon: Any, client: Any, host: ContainerHost, tmp_path: Path, printed: list[str]
) -> None:
    first = made_by(host, tmp_path, printed)
    await first.start()
    running_daemon.stop()
    await first.stop()
    running_daemon.start()
    assert len(ids(client)) == 1
    second = made_by(host, tmp_path, printed)
    await second.start()
    try:
        assert len(ids(client)) == 1
    finally:
        await second.stop()
    assert ids(client) == []


async def test_a_region_that_was_killed_finds_its_containers_when_the_engine_comes_up(
    running_daemon: Any, client: Any, tmp_path: Path, printed: list[str]
) -> None:
    left = ContainerHost(tmp_path, running_daemon.variables)
    first = made_by(left, tmp_path, printed)
    await first.start()
    first._stopping = True  # as after a kill: it is not asked to end, nor replaced
    running_daemon.stop()
    host = ContainerHost(tmp_path, running_daemon.variables)
    host.open()
    with pytest.raises(HostAway):
        await made_by(host, tmp_path, printed).start()
    await asyncio.to_thread(running_daemon.start)
    async with asyncio.timeout(SECONDS):
        while ids(client):
            await asyncio.sleep(0.02)
    await host.close()
    await first.stop()
    await left.close()


async def test_a_port_that_is_taken_meanwhile_is_another(
    client: Any, host: ContainerHost, tmp_path: Path, printed: list[str]
) -> None:
    first, second = made_by(host, tmp_path, printed), made_by(host, tmp_path, printed)
    await first.start()
    try:
        (container,) = client.containers.list()
        port = int(container.ports["8080/tcp"][0]["HostPort"])
        with ExitStack() as stack:
            for number in range(port + 1, port + 4):
                taken = stack.enter_context(socket.socket())
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):  # somebody else has it: so it is taken
                    taken.bind(("127.0.0.1", number))
                    taken.listen()
            await second.start()
        assert await ask(second) == 200
        assert len(ids(client)) == 2
    finally:
        await asyncio.gather(first.stop(), second.stop())
    assert ids(client) == []


@pytest.mark.parametrize("instance", [{"gpus": True}], indirect=True)
async def test_a_machine_without_gpus_says_so(client: Any, instance: ContainerInstance) -> None:
    with pytest.raises(LoadFailed) as failure:
        await instance.start()
    assert failure.value.message == (
        "the container cannot be started: the engine has no GPU to give. "
        "Install NVIDIA's Container Toolkit, or use `instance_type: local_container`."
    )
    assert ids(client) == []


async def test_gpus_are_asked_for_as_devices(
    client: Any, host: ContainerHost, tmp_path: Path, printed: list[str]
) -> None:
    engine = await host.engine()
    recipe = host.recipe(
        Spec("s", tmp_path, {}, Path(), SECONDS, endpoint="tiny", container=Container(IMAGE, gpus=True))
    )
    made = client.containers.get(engine.create(recipe))
    try:
        (devices,) = made.attrs["HostConfig"]["DeviceRequests"]
        assert (devices["Count"], devices["Capabilities"]) == (-1, [["gpu"]])
    finally:
        made.remove()


async def test_a_full_disk_of_the_engine_is_one_clear_message(
    own_docker: Callable[..., Any],
    mount: Callable[[str], Path],
    tmp_path: Path,
    printed: list[str],
) -> None:
    disk = mount("300m")
    daemon = own_docker(disk / "data")
    fill(disk / "filler")
    host = ContainerHost(tmp_path, daemon.variables)
    instance = made_by(host, tmp_path, printed)
    with pytest.raises(LoadFailed) as failure:
        await instance.start()
    assert "no space is left on the engine's disk. `docker system df` shows" in failure.value.message
    (disk / "filler").unlink()
    await instance.stop()
    await host.close()
    client = daemon.client()
    assert ids(client) == []
    client.close()
    daemon.close()


async def test_a_full_disk_of_the_regions_is_one_clear_message(
    running_daemon: Any, mount: Callable[[str], Path], tmp_path: Path, printed: list[str]
) -> None:
    home = mount("64k,nr_inodes=2")
    (home / "filler").touch()
    host = ContainerHost(home, running_daemon.variables)
    with pytest.raises(LoadFailed, match=r"cannot be written to: No space left on device\. Free space"):
        await made_by(host, tmp_path, printed).start()
    await host.close()


async def test_a_container_that_is_not_healthy_any_more_is_replaced(
    client: Any,
    host: ContainerHost,
    tmp_path: Path,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container, "_SECONDS_BETWEEN_PINGS", 0.05)
    instance = made_by(host, tmp_path, printed)
    sick = HANDLER.replace("    return data", "    global PING\n    PING = 200 + data\n    return data")
    (tmp_path / "model" / "code" / "inference.py").write_text(sick)
    await instance.start()
    (before,) = ids(client)
    await instance.invoke(Request("r", {}, b"303", SECONDS))
    said = "hotfire: the container did not answer /ping with 200, 3 times in a row"
    while said not in printed:
        await asyncio.sleep(0.02)
    assert (await instance.invoke(Request("r", {}, b"0", SECONDS))).status == 200
    (after,) = ids(client)
    assert after != before
    await instance.stop()
