"""A handler as a Ray Serve application: the program of a worker, hosted by Ray.

This package lies beside the handler, in `code/`, where AWS's Ray Serve image imports it from; a Ray cluster
of one's own gets it with the application. A replica is what a worker is elsewhere: it loads the model once
and answers one request at a time.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from hotfire_worker.premises import enter
from hotfire_worker.requirements import unmet
from hotfire_worker.service import Service, refusal_body
from hotfire_worker.streaming import Frames, handlers_own, print_failure
from hotfire_worker.wire import Header

DEPLOYMENT = "Model"
"""The application's one deployment, as the Serve config names it."""
SERVE_CONFIG = "config.yaml"
"""What lies at the root of the model data without being the model's."""

_MODEL_DIR = "SM_MODEL_DIR"
"""The variable by which the image names its `/opt/ml/model`."""
_NEEDED = ("torch", "sagemaker_inference", "sagemaker_pytorch_serving_container")
_OURS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that say how an answer is sent, which is not the handler's affair."""
_OF_TRANSPORT = (b"expect", b"transfer-encoding")
_WITHOUT_BODY = (204, 205, 304)
_WORDS = {"sagemaker": "SageMaker"}


class Ended(Exception):
    """The handler wanted to end its process."""


def app(args: Dict[str, Any]) -> "serve.Application":
    """The application; `model_dir` and `environment`, variables, where they are not the container's own."""
    model_dir = args.get("model_dir") or os.environ[_MODEL_DIR]
    return serve.deployment(name=DEPLOYMENT)(Model).bind(model_dir, args.get("environment", {}))


class Model:
    """A replica.

    All that is the handler's runs in one thread without an event loop, as in any worker: a handler may run a
    loop of its own, and however long it predicts, Ray is told that the replica is well.
    """

    def __init__(self, model_dir: str, environment: Dict[str, str]) -> None:
        self._handlers = ThreadPoolExecutor(1, "handler")
        self._turn = asyncio.Lock()
        self._ended: Optional[Ended] = None
        self._service = self._handlers.submit(_load, model_dir, environment).result()

    async def __call__(self, request: Request) -> Response:
        """One request's answer, in parts where the handler returns an iterator."""
        body = bytearray(await request.body())
        await self._turn.acquire()
        frames = self._service.stream(_header(request, len(body)), body)
        done = partial(self._finish, frames)
        try:
            header, start = await self._next(frames)
        except Ended:
            done()
            return Reply(*_worker_died())
        except BaseException:
            done()
            raise
        if "more" in header:
            return PartialReply(header, start, partial(self._next, frames), done)
        self._turn.release()
        return Reply(header, start)

    async def check_health(self) -> None:
        """Have Ray replace a replica whose handler wanted its process ended, as a worker would be."""
        if self._ended is not None:
            raise self._ended

    async def _next(self, frames: Frames) -> Tuple[Header, bytes]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._handlers, _frame, frames)
        except Ended as error:
            self._ended = error
            raise

    def _finish(self, frames: Frames) -> None:
        """Let the next request in once the handler has nothing to do with this one any more."""
        closing = asyncio.get_running_loop().run_in_executor(self._handlers, frames.close)
        closing.add_done_callback(lambda _: self._turn.release())


class Reply(Response):
    """An answer with the headers that a worker gave it, and no others."""

    def __init__(self, header: Header, body: bytes) -> None:
        status = header["status"]
        super().__init__(b"" if status in _WITHOUT_BODY else body, status)
        self.raw_headers = _raw(header["headers"].items())
        if status not in (204, 304):
            self.raw_headers.append((b"content-length", b"%d" % len(self.body)))


class PartialReply(Response):
    """An answer in parts, of which this is the first; one that breaks off has no end."""

    def __init__(self, header: Header, start: bytes, following: Callable[[], Any], done: Callable[[], None]):
        super().__init__(b"", header["status"])
        self.raw_headers = _raw(header["headers"].items())
        self._start, self._following, self._done = start, following, done

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the parts as they come, by ASGI."""
        try:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            header, body = {"more": True}, self._start
            while "more" in header:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                header, body = await self._following()
            if "failed" in header:
                raise RuntimeError("the handler failed after the first part of its answer: see its traceback")
            await send({"type": "http.response.body", "body": body})
        finally:
            self._done()


def _load(model_dir: str, environment: Dict[str, str]) -> Service:
    absent = [name for name in _NEEDED if find_spec(name) is None]
    if absent:
        raise ImportError(
            f"the Python of this Ray node, {sys.executable}, lacks {' and '.join(absent)}: "
            "pip install torch sagemaker-pytorch-inference"
        )
    folder = enter(model_dir, environment, ignored=(SERVE_CONFIG,))
    wanting = unmet(model_dir, "install it there, on every node")
    if wanting:
        sys.stdout.write("hotfire: " + wanting + "\n")
    try:
        return Service(folder)
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001  # a handler that wants no process any more
        failure = RuntimeError(f"the handler ended its process while it was loaded: {error!r}")
        raise failure.with_traceback(handlers_own(error)) from None


def _frame(frames: Frames) -> Tuple[Header, bytes]:
    """An answer's next frame. What ends a process must not reach Ray's event loop. Raises Ended."""
    try:
        header, body = next(frames)
        if "more" not in header:
            frames.close()
    except Exception:
        raise
    except BaseException as error:
        print_failure(error)
        sys.stderr.write(f"hotfire: the handler ended its process: {error!r}\n")
        raise Ended(repr(error)) from error
    return header, body


def _worker_died() -> Tuple[Header, bytes]:
    headers = {"content-type": "application/json"}
    return {"status": 500, "headers": headers}, refusal_body(500, "Worker died.")


def _header(request: Request, length: int) -> Header:
    """A request as a worker is told of it."""
    given = dict(request.scope["headers"])
    # Ray's own proxy gives each request one.
    request_id = given.pop(b"x-request-id", b"").decode("latin-1")
    named = ((name, value) for name, value in given.items() if name not in _OF_TRANSPORT)
    headers = {_spelled(name): value.decode("latin-1").strip() for name, value in named}
    headers.setdefault("Content-Length", str(length))
    return {"id": request_id, "headers": headers, "query": request.scope["query_string"].decode("latin-1")}


def _spelled(name: bytes) -> str:
    """A header's name as SageMaker writes it; ASGI has it in small letters."""
    return "-".join(_WORDS.get(word, word.capitalize()) for word in name.decode("latin-1").split("-"))


def _raw(headers: Iterable[Tuple[str, str]]) -> List[Tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers
        if name.lower() not in _OURS
    ]
