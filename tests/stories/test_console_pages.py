"""Somebody looks at endpoints in a browser: their state, their requests, what they print, how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from hotfire.address import Address, find

if TYPE_CHECKING:
    from playwright.sync_api import Page

HANDLER = """\
import json
import time
from pathlib import Path

ANSWER = 1
GATE = Path("{gate}")

def model_fn(model_dir):
    while GATE.exists():
        time.sleep(0.01)
    return ANSWER

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    print("asked about", str(data)[:200])
    if data == ["nonsense"]:
        raise ValueError("this is nonsense")
    if data == ["big"]:
        return "x" * 5_000_000
    return {{"answer": model, "data": data}}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
HOSTILE = "<script>alert('here')</script><img src=x onerror=alert(1)>"
SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 640}}
UNCHANGED = "window.isTheSame = true"
"""Run on a page to tell later that it was not loaded again."""


@dataclass
class Scene:
    """A region with one project's endpoint, of which two versions were deployed."""

    project: Any
    gate: Path
    client: Any = None

    @property
    def region(self) -> Address:
        """Where it is now."""
        found = find(self.project.machine.home)
        assert found is not None
        return found

    @property
    def name(self) -> str:
        """The endpoint's."""
        return str(self.project.name)

    def ask(self, data: Any) -> None:
        """Send a request, of which nobody minds what comes of it."""
        with suppress(self.client.exceptions.ModelError):
            self.client.invoke_endpoint(
                EndpointName=self.name, Body=json.dumps(data), ContentType="application/json"
            )

    @contextmanager
    def deploying(self) -> Iterator[None]:
        """While a deploy goes on, whose model is not loaded before this ends."""
        self.gate.touch()
        command = [sys.executable, "-m", "hotfire", "deploy"]
        environment = self.project.machine.environment()
        deploy = subprocess.Popen(
            command, cwd=self.project.folder, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            self.gate.unlink()
            assert deploy.wait(60) == 0


@pytest.fixture(scope="module")
def scene(machine: Any, new_project: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("console")
    project = new_project(folder / "project", "tiny")
    scene = Scene(project, folder / "gate")
    project.write("serve.py", HANDLER.format(gate=scene.gate))
    project.deploy()
    key = scene.region.key
    scene.client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=scene.region.url,
        region_name="us-east-1",
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
    )
    for data in (["first"], ["nonsense"], [HOSTILE], ["big"]):
        scene.ask(data)
    project.edit("ANSWER = 1", "ANSWER = 2")
    project.deploy()
    scene.ask(["second"])
    yield scene
    scene.client.close()


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    return SIZES[request.param]


def opened(page: Page, scene: Scene, words: str) -> Page:
    """The record of the first request that has these words."""
    page.goto(f"{scene.region.url}/requests")
    page.get_by_role("searchbox", name="Search").fill(words)
    page.wait_for_url("**text=**")
    page.locator("table.requests tbody a").last.click()
    page.get_by_role("heading", level=1, name="Request").wait_for()
    return page


def rows(page: Page) -> list[list[str]]:
    """What the first table says, row by row."""
    found = page.get_by_role("table").first.locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in found]


def test_every_endpoint_is_on_the_first_page(scene: Scene, window: Any, size: Any) -> None:
    page = window(scene.region, viewport=size).goto("/")
    panel = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=scene.name))
    said = panel.first.inner_text()
    assert "InService" in said
    assert "Last deploy" in said
    assert "AllTraffic · 1 × local" in said


def test_the_state_is_told_live_during_a_deploy(scene: Scene, window: Any, size: Any) -> None:
    from playwright.sync_api import expect

    page = window(scene.region, viewport=size).goto("/")
    page.evaluate(UNCHANGED)
    scene.project.write("note.txt", str(size))
    scene.project.edit("def model_fn", f"# {size}\ndef model_fn")
    with scene.deploying():
        expect(page.locator(".state")).to_have_text("Updating")
    expect(page.locator(".state")).to_have_text("InService")
    assert page.evaluate("window.isTheSame")


