"""What an instance's workers come from: its folder, the pipe they print to, a zygote's holders."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hotfire.instances.base import Change, Output, Spec
from hotfire.instances.holders import Holder
from hotfire.instances.output import OutputPipe
from hotfire.instances.zygotes import Spawner, Spoiled, Zygote, ZygoteKey, Zygotes
from hotfire_worker.edits import Edit

_LINK_FROM_BYTES = 1024 * 1024
"""Smaller files are copied for each instance, so that what a handler does to them stays its own."""


class Household:
    """The model of one `spec`, loaded by as many holders as its workers need."""

    def __init__(self, spec: Spec, zygotes: Zygotes, folder: Path, output: Output) -> None:
        self._spec, self._zygotes, self._folder = spec, zygotes, folder
        self._pipe = OutputPipe(output)
        self._zygote: Zygote | Spawner | None = None
        self._alone = ""
        self.holders: list[Holder] = []
        self._lost: dict[int, Holder] = {}
        """Those that were workers themselves."""

    @property
    def folder(self) -> Path:
        """Where the model's files lie."""
        return self._folder

    @property
    def forks(self) -> bool:
        """Whether the model is loaded in a process that workers are forked from."""
        return bool(self.holders) and not self._alone

    async def furnish(self) -> None:
        """Lay the model's files. Raises OSError."""
        await self._pipe.open()
        await asyncio.to_thread(_furnish, self._spec.model_dir, self._folder)

    async def revise(self, changes: Sequence[Change]) -> list[Edit]:
        """Lay newer modules; what has to be edited in a worker. Raises OSError."""
        await asyncio.to_thread(_lay, self._folder, changes)
        return [
            {
                "file": str(self._folder / change.place),
                "source": change.source,
                "names": list(change.names),
                "removed": list(change.removed),
            }
            for change in changes
        ]

    async def recruit(self, descriptor: int, threads: int, edits: Sequence[Edit]) -> int:
        """A new worker at that end of a socket pair, not yet ready; its pid. Raises InstanceError."""
        holder, command = await self._employer(threads)
        return await holder.employ(command, descriptor, edits)

    async def ended(self, pid: int) -> int | None:
        """The code with which a worker has ended; None where nobody knows."""
        if self.forks:
            return await self.holders[0].ended(pid)
        alone = self._lost.pop(pid, None) or next((one for one in self.holders if one.pid == pid), None)
        return await alone.own_end() if alone is not None else None

    def distrust_forks(self) -> None:
        """A forked worker did not come up: from now on each loads the model itself."""
        if self._zygote is not None:
            self._zygotes.distrust(self._zygote)
        self._stand_alone("a forked worker did not come up")

    def say(self, line: str) -> None:
        """Add a line of our own to what is printed."""
        self._pipe.say(line)

    async def close(self) -> None:
        """End all that came from here."""
        for holder in list(self.holders):
            holder.kill()
        if self._zygote is not None:
            self._zygotes.left(self._zygote)
            self._zygote = None
        await self._pipe.close()
        await asyncio.to_thread(shutil.rmtree, self._folder.parent, ignore_errors=True)

    async def _employer(self, threads: int) -> tuple[Holder, str]:
        """A holder to fork a worker from, or one to become a worker, where forking is not safe."""
        if self.forks:
            return self.holders[0], "work"
        holder = await self._hold(threads)
        if holder.unsafe and not self._alone:
            self._stand_alone(holder.unsafe)
        return holder, "serve" if self._alone else "work"

    def _stand_alone(self, reason: str) -> None:
        self._alone = reason
        self.say(f"hotfire: each worker loads the model itself: {reason}")

    async def _hold(self, threads: int) -> Holder:
        key = ZygoteKey.of(self._spec.python, self._spec.environment)
        zygote = await self._zygote_for(key)
        if zygote is not self._zygote:
            if self._zygote is not None:
                self._zygotes.left(self._zygote)
            self._zygote = zygote
            self._zygotes.hired(zygote)
        holder: Holder | None = None

        def lost() -> None:
            if holder in self.holders:
                self.holders.remove(holder)
                if self._alone:
                    self._lost[holder.pid] = holder

        spec: dict[str, Any] = {
            "model_dir": str(self._folder),
            "environment": dict(self._spec.environment),
            "threads": threads,
        }
        holder = await zygote.hold(spec, self._pipe.write_end, lost)
        self.holders.append(holder)
        await holder.loaded(self._spec.startup_timeout)
        if self._spec.project and holder.imported:
            await self._zygotes.learn(key, self._spec.project, holder.imported)
        return holder

    async def _zygote_for(self, key: ZygoteKey) -> Zygote | Spawner:
        if not self._spec.project:
            return await self._zygotes.get(key)
        while True:
            zygote = await self._zygotes.learned(key, self._spec.project)
            try:
                await zygote.ready()
                return zygote
            except Spoiled as error:  # now it is known, and left out
                self.say(f"hotfire: {error.message}")


def _furnish(tree: Path, folder: Path) -> None:
    """Lay the model's files into an instance's own folder: large ones linked, the others copied."""

    def lay(source: str, target: str) -> None:
        if Path(source).stat().st_size >= _LINK_FROM_BYTES:
            with contextlib.suppress(OSError):
                os.link(source, target)
                return
            with contextlib.suppress(OSError):  # a container's model data are on another file system
                Path(target).symlink_to(Path(source).resolve())
                return
        shutil.copyfile(source, target)
        Path(target).chmod(Path(source).stat().st_mode | stat.S_IWUSR)

    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tree, folder, copy_function=lay)


def _lay(folder: Path, changes: Sequence[Change]) -> None:
    """Replace modules, each whole at once: a worker may be importing it."""
    for change in changes:
        target = folder / change.place
        part = target.with_name(f".{target.name}.new")
        part.write_text(change.source, "utf-8")
        part.replace(target)
