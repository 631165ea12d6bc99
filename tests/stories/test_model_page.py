"""A newcomer opens a model's page in a browser, on a desk and on a phone, and tries the model."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hotfire.address import Address, find

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NEWS = """\
import hashlib
import json

def model_fn(model_dir):
    return ["Business", "Sci/Tech", "Sports", "World"]

def input_fn(body, content_type):
    return body, [row[0] for row in json.loads(body)]

def predict_fn(data, labels):
    body, texts = data
    found = hashlib.sha256(body.encode()).hexdigest()
    return [{"probabilities": scores(text, labels), "sha256": found} for text in texts]

def scores(text, labels):
    if "nonsense" in text:
        raise ValueError("this is nonsense: " + text)
    if "many" in text:
        labels = [f"{number} " + "a-label-without-any-end" * 13 for number in range(40)]
    found = {label: 1 + 20 * ("tennis" in text and label == "Sports") for label in labels}
    found.update({text: 5} if "<" in text else {})
    found.update({"x" * 5_000_000: 1} if "five" in text else {})
    total = sum(found.values())
    return {label: count / total for label, count in found.items()}

def output_fn(answers, accept):
    return json.dumps(answers)
"""
NEWS_APP = {
    "title": "What is this headline about?",
    "description": "Tells business, science, sports and the world apart.",
    "inputs": [
        {
            "name": "text",
            "type": "long text",
            "label": "Headline",
            "description": "As a newspaper prints it.",
            "examples": ["Oil prices fall"],
        }
    ],
    "body": [["{text}"]],
    "outputs": {"type": "label", "at": "probabilities"},
}
PHOTO = """\
import hashlib
import json

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return bytes(body)

def predict_fn(body, model):
    return body

def output_fn(body, accept):
    if accept == "application/json":
        return json.dumps({"sha256": hashlib.sha256(body).hexdigest()})
    return body, "image/png"
"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
OTHER_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8Dwn4GBgYmBgYGBgQEADiwCA2H2l5wAAAAASUVORK5CYII="
)
HOSTILE = "<script>alert('here')</script><img src=x onerror=alert(1)>"
SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 640}}
UNCHANGED = "window.isTheSame = true"
"""Run on a page to tell later that it was not loaded again."""


@dataclass
class Scene:
    """A region with a classifier of headlines that declares its page, and a model of images that does not."""

    news: Any
    photo: Any

    @property
    def region(self) -> Address:
        """Where it is."""
        found = find(self.news.machine.home)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def scene(new_project: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("models")
    news, photo = new_project(folder / "news", "news"), new_project(folder / "photo", "photo")
    news.write("serve.py", NEWS)
    news.configure(model_name="news", app=NEWS_APP)
    example(news, "wimbledon", body=[["The Wimbledon tennis tournament starts next week!"]])
    example(news, "both", body=[["A tennis match"], ["A law is signed"]])
    example(news, "oil", body=[["Oil prices fall and Wall Street shares climb"]])
    photo.write("serve.py", PHOTO)
    example(
        photo, "dot", body_base64=base64.b64encode(PNG).decode(), content_type="image/png", accept="image/png"
    )
    example(
        photo,
        "example-of-a-name-that-is-longer-than-a-phone-is-wide",
        body_base64="",
        content_type="image/png",
    )
    news.deploy()
    photo.deploy()
    return Scene(news, photo)


def example(project: Any, name: str, **request: Any) -> None:
    """Write an example of a project."""
    project.write(f"examples/{name}.json", json.dumps({"request": request}))


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    return SIZES[request.param]


def send(page: Page) -> Locator:
    """Send what stands in the form; the answer to it."""
    before = page.locator("#result")
    stale = before.element_handle() if before.count() else None
    page.get_by_role("button", name="Send", exact=True).click()
    if stale is not None:
        page.wait_for_function("one => !one.isConnected", arg=stale)
    page.locator("#result").wait_for()
    return page.locator("#result")


def bars(page: Page) -> list[list[str]]:
    """What the bars say, input by input."""
    return [
        [" ".join(row.split()) for row in one.get_by_role("listitem").all_inner_texts()]
        for one in page.locator("#result ol.bars").all()
    ]


def test_a_text_is_predicted_without_the_page_being_loaded_again(
    scene: Scene, window: Any, size: Any, axe: Any, picture: Any
) -> None:
    tab = window(scene.region, viewport=size, color_scheme="light")
    page = tab.goto("/e/news")
    assert page.get_by_role("heading", level=2).first.inner_text() == "What is this headline about?"
    page.evaluate(UNCHANGED)
    page.get_by_role("textbox", name="Headline").fill("Rain stops the tennis in Paris")
    send(page)
    assert bars(page)[0][0] == "Sports 87.5 %"
    assert len(bars(page)[0]) == 4
    assert page.get_by_role("textbox", name="Headline").input_value() == "Rain stops the tennis in Paris"
    assert re.fullmatch(r"Answered in \d+ ms. Sports 87.5 %", page.locator("#news").inner_text())
    assert page.evaluate("window.isTheSame")
    assert not tab.is_wider()
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page) == []
    if size["width"] > 1000:
        page.emulate_media(color_scheme="light")
        page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
        picture(page, "model-light")
        page.emulate_media(color_scheme="dark")
        picture(page, "model-dark")


