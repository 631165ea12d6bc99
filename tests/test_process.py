"""Instances made of real processes. Most handlers here run the Python that a request brings."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import venv
from ast import literal_eval
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hotfire.errors import DeadlineExceeded, LoadFailed, QueueFull
from hotfire.instances import process, workers
from hotfire.instances.base import Answer, Request, Spec
from hotfire.instances.process import ProcessHost, ProcessInstance
from hotfire.instances.workers import Worker
from hotfire.instances.zygotes import Zygotes

pytestmark = pytest.mark.anyio

RUNS = """\
import os, random, signal, subprocess, sys, threading, time
from pathlib import Path

def model_fn(model_dir):
    return {"weights": "loaded"}

def transform_fn(model, code, content_type, accept, context):
    scope = {**globals(), "model": model, "context": context, "answer": "done"}
    exec(code, scope)
    return scope["answer"]
"""
DIED = b'{\n  "code": 500,\n  "type": "InternalServerException",\n  "message": "Worker died."\n}\n'
PID = "answer = str(os.getpid())"
NO_FORKS = "hotfire: each worker loads the model itself: processes are not forked here"
"""Said of each instance whose processes are spawned."""


class Served:
    """An instance that serves, and what it printed."""

    def __init__(self, host: ProcessHost, spec: Spec) -> None:
        self.printed: list[tuple[str, str]] = []
        self.instance: ProcessInstance = host.instance(spec, self._take)
        self.asked = 0

    def _take(self, request: str, line: str) -> None:
        if line != NO_FORKS:
            self.printed.append((request, line))

    async def ask(self, code: str, *, limit: float = 60.0, name: str = "") -> Answer:
        self.asked += 1
        request = Request(
            name or f"r{self.asked}", {"Content-Type": "application/json"}, code.encode(), limit
        )
        return await self.instance.invoke(request)

    async def begin(self, code: str, **options: Any) -> "asyncio.Task[Answer]":
        """Ask, and wait for the answer later."""
        task = asyncio.create_task(self.ask(code, **options))
        await asyncio.sleep(0)  # from here on the instance has it
        return task

    async def text(self, code: str) -> str:
        answer = await self.ask(code)
        assert answer.status == 200, answer.body.decode()
        return answer.body.decode()

    @property
    def group(self) -> int:
        """The process group of the holder and all that came from it."""
        return self.instance._household.holders[0].pid

    def names(self) -> list[str]:
        """Of the programs that run in its groups."""
        return [one.name() for one in members({holder.pid for holder in self.instance._household.holders})]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


class NoCensus:
    def born(self, pid: int, kind: str) -> None: ...

    def died(self, pid: int) -> None: ...


def about_forks(reason: str) -> pytest.MarkDecorator:
    """A test that has no meaning where nothing is forked."""
    assert reason
    return pytest.mark.parametrize("host", ["forked"], indirect=True)


def members(groups: set[int]) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(one.pid) in groups and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", params=["forked", "spawned"])
async def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ProcessHost]:
    """Where processes are forked, and where that is not safe and each is a new program."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    zygotes = Zygotes(environment, NoCensus(), fork=request.param == "forked")
    host = ProcessHost(zygotes, tmp_path_factory.mktemp("instances"))
    yield host
    await host.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The model data that is served."""
    (tmp_path / "tree" / "code").mkdir(parents=True)
    return tmp_path / "tree"


def server(host: ProcessHost, tree: Path) -> Serve:
    @asynccontextmanager
    async def serve(
        source: str = RUNS,
        *,
        workers: int = 1,
        python: Path = Path(sys.executable),
        startup_timeout: float = 60.0,
        **environment: str,
    ) -> AsyncIterator[Served]:
        (tree / "code" / "inference.py").write_text(source)
        variables = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), **environment}
        served = Served(host, Spec("e", tree, variables, python, startup_timeout))
        instance = served.instance
        groups: set[int] = set()
        try:
            await instance.start()
            yield served
        finally:
            groups |= {holder.pid for holder in instance._household.holders}
            await instance.stop()
            await until(lambda: not members(groups))
            assert not instance._household._folder.parent.exists()

    return serve


@pytest.fixture
def serve(host: ProcessHost, tree: Path) -> Serve:
    """Serves a handler for as long as a block lasts, after which nothing of it is left."""
    return server(host, tree)


@pytest.fixture
def flag(tmp_path: Path) -> Iterator[Path]:
    """A file that requests wait for; it comes at the end of the test by itself."""
    yield tmp_path / "flag"
    (tmp_path / "flag").touch()


def wait_for(flag: Path, then: str = "") -> str:
    return f"print('begun')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.005)\n{then}"


async def test_a_request_is_answered_by_the_handler(serve: Serve) -> None:
    async with serve() as served:
        answer = await served.ask("answer = model['weights']")
    assert (answer.status, answer.headers, answer.body) == (
        200,
        {"content-type": "application/json"},
        b"loaded",
    )


async def test_an_answer_says_how_long_each_function_took(serve: Serve) -> None:
    source = (
        "import time\n"
        "def model_fn(model_dir): return None\n"
        "def input_fn(body, content_type): return body\n"
        "def predict_fn(body, model): time.sleep(0.02); return body\n"
        "def output_fn(body, accept): return body\n"
    )
    async with serve(source) as served:
        times = (await served.ask("x")).times
    assert list(times) == ["input_fn", "predict_fn", "output_fn"]
    assert times["predict_fn"] >= 0.02


async def test_the_handler_stands_where_it_does_in_the_container(serve: Serve, tree: Path) -> None:
    (tree / "model.pt").touch()
    async with serve(MINE="yes") as served:
        folder = str(served.instance._household._folder)
        assert await served.text("answer = os.getcwd()") == folder
        assert await served.text("answer = os.environ['MINE']") == "yes"
        assert await served.text("answer = repr(sys.path[:2])") == repr([f"{folder}/code", folder])
        program = (
            "subprocess.check_output([sys.executable, '-c', 'import inference; print(inference.__file__)'])"
        )
        assert await served.text(f"answer = {program}") == f"{folder}/code/inference.py\n"


async def test_a_folder_that_is_alone_in_the_models_is_taken_for_it(serve: Serve) -> None:
    async with serve() as served:
        code = f"{served.instance._household._folder}/code"
        assert await served.text("answer = os.getcwd()") == code
        assert await served.text("answer = repr(sys.path.count(os.getcwd()))") == "1"


async def test_nothing_of_ours_is_on_the_handlers_path(serve: Serve, tree: Path) -> None:
    (tree / "model.pt").touch()
    plain = subprocess.check_output([sys.executable, "-c", "import sys; print(sys.path)"], cwd="/", text=True)
    async with serve() as served:
        path = literal_eval(await served.text("answer = repr(sys.path[2:])"))
    assert path == [entry for entry in literal_eval(plain) if entry]


async def test_what_a_handler_writes_stays_its_own(serve: Serve, tree: Path) -> None:
    (tree / "notes.txt").write_text("as deployed")
    (tree / "notes.txt").chmod(0o444)
    async with serve() as served:
        await served.text("Path('notes.txt').write_text('mine'); Path('new.txt').write_text('mine')")
        assert await served.text("answer = Path('notes.txt').read_text()") == "mine"
    assert (tree / "notes.txt").read_text() == "as deployed"
    assert not (tree / "new.txt").exists()


async def test_large_files_are_not_copied(serve: Serve, tree: Path) -> None:
    (tree / "model.bin").write_bytes(bytes(2_000_000))
    async with serve() as served:
        inode = await served.text("answer = str(os.stat('model.bin').st_ino)")
    assert int(inode) == (tree / "model.bin").stat().st_ino


async def test_a_large_environment_reaches_the_handler(serve: Serve) -> None:
    """As large as SageMaker lets it be."""
    variables = {f"V{number}": "é" * 1024 for number in range(99)}
    async with serve(**variables) as served:
        assert await served.text("answer = str(os.environ['V98'] == 'é' * 1024)") == "True"


async def test_workers_answer_side_by_side(serve: Serve, flag: Path) -> None:
    async with serve(workers=2) as served:
        first = await served.begin(wait_for(flag, PID))
        second = await served.text(PID)
        flag.touch()
        assert (await first).body.decode() != second
        assert sorted(served.instance.pids) == sorted([int((await first).body), int(second)])


async def test_a_worker_answers_one_request_at_a_time(serve: Serve, flag: Path) -> None:
    async with serve() as served:
        first = await served.begin(wait_for(flag, "model['first'] = True"))
        second = await served.begin("answer = str(model.get('first'))")
        await until(lambda: served.printed)
        assert (served.instance.load, first.done(), second.done()) == (2, False, False)
        flag.touch()
        assert (await second).body == b"True"
        assert served.instance.load == 0


async def test_workers_differ_in_their_random_numbers(serve: Serve, flag: Path) -> None:
    seeds = "random.seed(1); numpy.random.seed(1); torch.manual_seed(1)"
    source = RUNS.replace("import os", "import numpy, torch, os").replace(
        "    return {", f"    {seeds}\n    return {{"
    )
    numbers = "answer = repr([random.random(), numpy.random.rand(), torch.rand(1).item()])"
    async with serve(source, workers=2) as served:
        asked = [await served.begin(wait_for(flag, numbers)) for _ in range(2)]
        await until(lambda: len(served.printed) == 2)
        flag.touch()
        first, second = [literal_eval((await one).body.decode()) for one in asked]
    assert [one == other for one, other in zip(first, second, strict=True)] == [False] * 3


async def test_a_worker_has_its_share_of_the_cores_once_its_requests_prove_long(serve: Serve) -> None:
    async with serve(RUNS.replace("import os", "import torch, os")) as served:
        threads = "answer = str(torch.get_num_threads())"
        assert await served.text(threads) == "1"
        for _ in range(3):
            await served.text("time.sleep(0.02)")
        assert await served.text(threads) == str(os.cpu_count())


@about_forks("spawned workers load it each for itself")
async def test_workers_share_the_model(serve: Serve) -> None:
    source = RUNS.replace('{"weights": "loaded"}', "torch.ones(50_000_000)").replace(
        "import os", "import torch, os"
    )
    async with serve(source, workers=2) as served:
        for _ in range(10):
            assert await served.text("answer = str(int(model.sum()))") == "50000000"
        private = [_private_megabytes(pid) for pid in served.instance.pids]
    assert max(private) < 40


def _private_megabytes(pid: int) -> float:
    sizes = dict(
        line.split(":")
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if ":" in line[:30]
    )
    return sum(int(sizes[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


# What a handler does.


async def test_model_fn_may_return_none(serve: Serve) -> None:
    async with serve(RUNS.replace('{"weights": "loaded"}', "None")) as served:
        assert await served.text("answer = repr(model)") == "None"


async def test_a_handler_that_raises_answers_500_and_goes_on(serve: Serve) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        answer = await served.ask("raise ValueError('no such word')")
        assert answer.status == 500
        assert answer.body.decode().startswith("no such word\nTraceback (most recent call last):\n")
        assert int(await served.text(PID)) == pid


@pytest.mark.parametrize(
    "code", ["os._exit(0)", "sys.exit(3)", "raise SystemExit", "os.kill(os.getpid(), signal.SIGSEGV)"]
)
async def test_a_handler_that_ends_its_process_loses_its_own_request_alone(serve: Serve, code: str) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        doomed, next_one = await served.begin(code), await served.begin(PID)
        assert ((await doomed).status, (await doomed).body) == (500, DIED)
        assert int((await next_one).body) != pid


async def test_a_handler_that_prints_much_is_answered_and_its_lines_are_told(serve: Serve) -> None:
    async with serve() as served:
        await served.text("for number in range(20_000): print('x' * 50, number)")
        await until(lambda: len(served.printed) >= 20_000)
    assert served.printed[19_999] == ("r1", "x" * 50 + " 19999")


async def test_lines_are_told_by_request(serve: Serve) -> None:
    source = "print('imported')\n" + RUNS.replace("    return {", "    print('loading')\n    return {")
    async with serve(source) as served:
        await served.ask("print('one', end='')", name="a")
        await served.ask("print('two', file=sys.stderr)", name="b")
        await served.ask("import logging; logging.info('three')", name="c")
    assert served.printed == [
        ("", "imported"),
        ("", "loading"),
        ("a", "one"),
        ("b", "two"),
        ("c", "three"),
    ]


async def test_what_precedes_a_crash_is_told(serve: Serve) -> None:
    async with serve() as served:
        await served.ask("print('last words'); os._exit(1)")
        await until(lambda: ("r1", "last words") in served.printed)


@about_forks("what makes it unsafe is said")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "loading the model started threads",
        ),
        ("import torch; torch.set_num_threads(2)", "the handler sets the number of torch's threads"),
    ],
)
async def test_where_forking_is_not_safe_each_worker_loads_the_model(
    serve: Serve, line: str, reason: str
) -> None:
    source = RUNS.replace("    return {", f"    print('loads')\n    {line}\n    return {{")
    async with serve(source, workers=2) as served:
        assert await served.text("answer = model['weights']") == "loaded"
        assert served.printed.count(("", "loads")) == 2
        assert served.printed.count(("", f"hotfire: each worker loads the model itself: {reason}")) == 1
        pids = set(served.instance.pids)
        assert ((await served.ask("os._exit(1)")).body) == DIED
        await until(lambda: len(served.instance.pids) == 2)
        assert len(pids & set(served.instance.pids)) == 1


async def test_a_child_that_a_handler_forks_does_not_hide_that_the_worker_ends(serve: Serve) -> None:
    async with serve() as served:
        fork = "child = os.fork()\nif child == 0:\n    time.sleep(1000)\n"
        answer = await served.ask(f"{fork}os.kill(os.getpid(), 9)")
        assert answer.body == DIED


async def test_a_program_that_a_handler_leaves_behind_does_not_hide_that_the_worker_ends(
    serve: Serve,
) -> None:
    async with serve() as served:
        answer = await served.ask("os.system('sleep 1000 &'); os.kill(os.getpid(), 9)")
        assert answer.body == DIED
        await until(lambda: len(served.instance.pids) == 1)
        # A spawned worker has a group of its own, which ends with it.
        left = int(served.instance._household.forks)
        await until(lambda: served.names().count("sleep") == left)


async def test_a_forked_child_that_returns_from_the_handler_answers_nothing(serve: Serve) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        code = (
            "parent = os.getpid()\nos.fork()\nanswer = str(os.getpid())\nif parent == os.getpid(): os.wait()"
        )
        assert int(await served.text(code)) == pid
        assert int(await served.text(PID)) == pid


async def test_a_child_that_model_fn_forks_does_not_hide_that_the_holder_ends(serve: Serve) -> None:
    source = RUNS.replace("    return {", "    if os.fork() == 0: time.sleep(1000)\n    return {")
    async with serve(source) as served:
        (pid,) = served.instance.pids
        os.kill(served.group, signal.SIGKILL)
        await until(lambda: served.instance.pids and served.instance.pids != [pid])
        assert await served.text("answer = model['weights']") == "loaded"


# Processes that end.


async def test_a_killed_worker_costs_the_request_in_hand_alone(
    serve: Serve, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_QUICK_SECONDS", 60.0)  # so that one waits in the socket already
    async with serve() as served:
        (pid,) = served.instance.pids
        await served.text("")
        in_hand, in_socket, waiting = [await served.begin(code) for code in (wait_for(flag), PID, PID)]
        await until(lambda: served.printed)
        assert len(served.instance._workers[0].jobs) == 2
        os.kill(pid, signal.SIGKILL)
        assert ((await in_hand).status, (await in_hand).body) == (500, DIED)
        assert (await in_socket).status == 200
        assert (await in_socket).body == (await waiting).body != str(pid).encode()
        assert served.instance.pids == [int((await waiting).body)]


async def test_a_killed_worker_that_was_idle_costs_nothing(serve: Serve) -> None:
    async with serve(workers=2) as served:
        before = served.instance.pids
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len(served.instance.pids) == 2 and before[0] not in served.instance.pids)
        assert before[1] in served.instance.pids
        assert await served.text("answer = 'fine'") == "fine"


async def test_workers_that_are_killed_under_load_cost_a_request_each(serve: Serve) -> None:
    async with serve(workers=2) as served:
        answers: list[Answer] = []

        async def client() -> None:
            for _ in range(40):
                answers.append(await served.ask("time.sleep(0.002)"))

        clients = [asyncio.create_task(client()) for _ in range(8)]
        for done in (40, 120, 200):
            await until(lambda done=done: len(answers) >= done and len(served.instance.pids) == 2)
            os.kill(served.instance.pids[0], signal.SIGKILL)
        await asyncio.gather(*clients)
    failed = [answer.body for answer in answers if answer.status != 200]
    assert len(answers) == 320
    assert set(failed) <= {DIED}
    assert len(failed) <= 3


async def test_a_worker_that_runs_out_of_memory_under_load_costs_its_own_request_alone(
    serve: Serve, memory_group: Callable[[int, int], None]
) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        memory_group(pid, 64 * 1024 * 1024)
        failed: list[tuple[str, int, bytes]] = []

        async def client(number: int) -> None:
            for turn in range(20):
                hungry = (number, turn) == (3, 10)
                code = "b'x' * (256 * 1024 * 1024)" if hungry else "time.sleep(0.002)"
                answer = await served.ask(code)
                if answer.status != 200:
                    failed.append((code, answer.status, answer.body))

        await asyncio.gather(*(client(number) for number in range(8)))
        assert failed == [("b'x' * (256 * 1024 * 1024)", 500, DIED)]
        assert pid not in served.instance.pids
    said = "was killed by signal 9 (SIGKILL; it seems for want of memory)"
    assert ("", f"hotfire: worker {pid} {said}") in served.printed


async def test_memory_is_not_blamed_for_what_ends_otherwise(serve: Serve) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        await served.ask("os._exit(1)")
        await served.text("")
    assert served.printed == [("", f"hotfire: worker {pid} ended with exit code 1")]


@about_forks("a spawned worker is its own holder")
async def test_a_killed_holder_costs_the_requests_in_hand_alone(serve: Serve, flag: Path) -> None:
    async with serve(workers=2) as served:
        await served.text("os.system('sleep 1000 &')")
        group = served.group
        in_hand = [await served.begin(wait_for(flag)) for _ in range(2)]
        waiting = await served.begin("answer = 'fine'")
        await until(lambda: len(served.printed) == 2)
        os.kill(group, signal.SIGKILL)
        assert [(await one).body for one in in_hand] == [DIED, DIED]
        assert (await waiting).body == b"fine"
        await until(lambda: not members({group}))


@about_forks("spawned workers have none")
async def test_a_killed_zygote_costs_the_requests_in_hand_alone(
    serve: Serve, flag: Path, host: ProcessHost
) -> None:
    async with serve() as served:
        in_hand, waiting = await served.begin(wait_for(flag)), await served.begin("answer = 'fine'")
        await until(lambda: served.printed)
        (pid,) = host._zygotes.pids()
        os.kill(pid, signal.SIGKILL)
        assert (await in_hand).body == DIED
        assert (await waiting).body == b"fine"
        assert host._zygotes.pids() != [pid]


async def test_a_worker_that_cannot_be_replaced_is_tried_again_by_the_next_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PATIENCE", (0.0, 0.01))
    async with serve() as served:
        handler = served.instance._household._folder / "code" / "inference.py"
        handler.rename(handler.with_suffix(".away"))
        os.kill(served.group, signal.SIGKILL)
        await until(lambda: not served.instance.pids)
        assert (await served.ask("answer = 'fine'")).body == DIED
        assert any("a worker could not be replaced" in line for _, line in served.printed)
        await until(lambda: served.instance._recovery is not None and served.instance._recovery.done())
        handler.with_suffix(".away").rename(handler)
        assert await served.text("answer = 'fine'") == "fine"


async def test_a_worker_that_ends_as_soon_as_it_is_ready_is_given_no_request(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Worker.ready

    async def ready_and_gone(worker: Worker) -> None:
        await ready(worker)
        monkeypatch.setattr(Worker, "ready", ready)
        worker.kill()
        await until(lambda: worker.gone)

    async with serve() as served:
        monkeypatch.setattr(Worker, "ready", ready_and_gone)
        os.kill(served.instance.pids[0], signal.SIGKILL)
        await until(lambda: not served.instance.pids)
        assert await served.text("answer = 'fine'") == "fine"


@about_forks("it goes on by spawning")
async def test_a_forked_worker_that_does_not_come_up_is_done_without_the_fork(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Worker.ready

    async def never(worker: Worker) -> None:
        monkeypatch.setattr(Worker, "ready", ready)
        raise TimeoutError

    monkeypatch.setattr(Worker, "ready", never)
    async with serve() as served:
        assert await served.text("answer = 'fine'") == "fine"
        said = "hotfire: each worker loads the model itself: a forked worker did not come up"
        assert served.printed == [("", said)]
        assert served.instance.pids == [served.instance._household.holders[-1].pid]


# Limits.


async def test_a_stopped_worker_is_replaced_when_the_service_waits_no_longer(serve: Serve) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.3 s"):
            await served.ask("os.kill(os.getpid(), signal.SIGSTOP)", limit=0.3)
        assert int(await served.text(PID)) != pid


async def test_a_request_past_the_containers_own_limit_gets_the_containers_answer(
    serve: Serve, flag: Path
) -> None:
    async with serve(TS_DEFAULT_RESPONSE_TIMEOUT="1") as served:
        (pid,) = served.instance.pids
        answer = await served.ask(wait_for(flag))
        assert (answer.status, answer.body) == (500, DIED)
        assert int(await served.text(PID)) != pid


async def test_a_request_may_wait_for_a_worker_no_longer_than_for_its_answer(
    serve: Serve, flag: Path
) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        first = await served.begin(wait_for(flag, PID))
        await until(lambda: served.printed)
        with pytest.raises(DeadlineExceeded):
            await served.ask("", limit=0.05)
        flag.touch()
        assert int((await first).body) == pid


async def test_a_request_that_expires_in_the_socket_cannot_hold_the_worker_for_ever(
    serve: Serve, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_QUICK_SECONDS", 60.0)
    async with serve() as served:
        (pid,) = served.instance.pids
        await served.text("")
        first = await served.begin(wait_for(flag))
        second = await served.begin("time.sleep(1000)", limit=0.2)
        with pytest.raises(DeadlineExceeded):
            await second
        flag.touch()
        assert (await first).status == 200
        assert int(await served.text(PID)) != pid


async def test_a_request_whose_client_went_away_cannot_hold_the_worker_for_ever(serve: Serve) -> None:
    async with serve() as served:
        (pid,) = served.instance.pids
        gone = await served.begin("print('begun'); time.sleep(1000)", limit=0.3)
        await until(lambda: served.printed)
        gone.cancel()
        assert int(await served.text(PID)) != pid


async def test_only_so_many_requests_wait(serve: Serve, flag: Path) -> None:
    async with serve(TS_JOB_QUEUE_SIZE="3") as served:
        asked = [await served.begin(wait_for(flag)) for _ in range(4)]
        await until(lambda: served.instance.load == 4)
        with pytest.raises(QueueFull, match="3 requests wait already"):
            await served.ask("", limit=0.01)
        await asyncio.sleep(0.05)  # when its time is over nothing more is told of it
        flag.touch()
        assert [(await one).status for one in asked] == [200] * 4


async def test_a_request_over_the_limit_is_refused_as_the_container_does(serve: Serve) -> None:
    async with serve() as served:
        most = 6_553_500
        assert (await served.ask("#" * most)).status == 200
        answer = await served.ask("#" * (most + 1))
        assert (answer.status, answer.body) == (413, b"")


async def test_an_answer_over_the_limit_is_told_and_the_worker_lives(serve: Serve) -> None:
    async with serve(TS_MAX_RESPONSE_SIZE="1000") as served:
        (pid,) = served.instance.pids
        answer = await served.ask("answer = 'x' * 1001")
        assert answer.status == 500
        assert b"The answer of 1001 bytes is over TS_MAX_RESPONSE_SIZE, 1000." in answer.body
        assert int(await served.text(PID)) == pid


# The beginning.


async def refused(serve: Serve, *arguments: Any, **options: Any) -> LoadFailed:
    with pytest.raises(LoadFailed) as caught:
        async with serve(*arguments, **options):
            pass
    return caught.value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise OSError('no weights')", "OSError: no weights"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ValueError('first line\\nsecond line')", "ValueError: first line\nsecond line"),
        (r"raise ValueError('\ud800')", r"ValueError: \ud800"),
        ("os._exit(0)", "the process ended with exit code 0 while it loaded the model"),
        (
            "os.kill(os.getpid(), 11)",
            "the process was killed by signal 11 (SIGSEGV) while it loaded the model",
        ),
    ],
)
async def test_a_model_that_cannot_be_loaded(serve: Serve, line: str, message: str) -> None:
    error = await refused(serve, RUNS.replace("    return {", f"    {line}\n    return {{"))
    assert error.message == message
    assert not error.trace or "in model_fn" in error.trace
    assert "hotfire_worker" not in error.trace  # how we came there is nobody's affair


async def test_a_mistake_in_the_source_is_told_with_its_place(serve: Serve) -> None:
    error = await refused(serve, "def model_fn(model_dir):\n    return (\n")
    assert error.message == "SyntaxError: '(' was never closed (inference.py, line 2)"


async def test_a_model_that_is_not_loaded_in_time(serve: Serve) -> None:
    source = RUNS.replace("    return {", "    os.system('sleep 1000 &'); time.sleep(1000)\n    return {")
    error = await refused(serve, source, startup_timeout=1.5)
    assert error.message == "it was not ready within 1.5 s"


async def test_a_start_that_is_given_up_leaves_nothing(serve: Serve) -> None:
    source = RUNS.replace("    return {", "    print('loads'); time.sleep(1000)\n    return {")
    printed: list[Served] = []
    before = set(psutil.Process().children(recursive=True))

    async def start() -> None:
        async with serve(source) as served:
            printed.append(served)

    for pause in (0.0, 0.001, 0.02, 0.1):
        starting = asyncio.create_task(start())
        await asyncio.sleep(pause)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    ours = {psutil.Process().pid}

    def started() -> set[psutil.Process]:
        return set(psutil.Process().children(recursive=True)) - before

    await until(lambda: not [one for one in started() if _loads(one, ours)])


def _loads(one: psutil.Process, ours: set[int]) -> bool:
    """Whether a process is a holder: its parent is a zygote."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return one.ppid() not in ours and one.status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_python_that_is_not_there(serve: Serve, tmp_path: Path) -> None:
    python = tmp_path / "none" / "python"
    error = await refused(serve, python=python)
    assert error.message == f"the project's Python cannot be started: {python}: No such file or directory"


