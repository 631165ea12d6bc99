"""The answers of AWS's own stack, recorded, against ours.

The corpus lies beside the repository; its README says how answers are compared, and where ours differ on
purpose.
"""

import asyncio
import base64
import json
import math
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import LoadFailed
from hotfire.instances.base import Spec
from hotfire.instances.process import ProcessHost
from hotfire.instances.settings import ServerSettings
from hotfire.instances.zygotes import Zygotes
from hotfire.server import http
from hotfire.server.container import Container

CORPUS = Path(__file__).parent.parent.parent / "shared" / "conformance"
NUMPY = b"\x93NUMPY"
TRACEBACK = b"Traceback (most recent call last):"

CASES: dict[str, dict[str, Any]] = {}
for file in sorted(CORPUS.glob("*.json")):
    CASES[file.stem] = json.loads(file.read_text())

pytestmark = pytest.mark.skipif(not CASES, reason="the recorded answers are not on this machine")


def body_of(message: dict[str, Any]) -> bytes:
    if "body_repeat" in message:
        repeat = message["body_repeat"]
        unit, prefix, suffix = (
            base64.b64decode(repeat[f"{part}_base64"]) for part in ("unit", "prefix", "suffix")
        )
        return prefix + unit * repeat["count"] + suffix
    return base64.b64decode(message.get("body_base64") or "")


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

    def __init__(self, host: ProcessHost, folder: Path, case: dict[str, Any]) -> None:
        self.failure: LoadFailed | None = None
        model = folder / "model"
        for place, content in case["model_files_base64"].items():
            file = model / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
        model.mkdir(exist_ok=True)
        # What a handler names by its place in the container lies elsewhere here.
        handler = model / "code" / "inference.py"
        if case["setup"] == "cwd_and_files":
            here = str(folder / "instances" / "1" / "model")
            handler.write_text(handler.read_text().replace("/opt/ml/model", here))
        environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", **case["env"]}
        self.spec = Spec(case["setup"], model, environment, Path(sys.executable), 60.0)
        self._instance = host.instance(self.spec, lambda request, line: None)
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
    """The setup that is served now: cases come setup by setup."""
    now: dict[str, Served] = {}

    def serve(case: dict[str, Any]) -> Served:
        setup = case["setup"]
        if setup not in now:
            for old in now.values():
                loop.run(old.stop())
            now.clear()
            folder = tmp_path_factory.mktemp(setup)
            one = Served(ProcessHost(zygotes, folder / "instances"), folder, case)
            loop.run(one.start())
            now[setup] = one
        return now[setup]

    yield serve
    for old in now.values():
        loop.run(old.stop())


def ordered() -> list[str]:
    return sorted(CASES, key=lambda name: (CASES[name]["setup"], CASES[name].get("order", 0), name))


def send(port: int, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Send exactly these headers, and read the answer."""
    lines = [f"{request['method']} {request['path']} HTTP/1.1", "Host: 127.0.0.1:8080"]
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    has_body = request.get("body_base64") is not None or "body_repeat" in request
    body = body_of(request)
    chunked = any(name.lower() == "transfer-encoding" for name, _ in request["headers"])
    sized = any(name.lower() == "content-length" for name, _ in request["headers"])
    if has_body and not chunked and not sized:
        lines.append(f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        # It may be refused before the body is read; the answer is there all the same.
        with suppress(ConnectionError):
            connection.sendall(head + body)
        response = HTTPResponse(connection, method=request["method"])
        response.begin()
        while response.status == 100:
            response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()


def comparable(case: str, body: bytes) -> Any:
    """A body as the corpus says that it is compared."""
    head, trace, _ = body.partition(TRACEBACK)
    if trace:
        return head.partition(b" object at 0x")[0]
    if body.startswith(NUMPY) and b"'|O'" in body:
        return body.partition(b"\n")[0]  # what follows is a pickle, whose bytes are its writer's affair
    try:
        value = json.loads(body)
    except ValueError:
        return body
    if case.startswith("cwd_and_files"):
        value.pop("dir_prefix")
        value["cwd"] = "the model's folder"
    return rounded(value)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


@pytest.mark.parametrize("name", ordered())
def test_answers_as_aws_does(name: str, served: Any) -> None:
    case = CASES[name]
    server = served(case)
    status, headers, body = send(server.port, case["request"])
    if case["setup"].startswith("fail_"):
        # Where AWS's image looks healthy or hangs, ours says what is wrong.
        assert server.failure is not None
        assert status == 500
        if case["request"]["path"] == "/invocations":
            assert server.failure.message.encode() in body
        return
    expected = case["response"]
    assert status == expected["status"]
    expected_headers = {key.lower(): value for key, value in expected["headers"]}
    assert headers.get("content-type") == expected_headers.get("content-type")
    if "json_scalar" in name:
        return  # what the toolkit makes of a scalar is memory that nobody wrote
    if b"TS_MAX_RESPONSE_SIZE" in body:
        # AWS's worker dies of an answer that is too long; ours lives, and the limit is named.
        assert b"Worker died." in body_of(expected)
        return
    assert comparable(name, body) == comparable(name, body_of(expected))
    own = {
        key: value
        for key, value in expected_headers.items()
        if key.startswith("x-") and key != "x-request-id"
    }
    assert {key: headers.get(key) for key in own} == own
