"""Containers for real: a daemon, an image made of this machine's Python, a region's host of containers."""

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfire.container_engine import HOME_LABEL, Engine
from hotfire.environment import variables_of_process
from hotfire.errors import DeadlineExceeded, EngineError, LoadFailed, StreamBroken
from hotfire.instances import running
from hotfire.instances.base import Container, Request, Spec
from hotfire.instances.container import ContainerInstance
from hotfire.instances.containers import ContainerHost, clear

pytestmark = pytest.mark.anyio

HANDLER = """
import json, os, sys, time

def model_fn(model_dir):
    print("loaded", flush=True)

def input_fn(body, content_type):
    return json.loads(body or b"null")

def predict_fn(data, model):
    return {"data": data, "pid": os.getpid()}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
MIB = 1 << 20

Make = Callable[..., ContainerInstance]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
async def host(docker: Any, home: Path) -> AsyncIterator[ContainerHost]:
    host = ContainerHost(home, variables_of_process())
    yield host
    await host.close()
    assert containers(docker, home) == []
    assert not (home / "containers").exists()


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
async def make(
    host: ContainerHost, tmp_path: Path, tiny_image: str, printed: list[str]
) -> AsyncIterator[Make]:
    """An instance of this handler, stopped in the end."""
    made = []

    def make(
        handler: str = HANDLER,
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 30,
        image: str = tiny_image,
        **how: Any,
    ) -> ContainerInstance:
        folder = model(tmp_path, handler)
        instance = made_by(host, folder, printed, environment or {}, patience, image=image, **how)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        await instance.stop()


def model(folder: Path, handler: str) -> Path:
    file = folder / "model" / "code" / "inference.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(handler)
    return folder / "model"


def made_by(
    host: ContainerHost,
    model_dir: Path,
    printed: list[str],
    environment: Mapping[str, str],
    patience: float,
    **how: Any,
) -> ContainerInstance:
    spec = Spec(
        "AllTraffic/i-1",
        model_dir,
        {"PYTHONUNBUFFERED": "1", **environment},
        Path("/none"),
        patience,
        endpoint="tiny",
        container=Container(**how),
    )
    return host.instance(spec, lambda request, line: printed.append(line))


def containers(docker: Any, home: Path) -> list[Any]:
    found: list[Any] = docker.containers.list(all=True, filters={"label": f"{HOME_LABEL}={home}"})
    return found


def request(data: Any = None, limit: float = 20.0, **headers: str) -> Request:
    return Request("r", {"Content-Type": "application/json", **headers}, json.dumps(data).encode(), limit)


def changed(old: str, new: str) -> str:
    assert old in HANDLER
    return HANDLER.replace(old, new)


async def test_a_model_answers_and_prints(make: Make, printed: list[str]) -> None:
    instance = make()
    await instance.start()
    answer = await instance.invoke(request([1], **{"X-Amzn-SageMaker-Custom-Attributes": "a=b"}))
    assert (answer.status, json.loads(answer.body)["data"]) == (200, [1])
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Amzn-SageMaker-Custom-Attributes"] == "a=b"
    assert printed == ["serving", "loaded"]


async def test_what_a_handler_answers_by_an_error_is_passed_on(make: Make) -> None:
    instance = make(changed('    return {"data"', '    raise KeyError("age")\n    return {"data"'))
    await instance.start()
    answer = await instance.invoke(request())
    assert answer.status == 500
    assert b"KeyError: 'age'" in answer.body
    assert (await instance.invoke(request())).status == 500


async def test_it_is_made_as_sagemaker_would(docker: Any, home: Path, make: Make) -> None:
    await make(environment={"MINE": "1"}, memory=256 * MIB, processors=64, sized_as="ml.huge").start()
    (container,) = containers(docker, home)
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    (mount,) = container.attrs["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/opt/ml/model", False)
    assert (host["Memory"], host["MemorySwap"]) == (256 * MIB, 256 * MIB)
    assert host["NanoCpus"] == docker.info()["NCPU"] * 1_000_000_000
    assert [bound["HostIp"] for bound in container.ports["8080/tcp"]] == ["127.0.0.1"]
    assert config["Cmd"] == ["serve"]
    names = {variable.partition("=")[0] for variable in config["Env"]}
    assert names - {"PATH"} == {
        "MINE",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "AWS_EC2_METADATA_DISABLED",
    }


async def test_requests_are_answered_side_by_side_on_kept_connections(make: Make) -> None:
    handler = changed("    return json.loads", "    time.sleep(0.2)\n    return json.loads")
    instance = make(handler)
    await instance.start()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answers = await asyncio.gather(*(instance.invoke(request(n)) for n in range(20)))
    assert [json.loads(answer.body)["data"] for answer in answers] == list(range(20))
    assert loop.time() - begun < 20 * 0.2
    assert instance.load == 0


async def test_an_answer_that_does_not_come_in_time(make: Make) -> None:
    instance = make(changed('    return {"data"', '    time.sleep(data)\n    return {"data"'))
    await instance.start()
    with pytest.raises(DeadlineExceeded):
        await instance.invoke(request(5, limit=0.2))
    assert (await instance.invoke(request(0))).status == 200


async def test_an_answer_in_parts(make: Make) -> None:
    handler = changed(
        "    return json.dumps(prediction)", '    yield "one "\n    time.sleep(0.3)\n    yield "two"'
    )
    instance = make(handler)
    await instance.start()
    answer = await instance.stream(request())
    assert (answer.body, instance.load) == (b"one ", 1)
    assert answer.rest is not None
    assert [part async for part in answer.rest] == [b"two"]
    assert instance.load == 0
    assert (await instance.invoke(request())).body == b"one two"


async def test_an_answer_that_breaks_off(make: Make) -> None:
    handler = changed(
        "    return json.dumps(prediction)",
        '    yield "one "\n    time.sleep(0.3)\n    raise ValueError("two")',
    )
    instance = make(handler)
    await instance.start()
    answer = await instance.stream(request())
    assert answer.rest is not None
    with pytest.raises(StreamBroken):
        await anext(answer.rest)
    assert instance.load == 0


async def test_who_wants_no_more_of_an_answer(make: Make) -> None:
    handler = changed("    return json.dumps(prediction)", '    while True:\n        yield "x" * 1000')
    instance = make(handler)
    await instance.start()
    answer = await instance.stream(request())
    assert answer.rest is not None
    await answer.rest.aclose()
    assert instance.load == 0


async def test_which_images_are_here_is_known(host: ContainerHost, tiny_image: str) -> None:
    assert await host.has_image(tiny_image)
    assert not await host.has_image("hotfire-tests/absent:1")


async def test_a_container_that_dies_at_the_start(docker: Any, home: Path, make: Make) -> None:
    instance = make(changed('    print("loaded"', '    raise OSError("no weights")\n    print("loaded"'))
    with pytest.raises(LoadFailed) as failure:
        await instance.start()
    said = "the container ended with exit code 1 before it was healthy: OSError: no weights"
    assert failure.value.message == said
    assert "Traceback (most recent call last):" in failure.value.trace
    assert containers(docker, home) == []


async def test_a_container_that_is_never_healthy(docker: Any, home: Path, make: Make) -> None:
    instance = make(f"{HANDLER}\nPING = 503\n", patience=3)
    with pytest.raises(LoadFailed, match=r"did not answer /ping with 200 within 3 s: loaded"):
        await instance.start()
    assert containers(docker, home) == []


async def test_an_image_without_a_server(docker: Any, home: Path, make: Make, repository: Path) -> None:
    import io
    import tarfile

    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    docker.api.import_image_from_data(empty.getvalue(), "hotfire-tests/empty", "1")
    try:
        with pytest.raises(LoadFailed, match="it has no program `serve`, which SageMaker runs"):
            await make(image="hotfire-tests/empty:1").start()
        assert containers(docker, home) == []
    finally:
        docker.images.remove("hotfire-tests/empty:1")


async def test_an_image_that_cannot_be_had(docker: Any, home: Path, make: Make) -> None:
    with pytest.raises(LoadFailed, match=r"the image 127.0.0.1:1/absent:1 cannot be had"):
        await make(image="127.0.0.1:1/absent:1").start()
    assert containers(docker, home) == []


async def test_what_does_not_fit_is_killed_and_replaced(make: Make, printed: list[str]) -> None:
    handler = changed('    return {"data"', '    kept = bytearray(data)\n    return {"data"')
    instance = make(handler, memory=128 * MIB, sized_as="ml.tiny")
    await instance.start()
    answer = await instance.invoke(request(512 * MIB))
    said = b"The container was killed for want of memory (OOMKilled) with the request in hand."
    assert (answer.status, answer.body) == (500, said)
    assert (await instance.invoke(request(1))).status == 200
    reason = "was killed for want of memory (OOMKilled): it had 0.125 GiB, as ml.tiny has"
    assert f"hotfire: the container {reason}" in printed


async def test_a_container_that_is_taken_away_is_replaced(
    docker: Any, home: Path, make: Make, printed: list[str]
) -> None:
    instance = make()
    await instance.start()
    (before,) = containers(docker, home)
    before.remove(force=True)
    while "hotfire: the container was killed by signal 9" not in printed:
        await asyncio.sleep(0.01)
    assert (await instance.invoke(request())).status == 200
    (after,) = containers(docker, home)
    assert after.id != before.id


async def test_a_stop_in_the_middle_of_the_start(
    docker: Any, home: Path, make: Make, printed: list[str]
) -> None:
    instance = make(changed('    print("loaded", flush=True)', "    time.sleep(60)"))
    starting = asyncio.ensure_future(instance.start())
    while "serving" not in printed:
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])
    await instance.stop()
    assert containers(docker, home) == []


async def test_a_stop_waits_for_what_is_in_hand(make: Make) -> None:
    instance = make(changed('    return {"data"', '    time.sleep(0.5)\n    return {"data"'))
    await instance.start()
    asking = asyncio.ensure_future(instance.invoke(request()))
    while not instance.load:
        await asyncio.sleep(0.01)
    await instance.stop()
    assert (await asking).status == 200


async def test_a_server_that_does_not_end_is_killed(
    make: Make, docker: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SECONDS_TO_END", 1)
    instance = make(changed("import json", "import signal; signal.signal(15, signal.SIG_IGN)\nimport json"))
    await instance.start()
    await instance.stop()
    assert containers(docker, home) == []


async def test_a_region_finds_what_the_one_before_it_has_left(
    docker: Any, home: Path, tmp_path: Path, tiny_image: str, printed: list[str]
) -> None:
    folder = model(tmp_path, HANDLER)
    left = ContainerHost(home, variables_of_process())
    instances = [made_by(left, folder, printed, {"N": str(n)}, 30, image=tiny_image) for n in (1, 2)]
    await asyncio.gather(*(instance.start() for instance in instances))
    names = {one.name for one in containers(docker, home)}
    pid = json.loads((await instances[0].invoke(request())).body)

    # As after a kill: none is asked to end or replaced, and only one of the two is wanted again.
    host = ContainerHost(home, variables_of_process())
    for instance in instances:
        instance._stopping = True
    host.open()
    heir = made_by(host, folder, printed, {"N": "1"}, 30, image=tiny_image)
    await heir.start()
    (kept,) = containers(docker, home)
    assert kept.name in names
    assert json.loads((await heir.invoke(request())).body) == pid
    assert printed[-1] == "hotfire: the container that was there serves on"
    await heir.stop()
    assert containers(docker, home) == []
    await host.close()
    await asyncio.gather(*(instance.stop() for instance in instances))
    await left.close()


async def test_what_a_killed_region_has_left_can_be_cleared(
    docker: Any, home: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make()
    await instance.start()
    instance._stopping = True
    await asyncio.to_thread(clear, home, variables_of_process())
    assert containers(docker, home) == []


# The package `docker` forgets the socket by which it found nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_does_not_run() -> None:
    with pytest.raises(EngineError) as failure:
        Engine.connect({"DOCKER_HOST": "unix:///nowhere.sock"})
    assert failure.value.message == "no container engine answers at unix:///nowhere.sock"
    assert "sudo systemctl start docker" in failure.value.advice
    del failure
    gc.collect()


def test_an_engine_of_another_machine() -> None:
    with pytest.raises(EngineError, match="another machine's"):
        Engine.connect({"DOCKER_HOST": "tcp://192.0.2.1:2375"})


async def test_no_thread_outlives_an_instance(make: Make) -> None:
    instance = make()
    await instance.start()
    await instance.stop()
    for thread in threading.enumerate():
        if thread.name.startswith("log of"):
            thread.join(10)
            assert not thread.is_alive()
