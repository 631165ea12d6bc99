import time
from datetime import UTC, datetime

import click
import pytest

from hotfire.cli.since import since, span


def said(value: str | None) -> float | None:
    return since(click.Context(click.Command("logs")), click.Option(["--since"]), value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0s", 0), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("2w", 1209600), ("1h30m", 5400)],
)
def test_so_long_ago(value: str, seconds: float) -> None:
    before = time.time()
    moment = said(value)
    assert moment is not None
    assert before <= moment + seconds <= time.time()


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00+02:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("2026-11-22 10:00", datetime(2026, 11, 22, 10).astimezone()),
        ("2026-11-22", datetime(2026, 11, 22).astimezone()),
    ],
)
def test_a_date_and_time(value: str, moment: datetime) -> None:
    assert said(value) == moment.timestamp()


def test_before_all_time_is_the_beginning() -> None:
    assert said("999999999w") == 0.0


def test_nothing_said_is_nothing() -> None:
    assert said(None) is None


@pytest.mark.parametrize("value", ["", "10", "m", "10 m", "-10m", "yesterday", "2026-13-01", "٣m"])
def test_what_is_no_time_is_told_with_what_could_be_said(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time: say 10m"):
        said(value)


def spanned(value: str | None) -> float | None:
    return span(click.Context(click.Command("keys")), click.Option(["--expires"]), value)


@pytest.mark.parametrize(
    ("value", "seconds"), [("90s", 90), ("30d", 30 * 86400), ("1h30m", 5400), ("2w", 1209600), (None, None)]
)
def test_a_span_of_time(value: str | None, seconds: float | None) -> None:
    assert spanned(value) == seconds


@pytest.mark.parametrize("value", ["", "soon", "0s", "0d0h", "-1d", "1.5h", "30", "2026-11-22"])
def test_what_is_no_span_of_time_is_told(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no span of time: say 30m, 12h or 30d"):
        spanned(value)