def test_a_new_request_appears_by_itself(scene: Scene, window: Any, size: Any) -> None:
    page = window(scene.region, viewport=size).goto("/requests")
    page.locator("#connection[data-state=live]").wait_for()
    page.evaluate(UNCHANGED)
    before = page.locator("table.requests tbody tr").first.get_attribute("data-key")
    scene.ask(["lately"])
    page.locator(f"table.requests tbody tr:first-child:not([data-key={before}])").wait_for()
    assert page.evaluate("window.isTheSame")


def test_requests_are_filtered_and_searched(scene: Scene, window: Any) -> None:
    page = window(scene.region).goto("/requests")
    page.get_by_role("combobox", name="Status").select_option("5xx")
    page.locator("tbody tr", has_text="200").first.wait_for(state="detached")
    assert {row[2] for row in rows(page)} == {"500 ModelError"}
    page.get_by_role("combobox", name="Status").select_option("")
    page.get_by_role("searchbox", name="Search").fill("there is no such word")
    page.get_by_text("No such request").wait_for()
    assert "text=there+is+no+such+word" in page.url


def test_a_request_says_all_that_is_known_of_it(scene: Scene, window: Any, size: Any) -> None:
    page = opened(window(scene.region, viewport=size).page, scene, "first")
    said = page.inner_text("main")
    for words in ("InvokeEndpoint", "AllTraffic", "predict_fn", "asked about ['first']"):
        assert words in said
    assert json.loads(page.get_by_label("Body of the request").inner_text()) == ["first"]
    assert json.loads(page.get_by_label("Body of the answer").inner_text()) == {
        "answer": 1,
        "data": ["first"],
    }
    page.get_by_text("headers").first.click()
    assert page.get_by_role("rowheader", name="Content-Type").first.is_visible()


def test_a_failure_is_shown_with_its_traceback(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, "this is nonsense")
    assert "500 ModelError" in page.inner_text("main")
    assert "ValueError: this is nonsense" in page.get_by_label("Body of the answer").inner_text()


def test_a_failure_under_dev_or_on_the_page_is_explained(scene: Scene, window: Any) -> None:
    one = window(scene.region)
    page = opened(one.page, scene, "this is nonsense")
    page.get_by_role("button", name="Replay").click()
    page.get_by_role("link", name="its own record").click()
    explained = page.get_by_role("group", name="What failed").inner_text()
    assert "ValueError: this is nonsense" in explained
    assert "serve.py:" in explained


def test_markup_in_a_body_is_inert(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, HOSTILE)
    assert json.loads(page.get_by_label("Body of the request").inner_text()) == [HOSTILE]
    assert page.locator("main script, main img").count() == 0


def test_of_a_body_of_5_mb_the_beginning_is_shown_and_given_as_a_file(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, '["big"]')
    assert "Only the first 65.5 KB of 5.0 MB are recorded." in page.inner_text("main")
    assert len(page.content()) < 100_000
    link = page.get_by_role("link", name="Download what is recorded").get_attribute("href")
    answer = page.request.get(scene.region.url + str(link))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.body()) == 65_536


def test_a_replay_tells_where_the_answer_differs(scene: Scene, window: Any, size: Any) -> None:
    page = opened(window(scene.region, viewport=size).page, scene, "first")
    page.get_by_role("button", name="Replay").click()
    page.get_by_role("heading", name=f"Sent again to {scene.name}").wait_for()
    assert "1 difference" in page.inner_text("#replay")
    assert rows(page)[0][:3] == ["answer", "1", "2"]


def test_a_replay_to_the_version_of_then_answers_the_same(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, "first")
    version = page.locator("dd.mono").first.inner_text()
    page.get_by_role("combobox", name="To").select_option(f"version:{version}")
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("The same answer").wait_for()