def test_an_example_fills_the_form_in_one_click(scene: Scene, window: Any, size: Any) -> None:
    tab = window(scene.region, viewport=size)
    page = tab.goto("/e/news")
    page.evaluate(UNCHANGED)
    page.get_by_role("link", name="both").click()
    page.get_by_role("group", name="Input 2").wait_for()
    boxes = page.get_by_role("textbox", name="Headline")
    assert [one.input_value() for one in boxes.all()] == ["A tennis match", "A law is signed"]
    result = send(page)
    first, second = bars(page)
    assert (first[0], second[0]) == ("Sports 87.5 %", "Business 25.0 %")
    assert result.get_by_role("heading", level=3).all_inner_texts() == ["A tennis match", "A law is signed"]
    assert page.evaluate("window.isTheSame")
    assert page.url.endswith("?example=both")
    page.reload()
    assert page.get_by_role("textbox", name="Headline").count() == 2
    assert not tab.is_wider()


def test_inputs_are_added_filled_and_taken_away(scene: Scene, window: Any) -> None:
    page = window(scene.region).goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill("tennis")
    page.get_by_role("button", name="Add an input").click()
    second = page.get_by_role("group", name="Input 2").get_by_role("textbox")
    second.wait_for()
    assert second.evaluate("one => one === document.activeElement")
    page.get_by_role("group", name="Input 2").get_by_role("button", name="Oil prices fall").click()
    assert second.input_value() == "Oil prices fall"
    page.get_by_role("button", name="Remove input 1").click()
    second.wait_for(state="detached")
    assert page.get_by_role("textbox", name="Headline").input_value() == "Oil prices fall"


def test_all_can_be_done_by_the_keyboard(scene: Scene, window: Any, size: Any) -> None:
    page = window(scene.region, viewport=size).goto("/e/news")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"the keyboard does not reach {selector}")

    tab_to("a[data-example]")
    page.keyboard.press("Enter")
    page.locator("a[data-example][aria-current]").wait_for()
    tab_to("textarea")
    page.keyboard.press("Control+A")
    page.keyboard.type("A tennis match")
    page.keyboard.press("Control+Enter")
    page.locator("#result").wait_for()
    assert bars(page)[0][0] == "Sports 87.5 %"
    page.keyboard.press("Control+A")
    page.keyboard.type("A law")
    tab_to("#send")
    page.keyboard.press("Enter")
    page.locator("#result ol.bars").first.locator("li", has_text="Business 25.0 %").wait_for()
    tab_to("#answer pre, #answer summary")


def test_it_works_without_scripts(scene: Scene, window: Any, size: Any, tmp_path: Path) -> None:
    tab = window(scene.region, viewport=size, java_script_enabled=False)
    page = tab.goto("/e/news")
    page.get_by_role("link", name="both").click()
    page.get_by_role("button", name="Remove input 2").click()
    page.get_by_role("textbox", name="Headline").fill("More tennis")
    page.get_by_role("button", name="Send", exact=True).click()
    assert bars(page)[0][0] == "Sports 87.5 %"
    assert page.get_by_role("button", name="Copy").count() == 0
    page = tab.goto("/e/photo")
    (tmp_path / "a.png").write_bytes(OTHER_PNG)
    page.get_by_label("image").set_input_files(tmp_path / "a.png")
    page.get_by_role("button", name="Send", exact=True).click()
    assert page.get_by_role("img", name="The model's answer").get_attribute("src") == data_address(OTHER_PNG)


