import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hotfire.region import journal as module
from hotfire.region.journal import Journal, Stream


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Iterator[Journal]:
    """Its clock goes a second a line, from 1000 s on."""
    with Journal(file, itertools.count(1000).__next__) as journal:
        yield journal


def texts(journal: Journal, endpoint: str = "e", **filters: object) -> list[str]:
    return [line.text for line in journal.lines(endpoint, **filters)]  # type: ignore[arg-type]


def test_lines_come_back_in_their_order_with_all_that_was_said_of_them(journal: Journal) -> None:
    journal.add("e", "v/i-1", "r1", "one")
    journal.add("e", "v/i-2", "", "two")
    first, second = journal.lines("e")
    assert (first.endpoint, first.stream, first.time, first.request, first.text) == (
        "e",
        "v/i-1",
        1_000_000,
        "r1",
        "one",
    )
    assert (second.stream, second.time, second.request, second.text) == ("v/i-2", 1_001_000, "", "two")


def test_an_endpoint_has_its_own_lines(journal: Journal) -> None:
    journal.add("e", "s", "", "mine")
    journal.add("other", "s", "", "theirs")
    assert texts(journal) == ["mine"]


def test_lines_are_found_by_stream_time_and_place(journal: Journal) -> None:
    for number, stream in enumerate("abcabc"):
        journal.add("e", stream, "", str(number))
    assert texts(journal, streams=["a", "c"]) == ["0", "2", "3", "5"]
    assert texts(journal, start=1_002_000, end=1_004_000) == ["2", "3"]
    assert texts(journal, limit=2) == ["0", "1"]
    third = journal.lines("e")[2]
    assert texts(journal, after=third.id) == ["3", "4", "5"]


def test_lines_are_found_by_words_in_whatever_case(journal: Journal) -> None:
    for text in ("Out of memory", "50% of it", "all is well"):
        journal.add("e", "s", "", text)
    assert texts(journal, containing="OF") == ["Out of memory", "50% of it"]
    assert texts(journal, containing="50%") == ["50% of it"]
    assert texts(journal, containing="of", limit=1, newest_first=True) == ["50% of it"]


def test_streams_are_those_that_printed(journal: Journal) -> None:
    for stream in "aab":
        journal.add("e", stream, "", "four")
    journal.add("other", "c", "", "")
    assert sorted(journal.streams("e"), key=lambda stream: stream.name) == [
        Stream("a", 1_000_000, 1_001_000, 8),
        Stream("b", 1_002_000, 1_002_000, 4),
    ]


def test_endpoints_are_those_that_printed(journal: Journal) -> None:
    assert (journal.endpoints(), journal.has("e")) == ([], False)
    for stream in "ab":
        journal.add("e", stream, "", "four")
    assert journal.endpoints() == [Stream("e", 1_000_000, 1_001_000, 8)]
    assert (journal.has("e"), journal.has("other")) == (True, False)
    assert (journal.has("e", "b"), journal.has("e", "c")) == (True, False)


def test_lines_are_read_backward_too(journal: Journal) -> None:
    for number in range(5):
        journal.add("e", "s", "", str(number))
    fourth = journal.lines("e")[3]
    assert texts(journal, newest_first=True, limit=2) == ["4", "3"]
    assert texts(journal, newest_first=True, before=fourth.id) == ["2", "1", "0"]


def test_lines_outlive_the_region(file: Path) -> None:
    with Journal(file) as journal:
        journal.add("e", "s", "", "kept")
    with Journal(file) as journal:
        assert texts(journal) == ["kept"]


def test_lines_reach_the_disk_in_batches(journal: Journal, file: Path) -> None:
    with closing(sqlite3.connect(file)) as reader:
        for number in range(499):
            journal.add("e", "s", "", str(number))
        assert reader.execute("SELECT count(*) FROM output").fetchone() == (0,)
        journal.add("e", "s", "", "499")
        assert reader.execute("SELECT count(*) FROM output").fetchone() == (500,)


def test_the_latest_lines_are_kept(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 700)
    for number in range(5_000):
        journal.add("e", "s", "", str(number))
    kept = texts(journal)
    assert (len(kept), kept[0], kept[-1]) == (700, "4300", "4999")


def test_text_of_any_kind_is_kept(journal: Journal) -> None:
    journal.add("e", "s", "", "a\x00b \ud800 ☃")
    assert texts(journal) == ["a\x00b ? ☃"]


def test_a_full_disk_costs_the_lines_and_nothing_else(journal: Journal, file: Path) -> None:
    journal.add("e", "s", "", "before")
    journal.flush()
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2_000):
        journal.add("e", "s", "", "x" * 1000)
    journal._database.execute("PRAGMA max_page_count = 1000000")
    journal.add("e", "s", "", "after")
    assert texts(journal) == ["before", "after"]


def test_a_journal_that_another_program_holds_costs_the_lines_and_nothing_else(
    journal: Journal, file: Path
) -> None:
    journal._database.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        journal.add("e", "s", "", "lost")
        journal.flush()
    journal.add("e", "s", "", "after")
    assert texts(journal) == ["after"]


def test_what_is_printed_after_the_end_is_dropped(file: Path) -> None:
    journal = Journal(file)
    journal.close()
    for _ in range(600):
        journal.add("e", "s", "", "too late")
