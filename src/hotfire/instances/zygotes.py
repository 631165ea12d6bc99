"""Zygotes as the region sees them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hotfire_worker
from hotfire.errors import InstanceError, LoadFailed
from hotfire.instances.channel import ControlChannel
from hotfire.instances.fates import Ends
from hotfire.instances.holders import Census, Holder
from hotfire.instances.preloads import Preloads
from hotfire_worker.wire import Header

_LAUNCHER = """\
import sys
from importlib import util
folder = sys.argv[1]
start = folder + "/__init__.py"
spec = util.spec_from_file_location("hotfire_worker", start, submodule_search_locations=[folder])
package = util.module_from_spec(spec)
sys.modules["hotfire_worker"] = package
spec.loader.exec_module(package)
sys.path[:] = [entry for entry in sys.path if entry]
from hotfire_worker.__main__ import main
main()
"""
"""Loads the worker's package from its path, so that nothing else of Hotfire's can be imported there."""

_READ_AT_IMPORT = ("OMP_", "MKL_", "OPENBLAS_", "HF_")
_READ_AT_IMPORT_TOO = ("SAGEMAKER_BASE_DIR", "SAGEMAKER_MULTI_MODEL")
_IDLE_SECONDS = 600.0
"""After so long a zygote without holders ends."""
_TOOLKIT = "sagemaker-pytorch-inference"

_SECONDS_TO_END = 1.0
"""For which a process that is lost is waited for, to know how it ended."""


@dataclass(frozen=True, slots=True)
class ZygoteKey:
    """What must be the same for two handlers to share a zygote."""

    python: Path
    variables: tuple[tuple[str, str], ...]
    preload: tuple[str, ...] = ()

    @classmethod
    def of(cls, python: Path, environment: Mapping[str, str]) -> ZygoteKey:
        """The key of a handler's Python and container environment."""
        read = (
            (name, value)
            for name, value in sorted(environment.items())
            if name.startswith(_READ_AT_IMPORT) or name in _READ_AT_IMPORT_TOO
        )
        return cls(python, tuple(read))


class Spoiled(InstanceError):
    """A module that was to be preloaded has made the process one that cannot be forked from."""