def data_address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def test_a_failure_is_explained(scene: Scene, window: Any, size: Any, axe: Any) -> None:
    tab = window(scene.region, viewport=size, color_scheme="dark")
    page = tab.goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill("nonsense")
    result = send(page)
    said = result.inner_text()
    assert "The model answered with status 500." in said
    assert "ValueError: this is nonsense: nonsense" in said
    line = NEWS.splitlines().index('        raise ValueError("this is nonsense: " + text)') + 1
    assert f"serve.py:{line} in scores" in said
    assert "text   = 'nonsense'" in said
    assert page.locator("#news").inner_text() == "It failed: The model answered with status 500."
    result.get_by_text("What a client is told: ModelError, 424").click()
    assert "Received server error (500) from primary" in result.inner_text()
    result.get_by_text("What the container said").click()
    assert "Traceback (most recent call last)" in result.inner_text()
    assert not tab.is_wider()
    assert axe(page) == []
    page.get_by_role("textbox", name="Headline").fill("tennis")
    send(page)
    assert bars(page)[0][0] == "Sports 87.5 %"


def test_markup_is_shown_and_not_obeyed(scene: Scene, window: Any) -> None:
    page = window(scene.region).goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill(HOSTILE)
    send(page)
    assert bars(page)[0][0] == f"{HOSTILE} 55.6 %"
    assert page.locator("main script, main img").count() == 0


def test_five_megabytes_leave_the_page_as_quick_as_it_was(scene: Scene, window: Any, tmp_path: Path) -> None:
    tab = window(scene.region)
    page = tab.goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill("five")
    result = send(page)
    assert page.evaluate("document.documentElement.outerHTML.length") < 200_000
    with page.expect_download() as download:
        result.get_by_role("link", name="Download all of it, 5.0 MB").click()
    download.value.save_as(tmp_path / "all")
    assert len((tmp_path / "all").read_bytes()) > 5_000_000
    page.get_by_role("textbox", name="Headline").fill("tennis")
    send(page)
    assert bars(page)[0][0] == "Sports 87.5 %"


def test_forty_labels_of_three_hundred_letters_fit(scene: Scene, window: Any, size: Any, axe: Any) -> None:
    tab = window(scene.region, viewport=size)
    page = tab.goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill("many")
    result = send(page)
    result.get_by_text("30 more").click()
    assert [len(one) for one in bars(page)] == [10, 30]
    assert not tab.is_wider()
    assert axe(page) == []


def test_an_image_goes_in_and_comes_out(
    scene: Scene, window: Any, size: Any, axe: Any, tmp_path: Path
) -> None:
    tab = window(scene.region, viewport=size)
    page = tab.goto("/e/photo")
    page.get_by_text("image/png, 68 bytes").wait_for()
    send(page)
    answer = page.get_by_role("img", name="The model's answer")
    assert answer.get_attribute("src") == data_address(PNG)
    (tmp_path / "a.png").write_bytes(OTHER_PNG)
    page.get_by_label("image").set_input_files(tmp_path / "a.png")
    page.locator("img.preview").wait_for()
    send(page)
    assert answer.get_attribute("src") == data_address(OTHER_PNG)
    assert not tab.is_wider()
    assert axe(page) == []


def test_a_request_can_be_edited_as_it_is(scene: Scene, window: Any) -> None:
    page = window(scene.region).goto("/e/news?example=both")
    page.get_by_role("button", name="Edit as JSON").click()
    body = page.get_by_role("textbox", name="Body")
    assert body.input_value() == '[["A tennis match"], ["A law is signed"]]'
    body.fill('[["tennis"],["law"],["oil"]]')
    result = send(page)
    assert len(bars(page)) == 3
    result.get_by_text("The answer as it came").click()
    assert hashlib.sha256(b'[["tennis"],["law"],["oil"]]').hexdigest() in result.inner_text()
    body.fill("[[")
    page.get_by_role("button", name="Back to the form").click()
    problem = page.get_by_role("alert")
    assert "The form has no fields that make this request." in problem.inner_text()
    body.fill('[["oil"]]')
    page.get_by_role("button", name="Back to the form").click()
    page.get_by_role("textbox", name="Headline").wait_for()
    assert page.get_by_role("textbox", name="Headline").input_value() == "oil"


