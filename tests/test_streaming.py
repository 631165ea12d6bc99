"""Answers in parts, made by handlers in real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from hotfire.errors import DeadlineExceeded, StreamBroken
from hotfire.instances.base import Answer, Request, Spec
from hotfire.instances.holders import NoCensus
from hotfire.instances.process import ProcessHost, ProcessInstance
from hotfire.instances.zygotes import Zygotes
from hotfire_worker.streaming import pieces
from hotfire_worker.wire import CHUNK

pytestmark = pytest.mark.anyio

RUNS = """\
import os, time
def model_fn(model_dir): return None
def transform_fn(model, code, content_type, accept, context):
    scope = {**globals(), "context": context}
    exec(code, scope)
    return scope["answer"]
"""
WAITS = """\
def parts():
    yield "one"
    while not os.path.exists({flag!r}): time.sleep(0.005)
    yield "two"
answer = parts()
"""
ENDLESS = """\
def parts():
    try:
        while True:
            yield b"x" * 65536
    finally:
        print("closed")
answer = parts()
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class Served:
    """An instance of one worker, and what it printed."""

    def __init__(self, host: ProcessHost, tree: Path, workers: int = 1) -> None:
        self.printed: list[str] = []
        variables = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)}
        spec = Spec("e", tree, variables, Path(sys.executable), 60.0)
        self.instance: ProcessInstance = host.instance(spec, lambda _, line: self.printed.append(line))
        self._asked = 0

    def request(self, code: str, limit: float) -> Request:
        self._asked += 1
        return Request(f"r{self._asked}", {"Content-Type": "application/json"}, code.encode(), limit)

    async def stream(self, code: str, limit: float = 480.0) -> Answer:
        return await self.instance.stream(self.request(code, limit))

    async def parts(self, code: str) -> list[bytes]:
        """All parts of an answer."""
        return await parts(await self.stream(code))

    async def invoke(self, code: str) -> Answer:
        return await self.instance.invoke(self.request(code, 60.0))


async def parts(answer: Answer) -> list[bytes]:
    rest = [part async for part in answer.rest] if answer.rest is not None else []
    return [answer.body, *rest]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessHost]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    host = ProcessHost(Zygotes(environment, NoCensus()), tmp_path_factory.mktemp("instances"))
    yield host
    await host.close()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model data that is served."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "code").mkdir()
    (tree / "code" / "inference.py").write_text(RUNS)
    return tree


@pytest.fixture(scope="module")
async def served(host: ProcessHost, tree: Path) -> AsyncIterator[Served]:
    """One for the tests that leave it as it was."""
    served = Served(host, tree)
    await served.instance.start()
    yield served
    await served.instance.stop()


@pytest.fixture
async def fresh(host: ProcessHost, tree: Path) -> AsyncIterator[Callable[[int], Awaitable[Served]]]:
    """Makes instances of a test's own."""
    made: list[Served] = []

    async def make(workers: int = 1) -> Served:
        made.append(Served(host, tree, workers))
        await made[-1].instance.start()
        return made[-1]

    yield make
    for one in made:
        await one.instance.stop()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("iter(['a', b'b', bytearray(b'c'), memoryview(b'd')])", [b"a", b"b", b"c", b"d"]),
        ("(one for one in 'äö')", ["ä".encode(), "ö".encode()]),
        ("iter(['', 'a', b'', 'b'])", [b"a", b"b"]),
        ("iter([])", [b""]),
        ("'whole'", [b"whole"]),
        ("['a', 'b']", [b'[\n  "a",\n  "b"\n]']),
    ],
)
async def test_what_a_handler_returns_comes_so(served: Served, answer: str, expected: list[bytes]) -> None:
    assert await served.parts(f"answer = {answer}") == expected


async def test_status_and_headers_are_those_of_the_first_part(served: Served) -> None:
    code = "def parts():\n  context.set_response_status(201)\n  yield 'a'\nanswer = parts(), 'text/plain'"
    answer = await served.stream(code)
    await parts(answer)
    assert (answer.status, answer.headers) == (201, {"content-type": "text/plain"})


