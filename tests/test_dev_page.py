"""What a page shows of `hotfire dev`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotfire.console.dev_page import DevPage
from hotfire.console.endpoint_pages import EndpointPages
from hotfire.console.frame import Frame
from hotfire.console.visits import Visit
from hotfire.region.developments import Developments
from hotfire.region.feed import Feed
from hotfire.region.store import Store
from hotfire.region.visitor import OWNER
from hotfire.region.wire import Request
from hotfire.resources import Endpoint

EXAMPLE = {
    "name": "one",
    "passed": True,
    "errors": [],
    "differences": [{"path": "[0].a", "kind": "changed", "expected": 1, "got": 2, "change": 1.0}],
    "seconds": 0.01,
    "new": False,
    "slower": False,
    "failure": None,
    "doubts": [],
    "times": {"predict_fn": 0.004},
    "profile": [],
}


class Place:
    """The page of an endpoint that `hotfire dev` has, or has not."""

    def __init__(self, folder: Path) -> None:
        self.store, self.developments = Store(folder / "region.sqlite"), Developments(Feed(), lambda: 0.0)
        self.store.put_endpoint(Endpoint("news", "arn", "c1", "InService", 0.0, 0.0))
        self.part = DevPage(self.developments, EndpointPages(self.store, lambda name: "somebody"))

    def text(self) -> str:
        visit = Visit(Request("GET", "/e/news/dev", "", {}, b""), OWNER, {"name": "news"})
        return Frame().respond(visit, self.part.show(visit)).body.decode()

    def told(self, **more: Any) -> str:
        """The page after a report with this example."""
        self.developments.began("news", 1)
        self.developments.reloaded("news", 0.07, kept=True)
        report = {"reason": "predict_fn changed", "cause": None, "examples": [{**EXAMPLE, **more}]}
        self.developments.reported("news", report)
        return self.text()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.store.close()


def test_while_nobody_works_there_it_says_how_to_begin(place: Place) -> None:
    assert "<code>hotfire dev</code>" in place.text()


def test_before_the_first_reload_the_model_is_loading(place: Place) -> None:
    place.developments.began("news", 1)
    assert "loading …" in place.text()


def test_a_reload_says_whether_the_model_was_kept_and_how_long_it_took(place: Place) -> None:
    text = place.told()
    assert "<dd>kept</dd>" in text
    assert "<dd>70 ms</dd>" in text
    assert "predict_fn changed" in text


def test_an_example_has_its_differences_and_times(place: Place) -> None:
    text = place.told()
    assert '[0].a</th><td class="mono">1</td><td class="mono">2</td>' in text
    assert "predict_fn 4.0 ms" in text


def test_an_example_that_fails_is_explained(place: Place) -> None:
    failure = {"file": "/p/serve.py", "line": 3, "error": "ValueError: <no>", "advice": "Mend it."}
    text = place.told(passed=False, errors=["status 500, expected 200"], failure=failure)
    for words in ("fails", "status 500, expected 200", "/p/serve.py:3", "ValueError: &lt;no&gt;", "Mend it."):
        assert words in text


def test_doubts_are_told_in_words(place: Place) -> None:
    assert "model.eval()" in place.told(doubts=["training"])


def test_a_profile_is_shown_as_a_tree(place: Place) -> None:
    calls = [
        {"seconds": 0.004, "depth": 0, "name": "predict_fn", "file": "serve.py", "line": 1},
        {"seconds": 0.003, "depth": 1, "name": "forward", "file": "network.py", "line": 9},
    ]
    text = place.told(profile=calls)
    assert "    4.0 ms  predict_fn  serve.py:1\n    3.0 ms    forward  network.py:9" in text


def test_what_cannot_be_loaded_says_why_and_where(place: Place) -> None:
    place.developments.began("news", 1)
    place.developments.reloaded("news", 0.1, failure="NameError: name 'x' is not defined")
    cause = {"file": "/p/serve.py", "line": 7, "function": "model_fn", "advice": "Define it."}
    place.developments.reported("news", {"reason": "", "cause": cause, "examples": []})
    text = place.text()
    for words in ("It cannot be loaded", "NameError: name &#39;x&#39;", "/p/serve.py:7", "Define it."):
        assert words in text
