"""Successors: instances of a model that is loaded already, with newer code."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hotfire.errors import LoadFailed
from hotfire.instances.base import Change, Request, Spec
from hotfire.instances.holders import NoCensus
from hotfire.instances.process import ProcessHost, ProcessInstance
from hotfire.instances.zygotes import Zygotes

pytestmark = pytest.mark.anyio

HANDLER = """\
import os, time

def model_fn(model_dir):
    print("loaded", flush=True)
    return {"pid": os.getpid()}

def transform_fn(model, body, content_type, accept):
    time.sleep(float(body))
    return f"old {model['pid']}"
"""
ENVIRONMENT = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
NEW = HANDLER.replace("old", "new")


class Served:
    """Instances of one handler, and what they printed."""

    def __init__(self, host: ProcessHost, tree: Path) -> None:
        self.printed: list[str] = []
        spec = Spec("i", tree, ENVIRONMENT, Path(sys.executable), 60.0)
        made = host.instance(spec, lambda _, line: self.printed.append(line))
        self.first: ProcessInstance = made

    async def successor(self, of: ProcessInstance, change: Change) -> ProcessInstance:
        heir = of.successor([change])
        assert heir is not None
        await heir.start()
        return heir


async def ask(instance: ProcessInstance, seconds: float = 0.0) -> str:
    body = str(seconds).encode()
    answer = await instance.invoke(Request("r", {"Content-Type": "application/json"}, body))
    assert answer.status == 200, answer.body.decode()
    return answer.body.decode()


async def gone(instance: ProcessInstance, pids: list[int]) -> None:
    """Wait until the instance knows that its workers have ended."""
    async with asyncio.timeout(30):
        while set(pids) & set(instance.pids):
            await asyncio.sleep(0.005)


def changed(source: str = NEW, *names: str) -> Change:
    return Change("code/serve.py", source, names or ("transform_fn",))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessHost]:
    zygotes = Zygotes({"PATH": os.environ["PATH"]}, NoCensus())
    host = ProcessHost(zygotes, tmp_path_factory.mktemp("instances"))
    yield host
    await host.close()


@pytest.fixture
async def served(host: ProcessHost, tmp_path: Path) -> AsyncIterator[Served]:
    handler = tmp_path / "tree" / "code" / "serve.py"
    handler.parent.mkdir(parents=True)
    (tmp_path / "tree" / "model.pt").touch()
    handler.write_text(HANDLER)
    served = Served(host, tmp_path / "tree")
    await served.first.start()
    yield served
    await served.first.stop()


async def test_it_serves_the_model_that_is_loaded_with_the_newer_code(served: Served) -> None:
    before = await ask(served.first)
    heir = await served.successor(served.first, changed())
    assert await ask(heir) == before.replace("old", "new")
    assert served.printed == ["loaded"]
    await heir.stop()


async def test_what_is_in_hand_ends_on_the_code_that_it_began_with(served: Served) -> None:
    slow = asyncio.create_task(ask(served.first, 0.5))
    await asyncio.sleep(0)
    heir = await served.successor(served.first, changed())
    await served.first.stop()
    assert (await slow).startswith("old")
    assert (await ask(heir)).startswith("new")
    await heir.stop()


async def test_one_that_does_not_come_up_leaves_the_other_as_it_was(served: Served) -> None:
    heir = served.first.successor([changed(NEW, "no_such_function")])
    assert heir is not None
    with pytest.raises(LoadFailed):
        await heir.start()
    await heir.stop()
    assert (await ask(served.first)).startswith("old")


async def test_a_worker_that_dies_is_replaced_by_one_with_the_newer_code(served: Served) -> None:
    heir = await served.successor(served.first, changed())
    await served.first.stop()
    killed = heir.pids
    os.kill(killed[0], signal.SIGKILL)
    await gone(heir, killed)
    assert (await ask(heir)).startswith("new")
    await heir.stop()


async def test_a_model_that_is_loaded_anew_has_the_newer_code(served: Served) -> None:
    heir = await served.successor(served.first, changed())
    await served.first.stop()
    killed = heir.pids
    os.killpg(heir._household.holders[0].pid, signal.SIGKILL)
    await gone(heir, killed)
    assert (await ask(heir)).startswith("new")
    assert [line for line in served.printed if line == "loaded"] == ["loaded", "loaded"]
    async with asyncio.timeout(30):
        while not {f"hotfire: worker {pid} ended" for pid in killed} <= set(served.printed):
            await asyncio.sleep(0.01)
    await heir.stop()


async def test_a_successor_has_successors(served: Served) -> None:
    one = await served.successor(served.first, changed())
    await served.first.stop()
    other = await served.successor(one, changed(HANDLER.replace("old", "newest")))
    await one.stop()
    assert (await ask(other)).startswith("newest")
    await other.stop()


async def test_where_workers_load_the_model_themselves_there_is_none(tmp_path: Path, served: Served) -> None:
    zygotes = Zygotes({"PATH": os.environ["PATH"]}, NoCensus(), fork=False)
    host = ProcessHost(zygotes, tmp_path / "spawned")
    instance = host.instance(served.first._spec, lambda *_: None)
    try:
        await instance.start()
        assert instance.successor([changed()]) is None
    finally:
        await instance.stop()
        await host.close()


async def test_large_files_on_another_disk_are_not_copied(
    tmp_path: Path, mount: Callable[[str], Path]
) -> None:
    """As a container's model data are: the disk of its own files need not hold them too."""
    disk = mount("8m")
    (disk / "code").mkdir()
    (disk / "code" / "serve.py").write_text(HANDLER)
    (disk / "weights").write_bytes(bytes(4 << 20))
    zygotes = Zygotes(dict(os.environ), NoCensus())
    host = ProcessHost(zygotes, tmp_path / "instances")
    served = Served(host, disk)
    await served.first.start()
    try:
        laid = tmp_path / "instances" / "1" / "model"
        assert (laid / "weights").samefile(disk / "weights")
        assert not (laid / "code" / "serve.py").samefile(disk / "code" / "serve.py")
        assert (await ask(served.first)).startswith("old")
    finally:
        await served.first.stop()
        await host.close()
    assert (disk / "weights").stat().st_size == 4 << 20
