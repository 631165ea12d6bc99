"""Containers for real: a daemon, an image made of this machine's Python, a region's host of containers."""

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from runpy import run_path
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
OF_PODMAN = {"container", "HOSTNAME", "TERM"}
"""Variables that each of its containers has."""

HAD = "it had 0.125 GiB, as ml.tiny has"
OUT_OF_MEMORY = f"was killed for want of memory (OOMKilled; {HAD})"
KILLED = f"was killed by signal 9 (for want of memory, perhaps: {HAD})"
TOLD = {"docker": {OUT_OF_MEMORY}, "podman": {OUT_OF_MEMORY, KILLED}}
"""Podman does not always see what it was killed for."""

Make = Callable[..., ContainerInstance]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    request.getfixturevalue(name)
    return name


@pytest.fixture(scope="module")
def variables(engine: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What leads to it."""
    leading = {} if engine == "docker" else request.getfixturevalue(engine)
    return {**variables_of_process(), **leading}


@pytest.fixture(scope="module")
def client(variables: Mapping[str, str]) -> Iterator[Any]:
    """Of that engine."""
    import docker

    client = docker.from_env(environment=dict(variables))
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(client: Any, repository: Path) -> str:
    name: str = run_path(str(repository / "tests" / "tiny_image.py"))["build"](client)
    return name


@pytest.fixture
async def host(client: Any, variables: Mapping[str, str], home: Path) -> AsyncIterator[ContainerHost]:
    host = ContainerHost(home, variables)
    yield host
    await host.close()
    assert containers(client, home) == []
    assert not (home / "containers").exists()


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
async def make(host: ContainerHost, tmp_path: Path, image: str, printed: list[str]) -> AsyncIterator[Make]:
    """An instance of this handler, stopped in the end."""
    made = []

    def make(
        handler: str = HANDLER,
        *,
        environment: Mapping[str, str] | None = None,
        patience: float = 30,
        image: str = image,
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


def containers(client: Any, home: Path) -> list[Any]:
    found: list[Any] = client.containers.list(all=True, filters={"label": f"{HOME_LABEL}={home}"})
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
    # Podman passes it on half a second later.
    while len(printed) < 2:
        await asyncio.sleep(0.01)
    assert printed == ["serving", "loaded"]


async def test_what_a_handler_answers_by_an_error_is_passed_on(make: Make) -> None:
    instance = make(changed('    return {"data"', '    raise KeyError("age")\n    return {"data"'))
    await instance.start()
    answer = await instance.invoke(request())
    assert answer.status == 500
    assert b"KeyError: 'age'" in answer.body
    assert (await instance.invoke(request())).status == 500


async def test_it_is_made_as_sagemaker_would(client: Any, home: Path, make: Make) -> None:
    await make(environment={"MINE": "1"}, memory=256 * MIB, processors=64, sized_as="ml.huge").start()
    (container,) = containers(client, home)
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    (mount,) = container.attrs["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/opt/ml/model", False)
    assert (host["Memory"], host["MemorySwap"]) == (256 * MIB, 256 * MIB)
    assert host["NanoCpus"] == client.info()["NCPU"] * 1_000_000_000
    assert [bound["HostIp"] for bound in container.ports["8080/tcp"]] == ["127.0.0.1"]
    assert config["Cmd"] == ["serve"]
    names = {variable.partition("=")[0] for variable in config["Env"]}
    assert names - {"PATH"} - OF_PODMAN == {
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


async def test_which_images_are_here_is_known(host: ContainerHost, image: str) -> None:
    assert await host.has_image(image)
    assert not await host.has_image("hotfire-tests/absent:1")


async def test_a_container_that_dies_at_the_start(client: Any, home: Path, make: Make) -> None:
    instance = make(changed('    print("loaded"', '    raise OSError("no weights")\n    print("loaded"'))
    with pytest.raises(LoadFailed) as failure:
        await instance.start()
    said = "the container ended with exit code 1 before it was healthy: OSError: no weights"
    assert failure.value.message == said
    assert "Traceback (most recent call last):" in failure.value.trace
    assert containers(client, home) == []


async def test_a_container_that_is_never_healthy(client: Any, home: Path, make: Make) -> None:
    instance = make(f"{HANDLER}\nPING = 503\n", patience=3)
    with pytest.raises(LoadFailed, match=r"did not answer /ping with 200 within 3 s: loaded"):
        await instance.start()
    assert containers(client, home) == []


async def test_an_image_without_a_server(client: Any, home: Path, make: Make, repository: Path) -> None:
    import io
    import tarfile

    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    told = client.api.import_image_from_data(empty.getvalue())
    client.images.get(json.loads(told.splitlines()[-1])["status"]).tag("hotfire-tests/empty", "1")
    try:
        with pytest.raises(LoadFailed, match="it has no program `serve`, which SageMaker runs"):
            await make(image="hotfire-tests/empty:1").start()
        assert containers(client, home) == []
    finally:
        client.images.remove("hotfire-tests/empty:1")


async def test_an_image_that_cannot_be_had(client: Any, home: Path, make: Make) -> None:
    with pytest.raises(LoadFailed, match=r"the image 127.0.0.1:1/absent:1 cannot be had"):
        await make(image="127.0.0.1:1/absent:1").start()
    assert containers(client, home) == []


async def test_what_does_not_fit_is_killed_and_replaced(engine: str, make: Make, printed: list[str]) -> None:
    handler = changed('    return {"data"', '    kept = bytearray(data)\n    return {"data"')
    instance = make(handler, memory=128 * MIB, sized_as="ml.tiny")
    await instance.start()
    answer = await instance.invoke(request(512 * MIB))
    assert answer.status == 500
    said = answer.body.decode().removeprefix("The container ").removesuffix(" with the request in hand.")
    assert said in TOLD[engine]
    assert (await instance.invoke(request(1))).status == 200
    assert f"hotfire: the container {said}" in printed


async def test_what_does_not_fit_at_the_start(engine: str, make: Make) -> None:
    handler = changed('    print("loaded"', '    kept = bytearray(512 << 20)\n    print("loaded"')
    with pytest.raises(LoadFailed) as failure:
        await make(handler, memory=128 * MIB, sized_as="ml.tiny").start()
    told = {f"the container {killed} before it was healthy: serving" for killed in TOLD[engine]}
    assert failure.value.message in told


async def test_a_server_that_ends_at_once(make: Make) -> None:
    for _ in range(5):
        with pytest.raises(LoadFailed) as failure:
            await make("raise SystemExit('FATAL: no licence')").start()
        said = "the container ended with exit code 1 before it was healthy: FATAL: no licence"
        assert failure.value.message == said


async def test_a_container_that_is_taken_away_is_replaced(
    client: Any, home: Path, make: Make, printed: list[str]
) -> None:
    instance = make()
    await instance.start()
    (before,) = containers(client, home)
    before.remove(force=True)
    while not any(line.startswith("hotfire: ") for line in printed):
        await asyncio.sleep(0.01)
    assert "hotfire: the container was killed by signal 9" in printed
    assert (await instance.invoke(request())).status == 200
    (after,) = containers(client, home)
    assert after.id != before.id


async def test_a_stop_in_the_middle_of_the_start(
    client: Any, home: Path, make: Make, printed: list[str]
) -> None:
    instance = make(changed('    print("loaded", flush=True)', "    time.sleep(60)"))
    starting = asyncio.ensure_future(instance.start())
    while "serving" not in printed:
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])
    await instance.stop()
    assert containers(client, home) == []


async def test_a_stop_waits_for_what_is_in_hand(make: Make) -> None:
    instance = make(changed('    return {"data"', '    time.sleep(0.5)\n    return {"data"'))
    await instance.start()
    asking = asyncio.ensure_future(instance.invoke(request()))
    while not instance.load:
        await asyncio.sleep(0.01)
    await instance.stop()
    assert (await asking).status == 200


async def test_a_server_that_does_not_end_is_killed(
    make: Make, client: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SECONDS_TO_END", 1)
    instance = make(changed("import json", "import signal; signal.signal(15, signal.SIG_IGN)\nimport json"))
    await instance.start()
    await instance.stop()
    assert containers(client, home) == []


async def test_a_region_finds_what_the_one_before_it_has_left(
    client: Any, variables: Mapping[str, str], home: Path, tmp_path: Path, image: str, printed: list[str]
) -> None:
    folder = model(tmp_path, HANDLER)
    left = ContainerHost(home, variables)
    instances = [made_by(left, folder, printed, {"N": str(n)}, 30, image=image) for n in (1, 2)]
    await asyncio.gather(*(instance.start() for instance in instances))
    names = {one.name for one in containers(client, home)}
    pid = json.loads((await instances[0].invoke(request())).body)

    # As after a kill: none is asked to end or replaced, and only one of the two is wanted again.
    host = ContainerHost(home, variables)
    for instance in instances:
        instance._stopping = True
    host.open()
    heir = made_by(host, folder, printed, {"N": "1"}, 30, image=image)
    await heir.start()
    (kept,) = containers(client, home)
    assert kept.name in names
    assert json.loads((await heir.invoke(request())).body) == pid
    assert "hotfire: the container that was there serves on" in printed
    await heir.stop()
    assert containers(client, home) == []
    await host.close()
    await asyncio.gather(*(instance.stop() for instance in instances))
    await left.close()


async def test_what_a_killed_region_has_left_can_be_cleared(
    client: Any, variables: Mapping[str, str], home: Path, make: Make
) -> None:
    instance = make()
    await instance.start()
    instance._stopping = True
    await asyncio.to_thread(clear, home, variables)
    assert containers(client, home) == []


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
