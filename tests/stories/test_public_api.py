"""A developer asks a model by plain JSON: from programs, from web pages, from other machines with a key."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from hotfire.address import Address, find
from hotfire.region.batches import Batches
from hotfire.region.quota import Limits

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from conftest import Machine, Project

SCREENS = {"desk": (1280, 800), "phone": (360, 640)}
HANDLER = """\
import json

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return [row[0] for row in json.loads(body)]

def predict_fn(texts, model):
    if "nonsense" in texts:
        raise ValueError("in secret.py")
    return [{"words": len(text.split())} for text in texts]

def output_fn(answers, accept):
    return json.dumps(answers)
"""
EXAMPLE = {
    "request": {"body": [['It\'s a "match" & more']], "content_type": "application/json"},
    "expect": {},
}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another origin: that of a web server, which has one empty page."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>A page</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def news(
    machine: Machine,
    elsewhere: str,
    new_project: Callable[..., Project],
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A model that counts words, in a region that lets pages of one origin ask."""
    machine.told("up", "--allow-origin", elsewhere)
    project: Project = new_project(tmp_path_factory.mktemp("project"), "news")
    project.write("serve.py", HANDLER)
    project.write("examples/match.json", json.dumps(EXAMPLE))
    project.deploy()
    return project


@pytest.fixture
def region(machine: Machine, news: Project) -> Address:
    found = find(machine.home)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def opened(machine: Machine, news: Project) -> Address:
    """The same region, where other machines reach it, from the first test on that wants it so."""
    machine.hotfire("down")
    machine.told("up", "--host", "0.0.0.0")
    found = find(machine.home)
    assert found is not None
    return found


@pytest.fixture
def key(region: Address) -> Iterator[str]:
    """A key for the model."""
    given = {"name": "story", "models": ["news"], "seconds": None}
    yield region.call("POST", "/_hotfire/keys", given)["key"]
    region.call("POST", "/_hotfire/keys/revoke", {"name": "story"})


def ask(url: str, value: Any = None, **headers: str) -> tuple[int, Any]:
    """The answer to a GET, or to a POST of a JSON value."""
    body = None if value is None else json.dumps(value).encode()
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def asked(region: Address) -> list[tuple[str, str, bytes]]:
    """How the requests to the model came, their ids and bodies, the last one first."""
    # When these are told, all that was recorded is written.
    region.call("POST", "/_hotfire/requests", {"endpoint": "news", "limit": 1})
    with Batches(region.home / "requests.sqlite", Limits()) as journal:
        return [(one.written.via, one.written.request, one.bodies[0]) for one in journal.newest()]


def test_a_program_of_the_machine_asks_with_nothing_but_json(region: Address) -> None:
    status, told = ask(f"{region.url}/api/models/news/predict", [{"text": "a b c"}, {"text": "d"}])
    assert (status, told["predictions"]) == (200, [{"words": 3}, {"words": 1}])
    assert set(told["times"]) == {"input_fn", "predict_fn", "output_fn"}
    assert ask(f"{region.url}/api/models/news/predict", "a b")[1]["prediction"] == {"words": 2}


def test_what_was_asked_is_in_the_journal_by_its_id(region: Address) -> None:
    _, told = ask(f"{region.url}/api/models/news/predict", "a b")
    assert asked(region)[0] == ("api", told["request"], b'[["a b"]]')


def test_a_failure_is_told_without_what_the_handler_is_made_of(region: Address) -> None:
    status, told = ask(f"{region.url}/api/models/news/predict", "nonsense")
    assert (status, told["error"]["code"]) == (502, "model_failed")
    assert "secret.py" not in json.dumps(told)
    assert asked(region)[0][1] == told["error"]["request"]


def test_another_process_of_the_machine_reaches_nothing_under_another_name(region: Address) -> None:
    assert ask(f"{region.url}/api/models", Host="evil.example")[0] == 403