@pytest.mark.parametrize("text", ["The Wimbledon tennis tournament", "it's \"$HOME\" `id`\n\\ {x} 'é' @file"])
def test_the_code_sends_the_very_bytes_that_the_page_sends(
    scene: Scene, window: Any, tmp_path: Path, text: str, require: Callable[[str, str], str]
) -> None:
    require("curl", "curl")
    page = window(scene.region).goto("/e/news")
    page.get_by_role("textbox", name="Headline").fill(text)
    result = send(page)
    result.get_by_text("The answer as it came").click()
    sent = hash_in(result.inner_text())
    for name in ("curl", "boto3", "Python"):
        assert hash_in(ran(scene, snippet(page, name), tmp_path, name)) == sent


def test_the_code_sends_a_file_where_the_body_is_one(
    scene: Scene, window: Any, tmp_path: Path, require: Callable[[str, str], str]
) -> None:
    require("curl", "curl")
    page = window(scene.region).goto("/e/photo")
    page.get_by_text("Headers · image/png").click()
    page.get_by_role("textbox", name="Accept").fill("application/json")
    result = send(page)
    result.get_by_text("The answer as it came").click()
    assert hash_in(result.inner_text()) == hashlib.sha256(PNG).hexdigest()
    for name in ("curl", "boto3"):
        program = snippet(page, name)
        with page.expect_download() as download:
            page.get_by_role("link", name="photo-request.png").locator("visible=true").click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
        assert hash_in(ran(scene, program, tmp_path, name)) == hashlib.sha256(PNG).hexdigest()


def snippet(page: Page, name: str) -> str:
    """The text of a program, which is shown when it is asked for."""
    text = page.locator("details[name=snippets]").filter(has=page.get_by_text(name, exact=True))
    if text.get_attribute("open") is None:
        text.locator("summary").click()
    found: str = text.locator("pre").inner_text()
    return found


def ran(scene: Scene, program: str, folder: Path, name: str) -> str:
    """What a program of the page says, where the region's key is at hand as the page tells."""
    (folder / "program").write_text(program)
    command = ["bash", "program"] if name == "curl" else [sys.executable, "program"]
    done = scene.news.machine.run(command, at=folder, **scene.news.machine.exports())
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def hash_in(text: str) -> str:
    found = re.search(r"sha256['\"]: ['\"](\w+)['\"]", text)
    assert found is not None, text
    return found[1]


def test_a_page_says_what_dev_serves_and_shows_its_app_at_the_next_save(
    scene: Scene, window: Any, project: Any
) -> None:
    """`project` is not deployed: `hotfire dev` alone serves it."""
    process = project.machine.started(
        [sys.executable, "-m", "hotfire", "dev", "--config", str(project.folder / "config.yml")]
    )
    try:
        for line in process.stdout:
            if "/e/" in line:
                break
        page = window(scene.region).goto(f"/e/{project.name}")
        page.get_by_text("`hotfire dev`").wait_for()
        page.get_by_text("what it serves answers here").wait_for()
        assert page.get_by_role("textbox", name="Body").count() == 1
        project.configure(model_name=project.name, app={"title": "Edited", "inputs": [{"name": "words"}]})
        # Playwright's wait_for_function would take the promise itself for the truth.
        assert page.evaluate(
            """async () => {
                 for (const end = Date.now() + 30000; Date.now() < end; ) {
                   const text = await (await fetch(location.href)).text();
                   if (text.includes("<h2>Edited</h2>")) return true;
                 }
                 return false;
               }"""
        )
        page.reload()
        page.get_by_role("textbox", name="words").fill("x")
        result = send(page)
        assert '"words": "x"' in result.inner_text()
        page.goto("about:blank")  # what is not followed any more
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_a_state_that_changes_is_seen_without_a_reload(scene: Scene, window: Any, project: Any) -> None:
    project.deploy()
    page = window(scene.region).goto(f"/e/{project.name}")
    page.locator("#connection", has_text="live").wait_for()
    project.edit("return ANSWER\n", "raise OSError('no weights')\n")
    assert project.hotfire("deploy").returncode == 1
    page.get_by_text("The last update failed, and what served before goes on").wait_for()
    page.get_by_role("textbox", name="Body").fill("[1]")
    assert '"answer": 1' in send(page).inner_text()