class Zygote:
    """A process that has imported torch and the toolkit."""

    def __init__(
        self,
        key: ZygoteKey,
        environment: Mapping[str, str],
        census: Census,
        ended: Callable[[Zygote], None],
        spoiled: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.key = key
        self._spoiled = spoiled
        self._census = census
        self._environment = {**environment, **dict(key.variables)}
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._control = ControlChannel(self._event, self._lost)
        self._became = False
        self._ends = Ends()
        self.holders = 0
        self.retirement: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Begin to import; `ready` waits for the end of it."""
        ours, theirs = socket.socketpair()
        package = str(Path(hotfire_worker.__file__).parent)
        command = [str(self.key.python), "-c", _LAUNCHER, package, str(theirs.fileno()), str(os.getpid())]
        command += self.key.preload
        try:
            # Started by this thread, the main one, which the process shall not outlive.
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise LoadFailed(
                f"the project's Python cannot be started: {self.key.python}: {error.strerror}"
            ) from error
        finally:
            theirs.close()
        self._census.born(self._process.pid, "zygote")
        await self._control.open(ours)

    @property
    def is_ready(self) -> bool:
        """Whether all is imported."""
        return self._ready.done() and self._ready.exception() is None

    async def ready(self) -> None:
        """Wait for the imports; raises LoadFailed when the toolkit or torch is not there."""
        await asyncio.shield(self._ready)

    async def hold(self, spec: dict[str, Any], output: int, on_lost: Callable[[], None]) -> Holder:
        """Fork a holder that loads what `spec` says."""
        return await self._send("hold", {**spec, "alone": False}, output, on_lost)

    async def become(self, spec: dict[str, Any], output: int, on_lost: Callable[[], None]) -> Holder:
        """Have it load what `spec` says itself, and be a zygote no longer."""
        self._became = True
        return await self._send("become", {**spec, "alone": True}, output, on_lost)

    async def _send(
        self, command: str, spec: dict[str, Any], output: int, on_lost: Callable[[], None]
    ) -> Holder:
        await self.ready()
        # What has been asked for is made, also when nobody waits for it any more: then it ends at once.
        making = asyncio.ensure_future(self._make(command, spec, os.dup(output), on_lost))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_end)
            raise

    async def _make(
        self, command: str, spec: dict[str, Any], output: int, on_lost: Callable[[], None]
    ) -> Holder:
        def lost() -> None:
            if self._became:
                self._reap()
            self._census.died(holder.pid)
            on_lost()

        holder = Holder(lost, self._code_of)
        ours, theirs = socket.socketpair()
        await holder.control.open(ours)
        try:
            answer = await self._control.call({"command": command, "spec": spec}, [theirs.fileno(), output])
        finally:
            theirs.close()
            os.close(output)
        holder.pid = int(answer["pid"])
        self._census.born(holder.pid, "holder")
        return holder

    def close(self) -> None:
        """End it; its holders and their workers end with it."""
        self._control.close()
        self._reap()

    async def _code_of(self, pid: int) -> int | None:
        """With which a holder ended."""
        if not self._became:
            return await self._ends.code(pid)
        assert self._process is not None
        try:
            return await asyncio.to_thread(self._process.wait, _SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return None

    def _reap(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _event(self, header: Header) -> None:
        if header["event"] == "end":
            self._ends.tell(header["pid"], header["status"])
        if self._ready.done():
            return
        if header["event"] == "ready":
            self._ready.set_result(None)
        elif header["event"] == "spoiled":
            self._spoiled(header["module"], header["reason"])
            self._refuse(Spoiled(f"{header['module']} cannot be preloaded: {header['reason']}"))
        elif header["event"] == "failed":
            self._refuse(LoadFailed(_how_to_install(self.key.python, header), header["trace"]))

    def _refuse(self, error: InstanceError) -> None:
        self._ready.set_exception(error)
        self._ready.exception()  # whoever waits is told; that nobody does is no fault

    def _lost(self) -> None:
        if not self._ready.done():
            self._refuse(LoadFailed(f"{self.key.python} ended while it imported torch"))
        if self._became:
            return
        self._reap()
        self._census.died(self.pid)
        self._ended(self)


class Spawner:
    """Stands for a zygote where forking is not safe: each holder is a new process, which imports all anew."""

    def __init__(self, key: ZygoteKey, environment: Mapping[str, str], census: Census) -> None:
        self.key = key
        self._environment, self._census = environment, census
        self._spawned: set[Zygote] = set()
        self.holders = 0
        self.retirement: asyncio.TimerHandle | None = None
        self.is_ready = True

    @property
    def pid(self) -> int:
        """It has no process."""
        return 0

    async def ready(self) -> None:
        """It has nothing to import."""

    async def hold(self, spec: dict[str, Any], output: int, on_lost: Callable[[], None]) -> Holder:
        """Start a process that loads what `spec` says."""
        zygote = Zygote(self.key, self._environment, self._census, lambda _: None)
        self._spawned.add(zygote)

        def lost() -> None:
            self._spawned.discard(zygote)
            on_lost()

        try:
            await zygote.start()
            return await zygote.become(spec, output, lost)
        except BaseException:
            self._spawned.discard(zygote)
            zygote.close()
            raise

    def close(self) -> None:
        """End the processes that it started."""
        for zygote in list(self._spawned):
            zygote.close()


class Zygotes:
    """The zygotes of a region: one for each key, started when first asked for."""

    def __init__(
        self,
        environment: Mapping[str, str],
        census: Census,
        preloads: Preloads | None = None,
        *,
        fork: bool = sys.platform == "linux",
    ) -> None:
        self._environment = environment
        self._preloads = preloads or Preloads()
        self._census = census
        self._fork = fork
        self._zygotes: dict[ZygoteKey, Zygote | Spawner] = {}

    async def get(self, key: ZygoteKey) -> Zygote | Spawner:
        """The key's zygote, begun if there is none; not yet ready, perhaps."""
        known = self._zygotes.get(key)
        if known is not None:
            return known
        if not self._fork:
            return self._zygotes.setdefault(key, Spawner(key, self._environment, self._census))
        zygote = self._zygotes[key] = Zygote(
            key, self._environment, self._census, self._ended, self._leave_out
        )
        try:
            await zygote.start()
        except InstanceError:
            self._zygotes.pop(key, None)
            raise
        self._retire_later(zygote)
        return zygote

    async def learned(self, key: ZygoteKey, project: str) -> Zygote | Spawner:
        """A zygote that has imported what the project's handler was seen to import, if it is ready in time.

        If one without is ready sooner, it is that one, and the other is begun.
        """
        preload = self._preloads.of(project) if self._fork else ()
        zygote = await self.get(replace(key, preload=preload))
        plain = self._zygotes.get(key)
        return plain if plain is not None and plain.is_ready and not zygote.is_ready else zygote

    async def learn(self, key: ZygoteKey, project: str, modules: Sequence[str]) -> None:
        """The project's handler has imported these: begin a zygote that has them before it."""
        if self._preloads.learn(project, modules) and self._fork:
            await self.get(replace(key, preload=self._preloads.of(project)))

    def distrust(self, zygote: Zygote | Spawner) -> None:
        """A child of it did not come up: what it has preloaded is preloaded no more."""
        self._preloads.leave_out(zygote.key.preload, "a process that was forked after it did not come up")

    def hired(self, zygote: Zygote | Spawner) -> None:
        """An instance uses it."""
        zygote.holders += 1
        if zygote.retirement is not None:
            zygote.retirement.cancel()

    def left(self, zygote: Zygote | Spawner) -> None:
        """An instance uses it no more; without any it ends after a while."""
        zygote.holders -= 1
        if zygote.holders == 0:
            self._retire_later(zygote)

    def pids(self) -> list[int]:
        """The processes of all of them."""
        return [zygote.pid for zygote in self._zygotes.values() if zygote.pid]

    def close(self) -> None:
        """End them all."""
        for zygote in list(self._zygotes.values()):
            zygote.close()
        self._zygotes.clear()

    def _retire_later(self, zygote: Zygote | Spawner) -> None:
        zygote.retirement = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._retire, zygote)

    def _retire(self, zygote: Zygote | Spawner) -> None:
        if self._zygotes.get(zygote.key) is zygote:
            del self._zygotes[zygote.key]
            zygote.close()

    def _leave_out(self, module: str, reason: str) -> None:
        self._preloads.leave_out([module], reason)

    def _ended(self, zygote: Zygote) -> None:
        if self._zygotes.get(zygote.key) is zygote:
            del self._zygotes[zygote.key]


def _end(making: asyncio.Future[Holder]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().kill()


def _how_to_install(python: Path, failure: Header) -> str:
    missing = str(failure["missing"]).partition(".")[0]
    if missing in ("torch", "numpy", "sagemaker_inference", "sagemaker_pytorch_serving_container"):
        what = "AWS's inference toolkit" if missing.startswith("sagemaker") else missing
        return f"{python} has no {what}. Install it there: {python} -m pip install torch {_TOOLKIT}"
    return f"{python} cannot import AWS's inference toolkit: {failure['message']}"
