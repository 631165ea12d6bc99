"""The region's process: run it here, start it in the background, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hotfire import __version__
from hotfire.address import Address, RegionFile, find, load_or_create_key
from hotfire.environment import variables_of_process
from hotfire.errors import PortInUse, RegionError
from hotfire.server import log

if TYPE_CHECKING:
    import psutil

PORT = 4774
_HOST = "127.0.0.1"
_PORTS_TRIED = 100
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 40.0
_CLOCK_ERROR = 1.5
"""By so many seconds the time at which a process started may seem to change when the clock is set."""
_RUNS_ALREADY = "a region runs already"
_KEPT_FROM_HANDLERS = ("AWS_", "HOTFIRE_", "SAGEMAKER_", "DEPLOY_ENV", "PYTHON", "TS_")
"""Variables of whoever starts the region that have nothing to say in a container."""


def start(home: Path, port: int | None = None) -> Address:
    """This user's region, started in the background if it does not run yet.

    Raises PortInUse if `port` is another program's, RegionMismatch if a region of another version runs, and
    RegionError, with what it printed, if it does not come up.
    """
    running = find(home)
    if running is not None:
        return running
    program = ["hotfire", "up", "--foreground"]
    return launch(home, program if port is None else [*program, "--port", str(port)], port)


def launch(home: Path, program: Sequence[str], port: int | None = None) -> Address:
    """The region that a program of ours, a module with its arguments, runs in the background.

    Raises what `start` raises.
    """
    _make_private(home)
    with (home / log.NAME).open("ab") as output:
        begun = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", *program],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env=_environment_of_region(home),
            start_new_session=True,
        )
    return _await_region(home, process, begun, port)


def stop(home: Path) -> bool:
    """End this user's region; False if none ran."""
    region = find(home, any_version=True)
    if region is None:
        return False
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(region.pid)
        region.call("POST", "/_hotfire/stop")
        if not _ends(process):
            process.kill()
            _ends(process)
    return True


def _ends(process: psutil.Process) -> bool:
    """Whether it is gone within the time that it has; that nobody asks what became of it is no matter.

    In a container the process of number 1 may be a program that never asks.
    """
    import psutil

    deadline = time.monotonic() + _SECONDS_TO_STOP
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def run(home: Path, port: int | None = None) -> None:
    """Be the region until SIGTERM, SIGINT or `stop`; raises RegionError, PortInUse."""
    gc.enable()  # which a short command does without
    _make_private(home)
    with _lock(home), log.kept(home), _listen(port) as listener:
        _end_predecessor(home)
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve(home, listener))
        else:
            uvloop.run(_serve(home, listener))


async def _serve(home: Path, listener: socket.socket) -> None:
    import psutil

    from hotfire.server import http
    from hotfire.server.app import Region

    port = listener.getsockname()[1]
    key = load_or_create_key(home)
    environment = _environment_of_handlers(variables_of_process())
    region = Region(home, key, _HOST, port, Path(sys.executable), environment)
    server = http.server(region)
    region.on_stop = server.end
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, region.stop)
    file = RegionFile(
        url=f"http://{_HOST}:{port}",
        host=_HOST,
        port=port,
        pid=os.getpid(),
        start_time=psutil.Process().create_time(),
        version=__version__,
        access_key=key.access_key,
    )
    region.open()
    file.write(home)
    try:
        await server.serve(sockets=[listener])
    finally:
        file.remove(home)
        await region.close()


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[IO[str]]:
    """Hold the lock that only one region of this home can have."""
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{_RUNS_ALREADY} over {home}"
            raise RegionError(message, "`hotfire down` ends it.") from error
        yield file


@contextlib.contextmanager
def _listen(port: int | None) -> Iterator[socket.socket]:
    """A listening socket on the port that is asked for, else on the first free one from the usual on."""
    candidates = range(PORT, PORT + _PORTS_TRIED) if port is None else [port]
    for candidate in candidates:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, candidate))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        with listener:
            yield listener
        return
    tried = f"port {port}" if port is not None else f"every port from {PORT} to {PORT + _PORTS_TRIED - 1}"
    raise PortInUse(f"{tried} is in use by another program", "Name another: `hotfire up --port N`.")


def _end_predecessor(home: Path) -> None:
    """End what a region that was killed left behind, and clear its instances' folders away."""
    from hotfire.region.store import Store

    with Store(home / "region.sqlite") as store:
        for process in store.processes():
            # Each leads a group. While the group has members its number is nobody else's, so where the leader
            # is gone the group is still the one that it was.
            with contextlib.suppress(ProcessLookupError):
                started = _start_time(process.pid)
                if started is None or abs(started - process.start_time) < _CLOCK_ERROR:
                    os.killpg(process.pid, signal.SIGKILL)
            store.remove_process(process.pid)
    shutil.rmtree(home / "instances", ignore_errors=True)


def _start_time(pid: int) -> float | None:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _await_region(home: Path, process: subprocess.Popen[bytes], begun: int, port: int | None) -> Address:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        file = RegionFile.read(home)
        # Another command may have started one at the same moment: then that one is ours too.
        if file is not None and (ended or file.pid == process.pid):
            region = find(home)
            if region is not None:
                process.returncode = process.returncode or 0  # it outlives us, of which Popen would warn
                return region
        if ended:
            printed = _printed(home, begun)
            if _RUNS_ALREADY not in printed:
                raise _why_it_ended(home, printed, port)
        time.sleep(0.01)
    process.kill()
    process.wait()
    raise RegionError(
        f"the region did not come up within {_SECONDS_TO_START:.0f} s", f"Its log: {home / log.NAME}"
    )


def _printed(home: Path, begun: int) -> str:
    """What the region's log holds from there on."""
    with (home / log.NAME).open("rb") as printed:
        printed.seek(begun)
        return printed.read().decode("utf-8", "replace").strip()


def _why_it_ended(home: Path, printed: str, port: int | None) -> RegionError:
    if port is not None and f"port {port} is in use" in printed:
        return PortInUse(f"port {port} is in use by another program", "Name another: `hotfire up --port N`.")
    return RegionError(
        f"the region did not start: {printed or 'it printed nothing'}", f"Its log: {home / log.NAME}"
    )


def _make_private(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        message = f"{home} cannot be used for the region's state: {error.strerror}"
        raise RegionError(message, "Name another folder in HOTFIRE_HOME.") from error


def _environment_of_region(home: Path) -> dict[str, str]:
    """The user's credentials never reach the region."""
    kept = {name: value for name, value in variables_of_process().items() if not name.startswith("AWS_")}
    return {**kept, "HOTFIRE_HOME": str(home)}


def _environment_of_handlers(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith(_KEPT_FROM_HANDLERS)}