def test_a_request_is_saved_as_an_example_and_none_is_overwritten(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, "second")
    page.get_by_role("textbox", name="Name").fill("from the console")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").filter(has_text="Saved as").wait_for()
    file = scene.project.folder / "examples" / "from the console.json"
    written = file.read_text()
    assert json.loads(written)["request"] == {"body": ["second"]}
    assert json.loads(written)["expect"]["value"] == {"answer": 2, "data": ["second"]}
    page.get_by_role("textbox", name="Name").fill("from the console")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("is there already").wait_for()
    assert file.read_text() == written


def test_no_name_of_an_example_leads_out_of_its_folder(scene: Scene, window: Any) -> None:
    page = opened(window(scene.region).page, scene, "second")
    page.get_by_role("textbox", name="Name").fill("../outside")
    page.evaluate("document.querySelector('#example-name').removeAttribute('pattern')")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("cannot be an example's name").wait_for()
    assert not (scene.project.folder / "outside.json").exists()


def test_the_log_goes_on_pauses_and_is_filtered(scene: Scene, window: Any, size: Any) -> None:
    one, other = f"one of {size}", f"other of {size}"
    page = window(scene.region, viewport=size).goto(f"/e/{scene.name}/logs")
    page.locator("#connection[data-state=live]").wait_for()
    log = page.get_by_role("log")
    scene.ask([one])
    log.get_by_text(one).wait_for()
    page.get_by_role("button", name="Pause").click()
    scene.ask([other])
    page.get_by_role("button", name="Resume (1 new)").wait_for()
    assert other not in log.inner_text()
    page.get_by_role("button", name="Resume").click()
    log.get_by_text(other).wait_for()
    page.get_by_role("searchbox", name="Filter").fill(one.upper())
    log.get_by_text(other).wait_for(state="detached")
    assert one in log.inner_text()


def test_older_lines_come_when_they_are_asked_for(scene: Scene, window: Any) -> None:
    one = window(scene.region)
    scene.ask(["many"])
    scene.project.edit(
        "    print(", '    [print("line", n) for n in range(400) if data == ["many"]]\n    print('
    )
    scene.project.deploy()
    scene.ask(["many"])
    page = one.goto(f"/e/{scene.name}/logs")
    log = page.get_by_role("log")
    log.get_by_text("line 399").wait_for()
    assert log.get_by_text("line 7", exact=True).count() == 0
    page.get_by_role("link", name="Older lines").click()
    log.get_by_text("line 7", exact=True).wait_for()
    numbers = [text for text in log.locator(".words").all_inner_texts() if text.startswith("line ")]
    assert numbers == [f"line {n}" for n in range(400)]


def test_charts_draw_what_comes_and_mark_deploys(scene: Scene, window: Any, size: Any) -> None:
    page = window(scene.region, viewport=size).goto(f"/e/{scene.name}/charts")
    page.evaluate(UNCHANGED)
    chart = page.get_by_role("region", name="Requests a minute")
    assert chart.locator("path.mark").count() >= 2
    drawn = chart.locator("path.line").get_attribute("d")
    assert drawn
    for _ in range(3):
        scene.ask(["more"])
    page.wait_for_function(
        "drawn => document.querySelector('.chart path.line').getAttribute('d') !== drawn", arg=drawn
    )
    chart.get_by_text("As a table").click()
    assert chart.get_by_role("columnheader").all_inner_texts() == ["From", "requests"]
    assert page.evaluate("window.isTheSame")


def test_dev_shows_each_save_and_its_examples(scene: Scene, window: Any, new_project: Any) -> None:
    from playwright.sync_api import expect

    project = new_project(scene.project.folder.parent / "dev", "handmade")
    project.write("serve.py", HANDLER.format(gate=scene.gate))
    expected = {"request": {"body": ["a"]}, "expect": {"value": {"answer": 7, "data": ["a"]}}}
    project.write("examples/one.json", json.dumps(expected))
    command = [sys.executable, "-m", "hotfire", "dev", "--config", str(project.folder / "config.yml")]
    with project.machine.started(command) as dev:
        try:
            for line in dev.stdout:
                if "answer was 7" in line:
                    break
            page = window(scene.region).goto("/e/handmade/dev")
            assert rows(page) == [["answer", "7", "1", "-6"]]
            project.edit("    print(", '    print("edited")\n    print(')
            expect(page.locator(".figures dd", has_text="kept")).to_be_visible()
            project.edit("ANSWER = 1", "ANSWER = 1 +")
            project.edit("ANSWER = 1 +", "ANSWER = missing")
            expect(page.get_by_text("It cannot be loaded")).to_be_visible()
            assert "NameError" in page.locator(".reason").inner_text()
        finally:
            dev.terminate()


