"""The journal of requests over real files; the event loop is the test's own."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import StoreError, UsageError
from hotfire.region import invocations as module
from hotfire.region.invocations import Invocations, Query
from hotfire.region.quota import MOST_BYTES, MOST_REQUESTS, Limits
from hotfire.region.records import MOST_OF_BODY, Invocation, Message, Record, cut

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
PLAIN: dict[str, Any] = {
    "request": "r-1",
    "time": 1_000,
    "endpoint": "e",
    "variant": "AllTraffic",
    "version": "e-1",
    "via": "invoke",
    "status": 200,
    "error": "",
    "message": "",
    "seconds": 0.25,
    "first": None,
    "times": {"predict_fn": 0.125},
    "findings": None,
    "sent_headers": JSON,
    "answer_headers": {"content-type": "text/csv"},
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., Invocations]]:
    """Opens the journal, and closes it at the end."""
    made: list[Invocations] = []

    def opened(*limits: int) -> Invocations:
        made.append(Invocations(path, Limits(*limits) if limits else None))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def add(journal: Invocations, sent: bytes | None = b"[1]", answer: bytes | None = b"2", **more: Any) -> int:
    """Record a request; its id."""
    number = journal.next_id()
    whole = {"sent_size": len(sent or b""), "answer_size": len(answer or b"")}
    journal.record(Record(id=number, sent=sent, answer=answer, **{**PLAIN, **whole, **more}))
    return number


async def ids(journal: Invocations, query: Query = module.EVERY, limit: int = 1_000) -> list[int]:
    return [one.id for one in await journal.recent(query, limit)]


async def one(journal: Invocations, number: int) -> Invocation:
    found = await journal.one(number)
    assert found is not None
    return found


async def test_a_request_comes_back_as_it_was(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    number = add(journal, findings={"failure": {"message": "m"}}, first=0.5)
    assert await journal.one(number) == Invocation(
        id=number,
        request="r-1",
        time=1_000,
        endpoint="e",
        variant="AllTraffic",
        version="e-1",
        via="invoke",
        status=200,
        error="",
        message="",
        seconds=0.25,
        first=0.5,
        has_bodies=True,
        times={"predict_fn": 0.125},
        findings={"failure": {"message": "m"}},
        sent=Message(JSON, b"[1]", 3),
        answer=Message({"content-type": "text/csv"}, b"2", 1),
    )


async def test_one_that_is_not_there_is_none(opened: Callable[..., Invocations]) -> None:
    assert await opened().one(7) is None


async def test_the_newest_come_first_and_without_bodies(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    first, second, third = (add(journal, request=name) for name in "abc")
    found = await journal.recent(limit=2)
    assert [one.id for one in found] == [third, second]
    assert [one.sent for one in found] == [Message(JSON, None, 3)] * 2
    assert await ids(journal, Query(before=second)) == [first]


async def test_bodies_come_where_they_are_asked_for(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    add(journal)
    assert [one.sent.body for one in await journal.recent(bodies=True)] == [b"[1]"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(endpoint="other"), ["endpoint"]),
        (Query(variant="green"), ["variant"]),
        (Query(version="e-2"), ["version"]),
        (Query(via="page"), ["via"]),
        (Query(failed=True), ["failed", "none"]),
        (Query(failed=False, via="invoke", endpoint="e", variant="AllTraffic", version="e-1"), ["plain"]),
        (Query(status="5xx"), ["failed"]),
        (Query(status="none"), ["none"]),
        (Query(status="no such class"), []),
        (Query(text="NO SUCH WORD"), ["failed"]),
        (Query(text="none"), ["none"]),
        (Query(text="100%"), ["percent"]),
        (Query(text="grün"), ["escaped", "plainly"]),
    ],
)
async def test_requests_are_found(
    opened: Callable[..., Invocations], query: Query, expected: list[str]
) -> None:
    journal = opened()
    add(journal, request="plain")
    add(journal, request="endpoint", endpoint="other")
    add(journal, request="variant", variant="green")
    add(journal, request="version", version="e-2")
    add(journal, request="via", via="page")
    add(journal, request="failed", status=500, error="ModelError", answer=b"no such word")
    add(journal, request="none", status=0, error="Throttling")
    add(journal, request="percent", via="api", sent=b'"100%"')
    add(journal, request="escaped", via="api", sent=b'"gr\\u00fcn"')
    add(journal, request="plainly", via="api", answer='"grün"'.encode())
    found = {one.request for one in await journal.recent(query)}
    assert found == set(expected)


async def test_what_was_recorded_is_there_after_a_restart(
    opened: Callable[..., Invocations],
) -> None:
    journal = opened()
    first = add(journal)
    journal.close()
    again = opened()
    second = add(again)
    assert await ids(again) == [second, first]


async def test_no_id_is_given_again_when_nothing_is_left(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    first = add(journal)
    journal.close()
    emptied = opened(0)
    assert await ids(emptied) == []
    emptied.close()
    assert add(opened()) == first + 1


async def test_it_keeps_so_many_requests(opened: Callable[..., Invocations]) -> None:
    journal = opened(10)
    numbers = [add(journal) for _ in range(25)]
    assert await ids(journal) == numbers[:14:-1]


async def test_it_keeps_so_many_bytes(opened: Callable[..., Invocations], path: Path) -> None:
    journal = opened(1_000, 100_000)
    numbers = [add(journal, sent=bytes(9_000)) for _ in range(25)]
    kept = await ids(journal)
    assert kept == sorted(numbers, reverse=True)[: len(kept)]
    assert 9 <= len(kept) <= 11
    for _ in range(300):
        add(journal, sent=bytes(9_000))
        await journal.flush()
    # What is removed is used again.
    assert path.stat().st_size < 600_000


async def test_load_does_not_push_errors_out(opened: Callable[..., Invocations]) -> None:
    journal = opened(100)
    errors = [add(journal, error="ModelError", status=500) for _ in range(15)]
    for _ in range(300):
        add(journal)
    await journal.flush()
    assert await ids(journal, Query(failed=True)) == errors[:4:-1]
    assert len(await ids(journal)) == 100


async def test_errors_do_not_push_others_out(opened: Callable[..., Invocations]) -> None:
    journal = opened(100)
    good = [add(journal) for _ in range(95)]
    for _ in range(300):
        add(journal, error="ModelError", status=500)
    assert await ids(journal, Query(failed=False)) == good[:4:-1]
    assert len(await ids(journal)) == 100


async def test_errors_may_have_the_room_that_others_leave(opened: Callable[..., Invocations]) -> None:
    journal = opened(100)
    errors = [add(journal, error="ModelError", status=500) for _ in range(60)]
    assert await ids(journal) == errors[::-1]


async def test_lower_limits_hold_from_the_start(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    numbers = [add(journal) for _ in range(30)]
    journal.close()
    assert await ids(opened(5)) == numbers[:24:-1]


async def test_none_are_kept_where_that_is_the_limit(opened: Callable[..., Invocations]) -> None:
    journal = opened(0)
    add(journal)
    assert await ids(journal) == []


async def test_a_body_is_cut_and_its_whole_size_told(opened: Callable[..., Invocations]) -> None:
    journal, body = opened(), b"x" * (MOST_OF_BODY + 1)
    found = await one(journal, add(journal, sent=cut(body), sent_size=len(body)))
    assert found.sent == Message(JSON, b"x" * 65_536, 65_537)
    assert not found.sent.is_whole
    assert not found.can_be_sent_again


async def test_no_body_is_not_an_empty_one(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    silent = await one(journal, add(journal, sent=None, answer=None, sent_size=7))
    empty = await one(journal, add(journal, sent=b"", answer=b""))
    assert (silent.has_bodies, silent.sent) == (False, Message(JSON, None, 7))
    assert (empty.has_bodies, empty.sent.body, empty.sent.is_whole) == (True, b"", True)


async def test_secrets_do_not_reach_the_disk(opened: Callable[..., Invocations], path: Path) -> None:
    journal = opened()
    headers = {
        **JSON,
        "Authorization": "Bearer s3cr3t-1",
        "X-Amz-Security-Token": "s3cr3t-2",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1;token=s3cr3t-3",
    }
    number = add(
        journal,
        sent_headers=headers,
        answer_headers={"Set-Cookie": "s3cr3t-4"},
        error="ModelError",
        message='Received "api_key=s3cr3t-5"',
    )
    found = await one(journal, number)
    assert dict(found.sent.headers) == {
        **JSON,
        "Authorization": "***",
        "X-Amz-Security-Token": "***",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1;token=***",
    }
    assert not found.can_be_sent_again
    journal.close()
    assert b"s3cr3t" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_a_full_disk_costs_records_alone(
    opened: Callable[..., Invocations], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened()
    kept = add(journal)
    await journal.flush()
    pages = journal._file._database.rows("PRAGMA page_count")[0][0]
    journal._file._database.write(f"PRAGMA max_page_count = {pages}")
    for _ in range(3):
        add(journal, sent=bytes(60_000))
        await journal.flush()
    assert await ids(journal) == [kept]
    assert journal.lost == 3
    assert [line.getMessage() for line in caplog.records] == [
        f"requests are not recorded: No space is left to write {path}."
    ]
    journal._file._database.write("PRAGMA max_page_count = 100000")
    later = add(journal)
    assert await ids(journal) == [later, kept]


async def test_too_much_that_waits_is_not_recorded(
    opened: Callable[..., Invocations], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING_BYTES", 1_000)
    journal = opened()
    first = add(journal, sent=bytes(900))
    add(journal, sent=bytes(900))
    assert (await ids(journal), journal.lost) == ([first], 1)


async def test_what_cannot_be_stored_costs_itself_alone(
    opened: Callable[..., Invocations], caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened()
    add(journal, sent_headers=None)
    await journal.flush()
    whole = add(journal, message="half a pair: \ud800")
    assert (await ids(journal), journal.lost) == ([whole], 1)
    assert (await one(journal, whole)).message == "half a pair: ?"
    assert "a bug in Hotfire" in caplog.text


async def test_nothing_is_lost_with_whoever_gives_up_waiting(opened: Callable[..., Invocations]) -> None:
    journal, gate = opened(), threading.Event()
    journal._thread.submit(gate.wait)  # so that what is given up has not begun
    number = add(journal)
    flushing = asyncio.ensure_future(journal.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    gate.set()
    assert await ids(journal) == [number]


async def test_what_fills_a_row_is_written_unasked(opened: Callable[..., Invocations], path: Path) -> None:
    journal = opened()
    with closing(sqlite3.connect(path)) as database:
        for _ in range(module.MOST - 1):
            add(journal)
        journal._thread.submit(bool).result()
        assert database.execute("SELECT count(*) FROM batches").fetchone() == (0,)
        add(journal)
        journal._thread.submit(bool).result()
        assert database.execute("SELECT count(*) FROM batches").fetchone() == (1,)


async def test_what_waits_for_a_slow_disk_is_bounded(
    opened: Callable[..., Invocations], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING", 2 * module.MOST)
    journal, gate = opened(), threading.Event()
    journal._thread.submit(gate.wait)
    for _ in range(3 * module.MOST):
        add(journal)
    assert journal.lost == module.MOST
    gate.set()
    assert len(await ids(journal)) == 2 * module.MOST
    add(journal)
    assert journal.lost == module.MOST


async def test_what_was_flushed_outlives_a_kill(path: Path, opened: Callable[..., Invocations]) -> None:
    program = f"""
