"""The answers of AWS's own stack, recorded, against ours.

One corpus is in `conformance`, by the program that is there; another lies beside the repository, on some
machines. docs/parity.md says what is compared, and where ours differ on purpose.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from comparing import is_same, send
from corpus import Case, Setup, cases

from hotfire.errors import LoadFailed
from hotfire.instances.base import Spec
from hotfire.instances.process import ProcessHost
from hotfire.instances.settings import ServerSettings
from hotfire.instances.zygotes import Zygotes
from hotfire.server import http
from hotfire.server.container import Container

CASES = list(cases())
SETUPS = list(dict.fromkeys(case.setup for case in CASES))


class NoCensus:
    """Processes that end with the test need no list."""

    def born(self, pid: int, kind: str) -> None: ...

    def died(self, pid: int) -> None: ...


class Loop:
    """An event loop in a thread, where the containers of this module live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Served:
    """One setup of the corpus, served."""

    def __init__(self, host: ProcessHost, folder: Path, setup: Setup) -> None:
        self.failure: LoadFailed | None = None
        model = folder / "model"
        model.mkdir()
        for place, content in setup.files.items():
            file = model / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if setup.name == "cwd_and_files":
            # What this handler names by its place in the container lies elsewhere here.
            handler = model / "code" / "inference.py"
            here = str(folder / "instances" / "1" / "model")
            handler.write_text(handler.read_text().replace("/opt/ml/model", here))
        environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", **setup.environment}
        spec = Spec(setup.name, model, environment, Path(sys.executable), 60.0)
        self._instance = host.instance(spec, lambda request, line: None)
        self.container = Container(self._instance, ServerSettings.read(environment, 1).max_request)

    async def start(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = http.server(self.container, raw_headers=True)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        try:
            await self.container.load()
        except LoadFailed as error:
            self.failure = error

    async def stop(self) -> None:
        self._server.end()
        await self._serving
        await self._instance.stop()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


@pytest.fixture(scope="module", params=["forked", "spawned"])
def zygotes(request: pytest.FixtureRequest, loop: Loop) -> Iterator[Zygotes]:
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    zygotes = Zygotes(variables, NoCensus(), fork=request.param == "forked")
    yield zygotes

    async def close() -> None:
        zygotes.close()
        await asyncio.sleep(0)  # the closed connections are let go of in the loop's next turn

    loop.run(close())


@pytest.fixture(scope="module")
def served(loop: Loop, zygotes: Zygotes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The setup that is served now: cases come setup by setup, and the next ones load meanwhile."""
    started: dict[Setup, Future[Served]] = {}

    async def start(setup: Setup, folder: Path) -> Served:
        one = Served(ProcessHost(zygotes, folder / "instances"), folder, setup)
        await one.start()
        return one

    def keep(wanted: list[Setup]) -> None:
        for setup in [setup for setup in started if setup not in wanted]:
            loop.run(started.pop(setup).result(120).stop())
        for setup in wanted:
            if setup not in started:
                work = start(setup, tmp_path_factory.mktemp(setup.name))
                started[setup] = asyncio.run_coroutine_threadsafe(work, loop.loop)

    def serve(setup: Setup) -> Served:
        place = SETUPS.index(setup)
        keep(SETUPS[place : place + 3])
        return started[setup].result(120)

    yield serve
    keep([])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_aws_does(case: Case, served: Any) -> None:
    server = served(case.setup)
    status, headers, body = send(server.port, case)
    if case.setup.name.startswith("fail_"):
        # Where AWS's image looks healthy or hangs, ours says what is wrong.
        assert server.failure is not None
        assert status == 500
        assert case.path != "/invocations" or server.failure.message.encode() in body
        return
    if case.hotfire is not None:
        assert status == case.hotfire["status"]
        return
    assert status == case.status
    assert headers.get("content-type") == case.headers.get("content-type")
    assert is_same(case, body), (body, case.body)
    own = [name for name in case.headers if name.startswith("x-") and name != "x-request-id"]
    assert {name: headers.get(name) for name in own} == {name: case.headers[name] for name in own}