def test_a_page_is_right_again_when_the_region_was_away(scene: Scene, window: Any) -> None:
    one = window(scene.region)
    page = one.goto("/requests")
    page.locator("#connection[data-state=live]").wait_for()
    page.evaluate(UNCHANGED)
    port = scene.region.url.rpartition(":")[2]
    machine = scene.project.machine
    assert machine.hotfire("down").returncode == 0
    page.get_by_text("reconnecting").wait_for()
    assert machine.hotfire("up", "--port", port).returncode == 0
    page.locator("#connection[data-state=live]").wait_for()
    newest = page.locator("table.requests tbody tr").first.get_attribute("data-key")
    scene.ask(["after all"])
    page.locator(f"table.requests tbody tr:first-child:not([data-key={newest}])").wait_for()
    assert page.evaluate("window.isTheSame")
    # That the region was away is the one thing that the browser complains of.
    assert {text.partition(" (")[0] for text in one.wrong} <= {
        "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    } | {text for text in one.wrong if "net::ERR_" in text}
    one.wrong.clear()


def test_all_is_there_without_javascript(scene: Scene, window: Any) -> None:
    page = window(scene.region, java_script_enabled=False).goto("/requests")
    page.get_by_role("combobox", name="Status").select_option("5xx")
    page.get_by_role("button", name="Filter").click()
    assert {row[2] for row in rows(page)} == {"500 ModelError"}
    page.locator("table.requests tbody a").first.click()
    page.get_by_role("button", name="Replay").click()
    assert "Sent again to" in page.inner_text("main")
    page.goto(f"{scene.region.url}/e/{scene.name}/logs")
    assert "asked about" in page.get_by_role("log").inner_text()
    page.goto(f"{scene.region.url}/e/{scene.name}/charts")
    assert page.locator(".chart svg").count() == 4


def test_the_keyboard_skips_to_the_content(scene: Scene, window: Any) -> None:
    page = window(scene.region).goto("/requests")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "text"


def test_the_first_page_is_small(scene: Scene, window: Any) -> None:
    one = window(scene.region, enter=False)
    sizes: list[int] = []
    one.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    token = scene.region.call("POST", "/_hotfire/entry")["token"]
    one.goto(f"/?entry={token}").locator("#connection[data-state=live]").wait_for()
    assert 10_000 < sum(sizes) < 100_000


ADDRESSES = (
    "/",
    "/requests",
    "/e/{name}/requests",
    "/e/{name}/requests?text=there+is+none",
    "/e/{name}/logs",
    "/e/{name}/charts",
    "/e/{name}/dev",
    "/nowhere",
)


def test_every_page_is_for_everybody(scene: Scene, window: Any, axe: Any, size: Any) -> None:
    one = window(scene.region, viewport=size)
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        one.page.wait_for_load_state()  # what is there before its style is wider
        found[name] = ["it is too wide"] if one.is_wider() else []
        for scheme in ("dark", "light"):
            one.page.emulate_media(color_scheme=scheme)
            found[name] += axe(one.page)

    for address in ADDRESSES:
        one.goto(address.format(name=scene.name))
        look(address)
    for words in ("first", "this is nonsense", HOSTILE, '["big"]'):
        page = opened(one.page, scene, words)
        page.get_by_role("button", name="Replay").click()
        page.locator("#replay").wait_for()
        look(words)
    one.wrong = [text for text in one.wrong if "404" not in text]  # of /nowhere
    assert {address: wrong for address, wrong in found.items() if wrong} == {}