import asyncio, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_invocations import add, Invocations
async def main():
    journal = Invocations(Path({str(path)!r}))
    add(journal, request="written")
    await journal.flush()
    add(journal, request="lost")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, check=False)
    assert done.returncode == -9
    assert [one.request for one in await opened().recent()] == ["written"]


async def test_a_newer_file_is_refused(path: Path) -> None:
    Invocations(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match=r"is of version 99; this Hotfire knows none above 1\."):
        Invocations(path)


async def test_what_is_closed_says_so(opened: Callable[..., Invocations]) -> None:
    journal = opened()
    journal.close()
    with pytest.raises(StoreError, match="is closed"):
        await journal.recent()


async def test_samples_are_those_that_differ_and_can_be_sent_again(
    opened: Callable[..., Invocations],
) -> None:
    journal = opened()
    add(journal, sent=b"too old")
    for word in (b"a", b"b", b"a"):
        add(journal, sent=word)
    add(journal, sent=b"a", sent_headers={"Content-Type": "text/csv"})
    add(journal, sent=b"streamed", via="stream")
    add(journal, sent=b"elsewhere", endpoint="other")
    add(journal, sent=None, variant="", error="ValidationError", status=0)
    add(journal, sent=b"cut", sent_size=4)
    add(journal, sent=b"masked", sent_headers={"Cookie": "a"})
    add(journal, sent=None)
    found, left_out = await journal.samples("e", 3)
    assert [(one.sent.body, one.sent.content_type) for one in found] == [
        (b"a", "text/csv"),
        (b"a", "application/json"),
        (b"b", "application/json"),
    ]
    assert left_out == 3


def test_limits_are_the_process_variables() -> None:
    assert Limits.of({}) == Limits(MOST_REQUESTS, MOST_BYTES)
    assert Limits.of({"HOTFIRE_JOURNAL_REQUESTS": "7", "HOTFIRE_JOURNAL_MB": "1"}) == Limits(7, 1_048_576)
    with pytest.raises(UsageError, match=r"HOTFIRE_JOURNAL_MB is '1\.5', which is no whole number"):
        Limits.of({"HOTFIRE_JOURNAL_MB": "1.5"})
