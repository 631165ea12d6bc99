"""The region's process: run it here, start it in the background, stop it."""

from __future__ import annotations

import asyncio
import contextlib
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
from hotfire.address import Address, Exposure, RegionFile, find, load_or_create_key
from hotfire.environment import variables_of_process
from hotfire.errors import PortInUse, RegionError
from hotfire.server import log
from hotfire.server.listening import LOCAL, listening

if TYPE_CHECKING:
    import psutil

LOCAL_ONLY = Exposure()
_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 40.0
_CLOCK_ERROR = 1.5
"""By so many seconds the time at which a process started may seem to change when the clock is set."""
_RUNS_ALREADY = "a region runs already"
_KEPT_FROM_HANDLERS = ("AWS_", "HOTFIRE_", "SAGEMAKER_", "DEPLOY_ENV", "PYTHON", "TS_")
"""Variables of whoever starts the region that have nothing to say in a container."""


def start(home: Path, port: int | None = None, exposure: Exposure | None = None) -> Address:
    """This user's region, started in the background if it does not run yet.

    Raises PortInUse if `port` is another program's, RegionMismatch if a region of another version runs, and
    RegionError if one runs on another port or lets others in than is asked for, or, with what it printed, if
    it does not come up.
    """
    running = find(home)
    if running is not None:
        _check_same(home, port, exposure)
        return running
    return launch(home, ["hotfire", "up", "--foreground", *_options(port, exposure or LOCAL_ONLY)], port)


def _options(port: int | None, exposure: Exposure) -> list[str]:
    """The options of `hotfire up` that say this."""
    options = [] if port is None else ["--port", str(port)]
    if exposure.host != LOCAL_ONLY.host:
        options += ["--host", exposure.host]
    for name in exposure.allowed:
        options += ["--allow-host", name]
    for origin in exposure.origins:
        options += ["--allow-origin", origin]
    return [*options, "--any-key"] if exposure.any_key else options


def _check_same(home: Path, port: int | None, exposure: Exposure | None) -> None:
    """Raise RegionError if the region that runs is not the one that is asked for."""
    file = RegionFile.read(home)
    if file is None or (port in (None, file.port) and exposure in (None, file.exposure)):
        return
    options = " ".join(["hotfire up", *_options(port, exposure or file.exposure)])
    message = f"the region at {file.url} is up already, with other options"
    raise RegionError(message, f"Start it anew: `hotfire down && {options}`.")


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
            from hotfire.instances import containers, ray_host

            process.kill()
            _ends(process)
            containers.clear(home, variables_of_process())
            ray_host.clear(home, variables_of_process())
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


def run(home: Path, port: int | None = None, exposure: Exposure = LOCAL_ONLY) -> None:
    """Be the region until SIGTERM, SIGINT or `stop`; raises RegionError, PortInUse."""
    gc.enable()  # which a short command does without
    _make_private(home)
    with _lock(home), log.kept(home), listening(port, exposure) as sockets:
        _end_predecessor(home)
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve(home, sockets, exposure))
        else:
            uvloop.run(_serve(home, sockets, exposure))


async def _serve(home: Path, sockets: list[socket.socket], exposure: Exposure) -> None:
    import psutil

    from hotfire.region.quota import Limits
    from hotfire.server import http
    from hotfire.server.app import Region

    port = sockets[0].getsockname()[1]
    key = load_or_create_key(home)
    environment = _environment_of_handlers(variables_of_process())
    limits = Limits.of(variables_of_process())
    region = Region(home, key, exposure, port, Path(sys.executable), environment, limits)
    server = http.server(region)
    region.on_stop = server.end
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, region.stop)
    file = RegionFile(
        url=f"http://{LOCAL}:{port}",
        host=exposure.host,
        port=port,
        pid=os.getpid(),
        start_time=psutil.Process().create_time(),
        version=__version__,
        access_key=key.access_key,
        allowed=exposure.allowed,
        any_key=exposure.any_key,
        origins=exposure.origins,
    )
    region.open()
    file.write(home)
    try:
        await server.serve(sockets=sockets)
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
    # As the command that it is says it: a message, and below it what to do.
    said, _, advice = printed.partition("\n  → ")
    message = f"the region did not start: {said.removeprefix('Error: ') or 'it printed nothing'}"
    return RegionError(message, " ".join([*advice.split("\n  → "), f"Its log: {home / log.NAME}"]).strip())


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