async def test_a_part_is_here_before_the_next_is_made(served: Served, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    answer = await served.stream(WAITS.format(flag=str(flag)))
    assert answer.body == b"one"
    flag.touch()
    assert await parts(answer) == [b"one", b"two"]


async def test_to_ask_for_the_whole_of_an_iterator_is_answered_as_by_aws(served: Served) -> None:
    answer = await served.invoke("answer = iter(['a'])")
    assert answer.status == 503
    assert b"Unsupported model output data type." in answer.body


async def test_a_failure_before_the_first_part_is_an_answer_with_the_traceback(served: Served) -> None:
    answer = await served.stream("def parts():\n  raise ValueError('not so')\n  yield\nanswer = parts()")
    assert answer.status == 500
    assert answer.body.decode() == (
        "not so\nTraceback (most recent call last):\n"
        '  File "<string>", line 2, in parts\nValueError: not so\n'
    )


async def test_a_failure_of_the_toolkits_kind_has_its_status(served: Served) -> None:
    code = (
        "from sagemaker_inference.errors import UnsupportedFormatError\n"
        "def parts():\n  raise UnsupportedFormatError('x/y')\n  yield\nanswer = parts()"
    )
    assert (await served.stream(code)).body.startswith(b"Content type x/y is not supported")


async def test_a_failure_in_the_middle_breaks_off_with_the_traceback_in_the_log(served: Served) -> None:
    served.printed.clear()
    answer = await served.stream("def parts():\n  yield 'a'\n  raise ValueError('not so')\nanswer = parts()")
    with pytest.raises(StreamBroken):
        await parts(answer)
    await until(lambda: "ValueError: not so" in served.printed)
    assert served.printed[:2] == ["Traceback (most recent call last):", '  File "<string>", line 3, in parts']


async def test_a_part_that_is_no_text_is_an_error_that_says_so(served: Served) -> None:
    answer = await served.stream("answer = iter([{}])")
    assert answer.status == 500
    said = b"a part of a streamed answer is bytes or text, not dict\n"
    assert answer.body == said + b"TypeError: " + said


async def test_headers_that_cannot_be_sent_are_refused_before_the_first_part(served: Served) -> None:
    answer = await served.stream("context.set_response_header(0, 'a b', 'c')\nanswer = iter(['a'])")
    assert (answer.status, answer.rest) == (500, None)
    assert b"Worker died." in answer.body


async def test_who_leaves_closes_the_handlers_generator_and_frees_the_worker(served: Served) -> None:
    served.printed.clear()
    answer = await served.stream(ENDLESS)
    assert answer.rest is not None
    for _ in range(20):
        await anext(aiter(answer.rest))
    pids = served.instance.pids
    await answer.rest.aclose()
    assert await served.parts("answer = 'next'") == [b"next"]
    assert "closed" in served.printed
    assert served.instance.pids == pids


async def test_a_generator_that_fails_to_close_costs_nothing(served: Served) -> None:
    code = ENDLESS.replace("print(", "raise ValueError(")
    pids = served.instance.pids
    answer = await served.stream(code)
    assert answer.rest is not None
    await answer.rest.aclose()
    assert await served.parts("answer = 'next'") == [b"next"]
    assert served.instance.pids == pids


async def test_who_gives_up_before_the_first_part_frees_the_worker(served: Served, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"print('begun')\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.005)\n{ENDLESS}"
    served.printed.clear()
    asking = asyncio.ensure_future(served.stream(code))
    await until(lambda: "begun" in served.printed)
    asking.cancel()
    flag.touch()
    assert await served.parts("answer = 'next'") == [b"next"]


async def test_sixty_four_megabytes_do_not_fill_the_memory(served: Served) -> None:
    answer = await served.stream("answer = (b'x' * 65536 for _ in range(1024))")
    assert answer.rest is not None
    process = psutil.Process()
    before, most, size = process.memory_info().rss, 0, len(answer.body)
    async for part in answer.rest:
        size += len(part)
        most = max(most, process.memory_info().rss - before)
    assert size == 64 * 1024 * 1024
    assert most < 16 * 1024 * 1024


async def test_a_long_part_comes_in_pieces(served: Served) -> None:
    got = await served.parts(f"answer = iter([b'x' * {2 * CHUNK + 1}])")
    assert [len(part) for part in got] == [CHUNK, CHUNK, 1]


async def test_a_worker_that_is_killed_breaks_the_answer_off_and_is_replaced(
    fresh: Callable[..., Awaitable[Served]],
) -> None:
    served = await fresh()
    answer = await served.stream(ENDLESS)
    os.kill(served.instance.pids[0], signal.SIGKILL)
    with pytest.raises(StreamBroken):
        await parts(answer)
    assert await served.parts("answer = 'next'") == [b"next"]


async def test_an_answer_past_its_limit_ends_and_its_worker_is_replaced(
    fresh: Callable[..., Awaitable[Served]],
) -> None:
    served = await fresh()
    answer = await served.stream("def parts():\n  yield 'a'\n  time.sleep(600)\nanswer = parts()", limit=0.3)
    with pytest.raises(DeadlineExceeded):
        await parts(answer)
    assert await served.parts("answer = 'next'") == [b"next"]


async def test_several_answers_come_side_by_side(
    fresh: Callable[..., Awaitable[Served]], tmp_path: Path
) -> None:
    served = await fresh(2)
    flag = tmp_path / "flag"
    answers = [await served.stream(WAITS.format(flag=str(flag))) for _ in range(2)]
    waiting = asyncio.ensure_future(served.invoke("answer = 'third'"))
    flag.touch()
    assert [await parts(answer) for answer in answers] == [[b"one", b"two"]] * 2
    assert (await waiting).body == b"third"


async def test_an_instance_stops_when_its_streams_have_ended(
    fresh: Callable[..., Awaitable[Served]], tmp_path: Path
) -> None:
    served = await fresh()
    flag = tmp_path / "flag"
    answer = await served.stream(WAITS.format(flag=str(flag)))
    stopping = asyncio.ensure_future(served.instance.stop())
    await asyncio.sleep(0)
    flag.touch()
    assert await parts(answer) == [b"one", b"two"]
    await stopping


async def test_an_instance_does_not_wait_for_a_stream_that_nobody_wants(
    fresh: Callable[..., Awaitable[Served]],
) -> None:
    served = await fresh()
    answer = await served.stream("def parts():\n  yield 'a'\n  time.sleep(600)\nanswer = parts()")
    assert answer.rest is not None
    await answer.rest.aclose()
    async with asyncio.timeout(30):
        await served.instance.stop()


def test_pieces_are_cut_from_what_any_buffer_holds() -> None:
    from array import array

    assert list(pieces(iter([memoryview(array("I", [1, 2]))]))) == [array("I", [1, 2]).tobytes()]
