"""One model by the container's contract, without a region: what `hotfire serve` runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotfire.archive import unpack
from hotfire.errors import ArchiveError, LoadFailed, PortInUse
from hotfire.image_recipe import IMAGE_VARIABLE
from hotfire.instances.base import Spec
from hotfire.instances.desk import MOUNTED, secret_at
from hotfire.instances.holders import NoCensus
from hotfire.instances.process import ProcessHost
from hotfire.instances.settings import ServerSettings
from hotfire.instances.zygotes import Zygotes
from hotfire.server.container import Container
from hotfire.server.versions import Versions
from hotfire.server.workspace import workspace

PORT = 8080
_HANDLERS = ("inference.py", "serve.py")
_STARTUP_SECONDS = 3600.0
"""The longest that SageMaker lets a container take."""
_OURS = ("HOTFIRE_",)
_LOCAL_ONLY = ("AWS_", *_OURS)
"""Variables of whoever starts the server that have nothing to say in a container."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve, where, by which Python, with which variables; whether answers may come in chunks.

    `desk` is where a region that develops in this container has its versions, if one does.
    """

    model: Path
    host: str
    port: int
    python: Path
    environment: Mapping[str, str]
    streams: bool = False
    desk: Path = MOUNTED


def run(serving: Serving, say: Say) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; `say` is given what the handler prints, and how loading went.

    Raises ArchiveError for an archive that cannot be unpacked or a folder that is not there, PortInUse.
    """
    gc.enable()  # which a short command does without
    for number in _ending():
        # Until the server takes the signal: to be ended while an archive is unpacked leaves nothing either.
        signal.signal(number, signal.default_int_handler)
    secret = secret_at(serving.desk)
    with workspace() as folder, _listen(serving) as listener:
        model = serving.model if secret else _model(serving.model, folder)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            zygotes = Zygotes(_for_handlers(serving.environment), NoCensus())
            host = ProcessHost(zygotes, folder / "instances")
            if secret:
                runner.run(_develop(serving, host, secret, listener, say))
            else:
                runner.run(_serve(serving, host, model, listener, say))


async def _serve(serving: Serving, host: ProcessHost, model: Path, listener: socket.socket, say: Say) -> None:
    variables = _container_variables(model, serving.environment)
    spec = Spec(serving.model.name, model, variables, serving.python, _STARTUP_SECONDS)
    instance = host.instance(spec, lambda request, line: say(line))
    most = ServerSettings.read(variables, 1).max_request
    container = Container(instance, most, streams=serving.streams)
    port = listener.getsockname()[1]
    loading = asyncio.get_running_loop().create_task(_load(container, serving, port, say))
    try:
        await _answer(container, listener)
    finally:
        loading.cancel()
        await instance.stop()
        await host.close()


async def _develop(
    serving: Serving, host: ProcessHost, secret: str, listener: socket.socket, say: Say
) -> None:
    """Have versions of a model made by the region that knows the secret."""
    versions = Versions(host, serving.desk, secret, serving.python, lambda request, line: say(line))
    # What is wrong there, the first load will say better.
    warming = asyncio.ensure_future(host.warm(serving.python))
    try:
        await _answer(versions, listener)
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await versions.close()
        await host.close()


async def _answer(application: Any, listener: socket.socket) -> None:
    """Answer by an ASGI application until a signal ends it."""
    from hotfire.server import http

    server = http.server(application, raw_headers=True)
    loop = asyncio.get_running_loop()
    for number in _ending():
        loop.add_signal_handler(number, server.end)
    await server.serve(sockets=[listener])


def _ending() -> list[signal.Signals]:
    """The signals that end it; not those that whoever started it has it ignore, as nohup does SIGHUP."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


async def _load(container: Container, serving: Serving, port: int, say: Say) -> None:
    try:
        await container.load()
    except LoadFailed as error:
        say(error.trace.rstrip() or error.message)
        say(f"{serving.model} could not be loaded: {error.message}. Every request is told so.")
    else:
        say(f"Serving {serving.model} at http://{serving.host}:{port}/invocations")


def _model(model: Path, folder: Path) -> Path:
    """The model's folder: itself, or what the archive unpacks to."""
    if model.is_dir():
        return model
    if not model.exists():
        raise ArchiveError(
            f"there is no model at {model}", "Name a folder or a model.tar.gz; `hotfire pack` writes one."
        )
    target = folder / "unpacked"
    unpack(model, target)
    return target


def _container_variables(model: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that SageMaker would give the container; which handler, where nobody says."""
    variables = {
        name: value
        for name, value in environment.items()
        if name.startswith(("SAGEMAKER_", "TS_", "DEPLOY_ENV"))
    }
    if "SAGEMAKER_PROGRAM" not in variables:
        for name in _HANDLERS:
            if (model / "code" / name).is_file():
                variables["SAGEMAKER_PROGRAM"] = name
                break
    return variables


def _for_handlers(environment: Mapping[str, str]) -> dict[str, str]:
    """In an image the AWS settings are the handler's own: by them it reaches what its role may."""
    hidden = _OURS if IMAGE_VARIABLE in environment else _LOCAL_ONLY
    return {name: value for name, value in environment.items() if not name.startswith(hidden)}


@contextlib.contextmanager
def _listen(serving: Serving) -> Iterator[socket.socket]:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((serving.host, serving.port))
            listener.listen(2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            message = f"port {serving.port} is in use by another program"
            raise PortInUse(message, "Name another: `hotfire serve MODEL --port N`.") from error
        yield listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