async def test_a_python_that_is_none(serve: Serve) -> None:
    error = await refused(serve, python=Path("/bin/true"))
    assert error.message == "/bin/true ended while it imported torch"


async def test_a_python_without_the_toolkit_is_told_with_the_line_that_installs_it(
    serve: Serve, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    error = await refused(serve, python=python)
    assert error.message == (
        f"{python} has no numpy. Install it there: {python} -m pip install torch sagemaker-pytorch-inference"
    )


async def test_model_data_that_is_gone(serve: Serve, tree: Path) -> None:
    (tree / "dangling").symlink_to("nowhere")
    error = await refused(serve)
    assert error.message.startswith("its files and processes cannot be made: ")
    assert "dangling" in error.message


# The end.


async def test_stopping_answers_what_is_in_hand_and_what_waits(serve: Serve, flag: Path) -> None:
    async with serve() as served:
        asked = [await served.begin(wait_for(flag, "answer = 'done'")) for _ in range(3)]
        await until(lambda: served.printed)
        stopping = asyncio.create_task(served.instance.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        flag.touch()
        await stopping
        assert [(await one).body for one in asked] == [b"done"] * 3


async def test_stopping_ends_when_the_last_request_expires(serve: Serve, flag: Path) -> None:
    async with serve() as served:
        asked = [await served.begin(wait_for(flag), limit=0.2) for _ in range(2)]
        await until(lambda: served.printed)
        await served.instance.stop()
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in results] == [DeadlineExceeded] * 2


async def test_stopping_does_not_wait_for_an_answer_that_nobody_waits_for(serve: Serve) -> None:
    async with serve() as served:
        gone = await served.begin("print('begun'); time.sleep(1000)", limit=1000.0)
        await until(lambda: served.printed)
        stopping = asyncio.create_task(served.instance.stop())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stopping, 20)


async def test_a_worker_that_dies_while_stopping_is_replaced_for_those_who_wait(
    serve: Serve, flag: Path
) -> None:
    async with serve() as served:
        in_hand, waiting = await served.begin(wait_for(flag)), await served.begin("answer = 'fine'")
        await until(lambda: served.printed)
        stopping = asyncio.create_task(served.instance.stop())
        await asyncio.sleep(0)
        os.kill(served.instance.pids[0], signal.SIGKILL)
        await stopping
        assert ((await in_hand).body, (await waiting).body) == (DIED, b"fine")


async def test_stopping_ends_the_programs_that_a_handler_started(serve: Serve) -> None:
    async with serve() as served:
        await served.text("os.system('sleep 1000 &'); subprocess.Popen(['sleep', '1000'])")
        await until(lambda: served.names().count("sleep") == 2)


async def test_stopping_twice_is_stopping_once(serve: Serve) -> None:
    async with serve() as served:
        await served.instance.stop()


async def test_an_instance_that_was_not_started_can_be_stopped(host: ProcessHost, tree: Path) -> None:
    spec = Spec("e", tree, {}, Path(sys.executable), 60.0)
    await host.instance(spec, lambda *_: None).stop()
