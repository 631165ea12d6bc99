import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from hotfire.errors import InstanceError, LoadFailed
from hotfire.instances import zygotes as module
from hotfire.instances.holders import Holder
from hotfire.instances.zygotes import Zygote, ZygoteKey, Zygotes

pytestmark = pytest.mark.anyio

PYTHON = Path(sys.executable)
KEY = ZygoteKey(PYTHON, ())
SLEEPER = "import os, time\ndef model_fn(model_dir):\n    print('loads', flush=True)\n    time.sleep(1000)\n"


class Census:
    """Who was born and has not died."""

    def __init__(self) -> None:
        self.living: dict[int, str] = {}

    def born(self, pid: int, kind: str) -> None:
        self.living[pid] = kind

    def died(self, pid: int) -> None:
        self.living.pop(pid, None)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def census() -> Census:
    return Census()


@pytest.fixture(scope="module")
async def zygotes(census: Census) -> AsyncIterator[Zygotes]:
    zygotes = Zygotes({"PATH": os.environ["PATH"]}, census)
    yield zygotes
    zygotes.close()


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """What a holder is to load: a model that takes for ever."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(SLEEPER)
    return {"model_dir": str(tmp_path / "model"), "environment": {}, "threads": 1}


def is_gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def held(zygote: Any, spec: dict[str, Any], on_lost: Callable[[], None] = lambda: None) -> Any:
    read_end, write_end = os.pipe()
    try:
        holder: Holder = await zygote.hold(spec, write_end, on_lost)
        yield holder
        holder.kill()
        await until(lambda: is_gone(holder.pid))
    finally:
        os.close(read_end)
        os.close(write_end)


def test_handlers_share_a_zygote_unless_variables_differ_that_are_read_at_import() -> None:
    variables = {"MINE": "1", "OMP_NUM_THREADS": "2", "HF_HOME": "/hf", "SAGEMAKER_BASE_DIR": "/opt"}
    assert ZygoteKey.of(PYTHON, {"MINE": "1", "SAGEMAKER_PROGRAM": "a.py"}) == KEY
    assert ZygoteKey.of(PYTHON, variables) == ZygoteKey(
        PYTHON, (("HF_HOME", "/hf"), ("OMP_NUM_THREADS", "2"), ("SAGEMAKER_BASE_DIR", "/opt"))
    )


def test_the_order_of_variables_makes_no_difference() -> None:
    one, other = {"OMP_A": "1", "MKL_B": "2"}, {"MKL_B": "2", "OMP_A": "1"}
    assert ZygoteKey.of(PYTHON, one) == ZygoteKey.of(PYTHON, other)


async def test_there_is_one_zygote_for_a_key(zygotes: Zygotes, census: Census) -> None:
    first, second = await asyncio.gather(zygotes.get(KEY), zygotes.get(KEY))
    await first.ready()
    assert first is second
    assert (zygotes.pids(), census.living[first.pid]) == ([first.pid], "zygote")


async def test_it_leads_a_group_and_is_a_child_of_the_region(zygotes: Zygotes) -> None:
    zygote = await zygotes.get(KEY)
    assert os.getpgid(zygote.pid) == zygote.pid
    assert psutil.Process(zygote.pid).ppid() == os.getpid()


async def test_it_has_no_thread_but_its_own(zygotes: Zygotes) -> None:
    zygote = await zygotes.get(KEY)
    await zygote.ready()
    assert psutil.Process(zygote.pid).num_threads() == 1


async def test_a_holder_is_forked_from_it_and_leads_a_group(
    zygotes: Zygotes, census: Census, spec: dict[str, Any]
) -> None:
    zygote = await zygotes.get(KEY)
    async with held(zygote, spec) as holder:
        assert psutil.Process(holder.pid).ppid() == zygote.pid
        assert os.getpgid(holder.pid) == holder.pid
        assert census.living[holder.pid] == "holder"
    await until(lambda: holder.pid not in census.living)


async def test_a_killed_holder_is_told_once(zygotes: Zygotes, spec: dict[str, Any]) -> None:
    lost: list[bool] = []
    async with held(await zygotes.get(KEY), spec, lambda: lost.append(True)) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        with pytest.raises(LoadFailed, match=r"was killed by signal 9 \(SIGKILL\) while it loaded the model"):
            await holder.loaded(30)
        await until(lambda: lost)
    assert lost == [True]


async def test_a_holder_that_does_not_load_in_time_is_ended(zygotes: Zygotes, spec: dict[str, Any]) -> None:
    async with held(await zygotes.get(KEY), spec) as holder:
        with pytest.raises(LoadFailed, match="the model was not loaded within 0 s"):
            await holder.loaded(0.05)
        await until(lambda: is_gone(holder.pid))


async def test_a_holder_that_is_gone_cannot_be_employed(zygotes: Zygotes, spec: dict[str, Any]) -> None:
    async with held(await zygotes.get(KEY), spec) as holder:
        holder.kill()
        with pytest.raises(InstanceError, match="the process that forks has ended"):
            await holder.employ("work", 0, ())


async def test_a_holder_that_nobody_waits_for_any_more_is_ended(
    zygotes: Zygotes, census: Census, spec: dict[str, Any]
) -> None:
    zygote = await zygotes.get(KEY)
    await zygote.ready()
    before = set(census.living)
    read_end, write_end = os.pipe()
    holding = asyncio.create_task(zygote.hold(spec, write_end, lambda: None))
    await asyncio.sleep(0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    os.close(write_end)
    # When the last process that could write to it has ended, the pipe ends.
    output = await asyncio.to_thread(os.read, read_end, 1)
    os.close(read_end)
    assert output == b""
    await until(lambda: set(census.living) == before)


async def test_variables_that_are_read_at_import_are_there_at_import(
    zygotes: Zygotes, census: Census
) -> None:
    other = await zygotes.get(ZygoteKey.of(PYTHON, {"OMP_NUM_THREADS": "3"}))
    # A process that has just begun a program does not show its variables yet.
    await until(lambda: psutil.Process(other.pid).environ().get("OMP_NUM_THREADS") == "3")
    assert "OMP_NUM_THREADS" not in psutil.Process((await zygotes.get(KEY)).pid).environ()
    os.kill(other.pid, signal.SIGKILL)
    with pytest.raises(LoadFailed, match="ended while it imported torch"):
        await other.ready()
    await until(lambda: other.pid not in census.living)


async def test_a_zygote_that_is_not_used_ends_after_a_while(
    zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)
    zygote = await zygotes.get(ZygoteKey.of(PYTHON, {"OMP_A": "1"}))
    await until(lambda: is_gone(zygote.pid))
    assert zygote.pid not in zygotes.pids()


async def test_a_zygote_that_is_used_stays_until_a_while_after_that(
    zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)
    zygote = await zygotes.get(ZygoteKey.of(PYTHON, {"OMP_A": "2"}))
    zygotes.hired(zygote)
    await asyncio.sleep(0.1)
    assert zygote.pid in zygotes.pids()
    zygotes.left(zygote)
    assert zygote.pid in zygotes.pids()
    await until(lambda: is_gone(zygote.pid))


async def test_a_zygote_that_was_killed_is_made_anew(
    zygotes: Zygotes, census: Census, spec: dict[str, Any]
) -> None:
    zygote = await zygotes.get(KEY)
    async with held(zygote, spec) as holder:
        os.kill(zygote.pid, signal.SIGKILL)
        await until(lambda: is_gone(holder.pid))
    await until(lambda: zygote.pid not in census.living)
    again = await zygotes.get(KEY)
    assert isinstance(again, Zygote)
    await again.ready()
    async with held(again, spec) as holder:
        assert psutil.Process(holder.pid).ppid() == again.pid


async def test_closing_ends_them_with_their_holders(census: Census, spec: dict[str, Any]) -> None:
    zygotes = Zygotes({"PATH": os.environ["PATH"]}, Census())
    zygote = await zygotes.get(KEY)
    async with held(zygote, spec) as holder:
        zygotes.close()
        await until(lambda: is_gone(holder.pid))
    assert (is_gone(zygote.pid), zygotes.pids()) == (True, [])
