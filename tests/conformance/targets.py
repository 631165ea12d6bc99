"""What the recorded requests are sent to: Hotfire's processes, and containers of an image."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol

from corpus import Setup

from hotfire.errors import LoadFailed
from hotfire.instances.base import Spec
from hotfire.instances.process import ProcessHost
from hotfire.instances.settings import ServerSettings
from hotfire.instances.zygotes import Zygotes
from hotfire.server import http
from hotfire.server.container import Container

SECONDS = 120
MODEL = "/opt/ml/model"
"""Where model data are in a container."""


class Served(Protocol):
    """A setup that is served; `failure` is why its handler could not be loaded, where that is told."""

    port: int
    failure: str | None

    def stop(self) -> None:
        """End it."""


class Target(Protocol):
    """What serves a setup by the container's contract."""

    def begin(self, setup: Setup, folder: Path) -> Future[Served]:
        """Have it served from a folder of its own; done when it answers, or is known not to."""


class NoCensus:
    """Processes that end with the test need no list."""

    def born(self, pid: int, kind: str) -> None: ...

    def died(self, pid: int) -> None: ...


class Processes:
    """`hotfire serve`, in an event loop on a thread of its own."""

    def __init__(self, variables: Mapping[str, str], *, fork: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._zygotes = Zygotes(dict(variables), NoCensus(), fork=fork)

    def begin(self, setup: Setup, folder: Path) -> Future[Served]:
        model = furnish(setup, folder)
        if setup.name == "cwd_and_files":
            # What this handler names by its place in the container lies elsewhere here.
            handler = model / "code" / "inference.py"
            here = str(folder / "instances" / "1" / "model")
            handler.write_text(handler.read_text().replace(MODEL, here))
        return asyncio.run_coroutine_threadsafe(self._start(setup, folder, model), self.loop)

    async def _start(self, setup: Setup, folder: Path, model: Path) -> Served:
        served = _Process(self, ProcessHost(self._zygotes, folder / "instances"), setup, model)
        await served.start()
        return served

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)

    def close(self) -> None:
        async def end() -> None:
            self._zygotes.close()
            await asyncio.sleep(0)  # the closed connections are let go of in the loop's next turn

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _Process:
    def __init__(self, target: Processes, host: ProcessHost, setup: Setup, model: Path) -> None:
        self._target = target
        self.port = 0
        self.failure: str | None = None
        environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", **setup.environment}
        spec = Spec(setup.name, model, environment, Path(sys.executable), 60.0)
        self._instance = host.instance(spec, lambda request, line: None)
        self._container = Container(self._instance, ServerSettings.read(environment, 1).max_request)

    async def start(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = http.server(self._container, raw_headers=True)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        try:
            await self._container.load()
        except LoadFailed as error:
            self.failure = error.message

    def stop(self) -> None:
        async def end() -> None:
            self._server.end()
            await self._serving
            await self._instance.stop()

        self._target.run(end())


class Containers:
    """`docker run IMAGE serve`, a container a setup."""

    def __init__(self, client: Any, image: str) -> None:
        self._client, self._image = client, image
        self._starting = ThreadPoolExecutor(4)

    def begin(self, setup: Setup, folder: Path) -> Future[Served]:
        model = furnish(setup, folder)
        # Whoever the image's user is, handlers may write there, as in a container at SageMaker.
        for path in (model, *model.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        return self._starting.submit(self._start, setup, model)

    def _start(self, setup: Setup, model: Path) -> Served:
        container = self._client.containers.run(
            self._image,
            "serve",
            detach=True,
            environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "1", **setup.environment},
            volumes={str(model): {"bind": MODEL, "mode": "rw"}},
            ports={"8080/tcp": ("127.0.0.1", None)},
            labels={"hotfire.conformance": ""},
        )
        try:
            return _Contained(container)
        except BaseException:
            container.remove(force=True, v=True)
            raise

    def close(self) -> None:
        self._starting.shutdown()


class _Contained:
    def __init__(self, container: Any) -> None:
        self._container = container
        container.reload()
        self.port = int(container.ports["8080/tcp"][0]["HostPort"])
        self.failure = self._until_it_answers()

    def _until_it_answers(self) -> str | None:
        deadline = time.monotonic() + SECONDS
        while True:
            status = self._ping()
            if status == 200:
                return None
            # While ours loads, it says so by 503; AWS's is healthy, whatever its handler is.
            if status == 500:
                return self._said()
            self._container.reload()
            if self._container.status != "running" or time.monotonic() > deadline:
                raise AssertionError(f"the container does not come up; it said:\n{self._said()}")
            time.sleep(0.05)

    def _ping(self) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def _said(self) -> str:
        return str(self._container.logs(tail=60).decode("utf-8", "replace"))

    def stop(self) -> None:
        with suppress(Exception):
            self._container.kill()
        self._container.remove(force=True, v=True)


def furnish(setup: Setup, folder: Path) -> Path:
    """Lay a setup's files; the folder of its model."""
    model = folder / "model"
    model.mkdir()
    for place, content in setup.files.items():
        file = model / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return model


@contextmanager
def in_turn(target: Target, setups: list[Setup], ahead: int, make_folder: Any) -> Iterator[Any]:
    """Gives `serve(setup)`: cases come setup by setup, and the next ones load meanwhile."""
    begun: dict[Setup, Future[Served]] = {}

    def keep(wanted: list[Setup]) -> None:
        for setup in [setup for setup in begun if setup not in wanted]:
            begun.pop(setup).result(SECONDS).stop()
        for setup in wanted:
            if setup not in begun:
                begun[setup] = target.begin(setup, make_folder(setup.name))

    def serve(setup: Setup) -> Served:
        place = setups.index(setup)
        keep(setups[place : place + ahead])
        return begun[setup].result(SECONDS)

    try:
        yield serve
    finally:
        keep([])
