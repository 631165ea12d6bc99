"""The file of the recorded requests, many of them in a row."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hotfire.errors import StoreError
from hotfire.region import batches as module
from hotfire.region.batches import Batches
from hotfire.region.quota import Limits
from hotfire.region.records import Record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., Batches]]:
    """Opens the file, and closes it at the end."""
    made: list[Batches] = []

    def opened(requests: int = 10_000, size: int = 1_000_000) -> Batches:
        made.append(Batches(path, Limits(requests, size)))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def record(id: int, **more: Any) -> Record:
    values: dict[str, Any] = {
        "request": f"r-{id}",
        "time": id,
        "endpoint": "e",
        "variant": "AllTraffic",
        "version": "e-1",
        "via": "invoke",
        "status": 200,
        "error": "",
        "message": "",
        "seconds": 0.25,
        "first": None,
        "times": {},
        "findings": None,
        "sent_headers": {},
        "sent": b"sent %d" % id,
        "sent_size": 9,
        "answer_headers": {},
        "answer": b"answered %d" % id,
        "answer_size": 9,
    }
    return Record(id=id, **{**values, **more})


def mixed(numbers: range) -> list[Record]:
    """Of every ten the last one failed."""
    return [record(n, error="" if n % 10 else "ModelError") for n in numbers]


def ids(batches: Batches, **what: Any) -> list[int]:
    return [one.id for one in batches.newest(**what)]


def rows(path: Path) -> list[tuple[int, int, int]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT first, last, failed FROM batches ORDER BY last").fetchall()


def test_a_row_has_so_many_of_a_kind_at_most(
    opened: Callable[..., Batches], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 90)
    opened().write(mixed(range(1, 251)))
    found = rows(path)
    # Nine of ten are good: the 90th is 99, the 180th 199.
    assert [row[:2] for row in found if not row[2]] == [(1, 99), (101, 199), (201, 249)]
    assert [row[:2] for row in found if row[2]] == [(10, 250)]


def test_the_newest_come_first_whether_they_failed_or_not(opened: Callable[..., Batches]) -> None:
    batches = opened()
    batches.write(mixed(range(1, 251)))
    batches.write([record(251)])
    assert ids(batches) == list(range(251, 0, -1))
    assert ids(batches, before=205) == list(range(204, 0, -1))
    assert ids(batches, failed=True) == list(range(250, 0, -10))
    assert ids(batches, failed=False, before=12) == [11, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_each_has_its_own_bodies(opened: Callable[..., Batches]) -> None:
    batches = opened()
    batches.write([record(1), record(2, sent=b"", answer=None), record(3), record(4, error="ModelError")])
    assert [one.bodies for one in batches.newest()] == [
        (b"sent 4", b"answered 4"),
        (b"sent 3", b"answered 3"),
        (b"", b""),
        (b"sent 1", b"answered 1"),
    ]


def test_one_is_found_by_its_id(opened: Callable[..., Batches]) -> None:
    batches = opened()
    batches.write(mixed(range(1, 31)))
    batches.write([record(40)])
    found = batches.find(20)
    assert found is not None
    assert (found.id, found.written.request, found.bodies[0]) == (20, "r-20", b"sent 20")
    assert [batches.find(id) for id in (0, -1, 31, 41, 2**80)] == [None] * 5


def test_a_row_whose_beginning_is_gone_has_the_rest(opened: Callable[..., Batches], path: Path) -> None:
    batches = opened(30)
    batches.write([record(n) for n in range(1, 81)])
    batches.write([record(n) for n in range(81, 101)])
    assert ids(batches) == list(range(100, 70, -1))
    assert batches.find(70) is None
    assert [row[:2] for row in rows(path)] == [(1, 80), (81, 100)]
    batches.write([record(n) for n in range(101, 111)])
    assert ids(batches) == list(range(110, 80, -1))
    assert [row[:2] for row in rows(path)] == [(81, 100), (101, 110)]
    batches.close()
    again = opened(15)
    assert ids(again) == list(range(110, 95, -1))
    assert again.last_id == 110


def test_what_could_not_be_written_takes_nothing_with_it(opened: Callable[..., Batches], path: Path) -> None:
    batches = opened(50)
    batches.write([record(n) for n in range(1, 51)])
    pages = batches._database.rows("PRAGMA page_count")[0][0]
    batches._database.write(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="No space is left"):
        batches.write([record(n, sent=bytes(60_000)) for n in range(51, 101)])
    assert ids(batches) == list(range(50, 0, -1))
    batches._database.write("PRAGMA max_page_count = 100000")
    batches.write([record(101)])
    assert ids(batches) == [101, *range(50, 1, -1)]
    assert rows(path) == [(1, 50, 0), (101, 101, 0)]