def run(snippet: str, language: str, folder: Path, **variables: str) -> Any:
    """What a snippet prints when it is pasted."""
    file = folder / {"curl": "ask.sh", "Python": "ask.py", "JavaScript": "ask.mjs"}[language]
    file.write_text(snippet)
    program = {"curl": "sh", "Python": sys.executable, "JavaScript": "node"}[language]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **variables}
    done = subprocess.run(
        [program, str(file)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_the_snippets_of_the_page_work_when_they_are_pasted(
    region: Address,
    window: Callable[..., Any],
    require: Callable[[str, str], str],
    tmp_path: Path,
    language: str,
) -> None:
    require(
        {"curl": "curl", "JavaScript": "node"}.get(language, "sh"),
        {"JavaScript": "nodejs"}.get(language, "curl"),
    )
    page = window(region).goto("/e/news/api")
    number = page.get_by_role("heading", level=3).all_inner_texts().index(language) + 1
    printed = run(page.locator(f"#snippet-{number}").inner_text(), language, tmp_path)
    assert "words" in printed
    assert json.loads(asked(region)[0][2]) == EXAMPLE["request"]["body"]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/api", "/e/news/api"])
def test_the_pages_that_explain_it_are_for_everybody(
    region: Address,
    window: Callable[..., Any],
    axe: Callable[[Page], list[str]],
    screen: str,
    scheme: str,
    path: str,
) -> None:
    width, height = SCREENS[screen]
    opened = window(region, viewport={"width": width, "height": height}, color_scheme=scheme)
    page = opened.goto(path)
    assert page.get_by_role("heading", name="Errors").is_visible()
    assert not opened.is_wider()
    assert axe(page) == []


def test_one_comes_from_the_explanation_to_the_models_page(
    region: Address, window: Callable[..., Any]
) -> None:
    page = window(region).goto("/api")
    page.get_by_role("row", name="news").get_by_role("link").click()
    page.get_by_role("link", name="Try it").click()
    assert page.url == f"{region.url}/e/news"


# From a web page of another origin

FETCH = """async ([url, headers]) => {
    try {
        const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify({text: "a b"})});
        return [answer.status, await answer.json()];
    } catch (error) { return [0, String(error)]; }
}"""
BLIND = """async ([url]) => {
    await fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body: '"a b"'}).catch(() => 0);
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: url, enctype: "text/plain"});
    form.innerHTML = '<input name="a" value="b">';
    document.body.append(form);
    form.submit();
}"""


@pytest.fixture
def page_elsewhere(browser: Any, region: Address) -> Iterator[Callable[[str], Page]]:
    """`page_elsewhere(origin)`: a page of another origin, in a browser that entered the region."""
    contexts: list[Any] = []

    def open_page(origin: str) -> Page:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        token = region.call("POST", "/_hotfire/entry")["token"]
        page.goto(f"{region.url}/?entry={token}")
        page.goto(origin)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("headers", [{}, {"X-Api-Key": "KEY"}, {"Authorization": "Bearer KEY"}])
def test_a_page_of_a_listed_origin_asks(
    region: Address,
    key: str,
    elsewhere: str,
    page_elsewhere: Callable[[str], Page],
    headers: dict[str, str],
) -> None:
    given = {"Content-Type": "application/json"} | {n: v.replace("KEY", key) for n, v in headers.items()}
    url = f"{region.url}/api/models/news/predict"
    status, told = page_elsewhere(elsewhere).evaluate(FETCH, [url, given])
    assert (status, told["prediction"]) == (200, {"words": 2})


def test_a_page_of_another_origin_gets_nothing_and_reaches_nothing(
    region: Address, elsewhere: str, page_elsewhere: Callable[[str], Page]
) -> None:
    before = asked(region)
    page = page_elsewhere(elsewhere.replace("127.0.0.1", "localhost"))
    url = f"{region.url}/api/models/news/predict"
    status, told = page.evaluate(FETCH, [url, {"Content-Type": "application/json"}])
    assert (status, "TypeError" in told) == (0, True)
    with page.expect_navigation():
        page.evaluate(BLIND, [url])
    assert "not_from_here" in page.content()
    assert asked(region) == before


def test_a_listed_page_reaches_nothing_but_the_public_api(
    region: Address, elsewhere: str, page_elsewhere: Callable[[str], Page]
) -> None:
    page = page_elsewhere(elsewhere)
    for path in ("/", "/e/news", "/_hotfire/stop", "/endpoints/news/invocations", "/metrics"):
        assert page.evaluate(FETCH, [region.url + path, {}])[0] == 0
    assert ask(f"{region.url}/api/models")[0] == 200


# From other machines, for which other addresses of the loopback stand


def test_a_wrong_span_of_time_is_told(machine: Machine) -> None:
    done = machine.hotfire("keys", "create", "x", "--expires", "soon")
    assert (done.returncode, "'soon' is no span of time" in done.stderr) == (2, True)


def test_the_key_alone_is_on_standard_output(machine: Machine, news: Project) -> None:
    done = machine.hotfire("keys", "create", "alone")
    machine.told("keys", "revoke", "alone")
    assert done.stdout.startswith("hotfire_")
    assert len(done.stdout.split()) == 1
    assert "It is shown this once" in done.stderr


def test_where_others_reach_the_region_a_key_is_needed_and_its_end_is_at_once(
    opened: Address, machine: Machine
) -> None:
    url = f"{opened.url}/api/models/news/predict"
    made = machine.told("keys", "create", "phone", "--model", "news", "--expires", "1d")
    assert ask(url, "a b")[0] == 401
    assert ask(url, "a b", X_Api_Key=made["key"])[1]["prediction"] == {"words": 2}
    assert ask(f"{opened.url}/api/models/other", X_Api_Key=made["key"])[0] == 403
    (listed,) = machine.told("keys", "list")
    assert (listed["name"], listed["models"], listed["used"] is not None) == ("phone", ["news"], True)
    machine.told("keys", "revoke", "phone")
    assert ask(url, "a b", X_Api_Key=made["key"])[0] == 401


def test_the_snippets_send_a_key_where_one_is_needed(
    opened: Address, key: str, window: Callable[..., Any], tmp_path: Path
) -> None:
    page = window(opened).goto("/e/news/api")
    for number, language in enumerate(("curl", "Python", "JavaScript"), 1):
        snippet = page.locator(f"#snippet-{number}").inner_text()
        assert "words" in run(snippet, language, tmp_path, HOTFIRE_KEY=key)


def test_a_key_of_the_public_api_opens_nothing_of_aws_or_of_ours(opened: Address, key: str) -> None:
    for path in ("/_hotfire/keys", "/endpoints/news/invocations", "/", "/e/news", "/metrics"):
        request = urllib.request.Request(opened.url + path, headers={"Authorization": f"Bearer {key}"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        assert caught.value.code in (400, 403), path
        caught.value.close()


def test_a_key_outlives_the_regions_process_and_is_nowhere_in_its_files(
    opened: Address, machine: Machine
) -> None:
    given = {"name": "lasting", "models": [], "seconds": None}
    key = opened.call("POST", "/_hotfire/keys", given)["key"]
    ask(f"{opened.url}/api/models/news/predict", "a b", Authorization=f"Bearer {key}")
    machine.hotfire("down")
    files = [file for file in machine.home.rglob("*") if file.is_file()]
    assert [file for file in files if key.encode() in file.read_bytes()] == []
    machine.told("up", "--host", "0.0.0.0")
    again = find(machine.home)
    assert again is not None
    assert ask(f"{again.url}/api/models", X_Api_Key=key)[0] == 200
