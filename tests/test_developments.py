"""What is remembered of `hotfire dev` while it runs."""

from hotfire.region.developments import Developments, Reload
from hotfire.region.feed import Feed


def test_what_befalls_an_endpoint_is_kept_and_told() -> None:
    feed = Feed()
    developments = Developments(feed, lambda: 5.0)
    listener = feed.subscribe(("dev",), "e")
    developments.began("e", 7)
    developments.reloaded("e", 1.5)
    developments.reloaded("e", 0.1, kept=True)
    developments.reloaded("e", 0.2, failure="SyntaxError")
    developments.refused("e", 500)
    developments.reported("e", {"examples": []})
    now = developments.of("e")
    assert now is not None
    assert (now.pid, now.since, now.failed, now.report) == (7, 5.0, 1, {"examples": []})
    assert list(now.reloads) == [
        Reload(5.0, kept=False, seconds=1.5),
        Reload(5.0, kept=True, seconds=0.1),
        Reload(5.0, kept=False, seconds=0.2, failure="SyntaxError"),
    ]
    developments.ended("e")
    assert developments.of("e") is None
    events = [event.data["event"] for event in listener.take()]
    assert events == ["began", "reloaded", "reloaded", "reloaded", "failed", "report", "ended"]


def test_nothing_is_kept_of_who_has_no_endpoint() -> None:
    developments = Developments(Feed())
    developments.reloaded("e", 1.0)
    developments.reported("e", {})
    developments.refused("e", 500)
    developments.ended("e")
    assert developments.of("e") is None
