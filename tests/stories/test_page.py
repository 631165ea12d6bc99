"""A newcomer opens the endpoint's page in a browser, on a desk and on a phone, and tries the model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from hotfire.address import Address

HANDLER = """\
import json

def model_fn(model_dir):
    return ["Business", "Sci/Tech", "Sports", "World"]

def input_fn(body, content_type):
    return [row[0] for row in json.loads(body)]

def predict_fn(texts, labels):
    return [{"probabilities": scores(text, labels), "text": text} for text in texts]

def scores(text, labels):
    if "nonsense" in text:
        raise ValueError("this is nonsense: " + text)
    found = {label: 1 + 20 * ("tennis" in text and label == "Sports") for label in labels}
    found.update({text: 5} if "<" in text else {})
    total = sum(found.values())
    return {label: count / total for label, count in found.items()}

def output_fn(answers, accept):
    return json.dumps(answers)
"""
EXAMPLES = [
    {"name": "wimbledon", "body": '[["The Wimbledon tennis tournament starts next week!"]]'},
    {"name": "both", "body": '[["A tennis match"], ["A law is signed"]]'},
    {"name": "an-example-of-a-name-that-is-longer-than-a-phone-is-wide", "body": '[["a"]]'},
]
SCREENS = {"desk": (1280, 800), "phone": (360, 640)}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def endpoint(region: Address, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An endpoint of a classifier that knows one word, with its examples."""
    data = tmp_path_factory.mktemp("model")
    (data / "code").mkdir()
    (data / "code" / "inference.py").write_text(HANDLER)
    client = boto3.client(
        "sagemaker",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
    )
    source = {"S3Uri": f"file://{data}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {
        "ModelDataSource": {"S3DataSource": source},
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1", "HOTFIRE_PYTHON": sys.executable},
    }
    role = "arn:aws:iam::000000000000:role/r"
    client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "local", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    client.create_endpoint(EndpointName="news", EndpointConfigName="c")
    shown = [{**example, "content_type": "application/json", "accept": ""} for example in EXAMPLES]
    region.call("POST", "/_hotfire/examples", {"endpoint": "news", "examples": shown})
    client.get_waiter("endpoint_in_service").wait(EndpointName="news")
    client.close()
    return "news"


@pytest.fixture(scope="module")
def browser(require: Callable[[str, str], str]) -> Iterator[Browser]:
    program = require("chromium", "chromium fonts-dejavu-core")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser, region: Address, endpoint: str) -> Iterator[Page]:
    """The endpoint's page, opened by a link; nothing on it may go wrong or go past the screen's edge."""
    width, height = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    token = region.call("POST", "/_hotfire/entry")["token"]
    page.goto(f"{region.url}/e/{endpoint}?entry={token}")
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    context.close()


def bars(page: Page) -> list[list[tuple[str, str]]]:
    """What the answer's tables say: label and percentage."""
    found = []
    answer = page.get_by_role("region", name="Answer")
    answer.wait_for()
    for table in answer.get_by_role("table").all():
        rows = [row.get_by_role("cell").all_inner_texts() for row in table.get_by_role("row").all()]
        labels = table.get_by_role("rowheader").all_inner_texts()
        found.append([(label, cells[-1]) for label, cells in zip(labels, rows, strict=True)])
    return found


def test_the_link_leads_to_the_page_and_is_not_kept_in_the_address(page: Page, endpoint: str) -> None:
    assert page.url.endswith(f"/e/{endpoint}")
    assert page.get_by_role("heading", level=1).inner_text() == "news"


def test_a_text_is_predicted(page: Page) -> None:
    page.get_by_role("textbox", name="Text").fill("Rain stops the tennis in Paris")
    page.get_by_role("button", name="Send").click()
    (table,) = bars(page)
    assert table[0] == ("Sports", "87.5 %")
    assert len(table) == 4
    assert page.get_by_role("textbox", name="Text").input_value() == "Rain stops the tennis in Paris"


def test_an_example_is_predicted(page: Page) -> None:
    page.get_by_role("button", name="wimbledon").click()
    (table,) = bars(page)
    assert table[0] == ("Sports", "87.5 %")


def test_several_inputs_have_an_answer_each(page: Page) -> None:
    page.get_by_role("button", name="both").click()
    first, second = bars(page)
    assert (first[0], second[0][1]) == (("Sports", "87.5 %"), "25.0 %")


def test_an_error_is_shown_where_the_answer_would_be(page: Page) -> None:
    page.get_by_role("textbox", name="Text").fill("nonsense")
    page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("region", name="Answer")
    assert "The model answered 500." in answer.inner_text()
    assert "this is nonsense: nonsense" in answer.inner_text()
    assert "Traceback (most recent call last)" in answer.inner_text()


def test_markup_is_shown_and_not_obeyed(page: Page) -> None:
    hostile = "<script>alert('here')</script><img src=x onerror=alert(1)>"
    page.get_by_role("textbox", name="Text").fill(hostile)
    page.get_by_role("button", name="Send").click()
    (table,) = bars(page)
    assert table[0][0] == hostile
    assert page.locator("main script, main img").count() == 0


def test_the_whole_answer_can_be_seen(page: Page) -> None:
    page.get_by_role("button", name="wimbledon").click()
    page.get_by_text("The whole answer").click()
    assert (
        '"text": "The Wimbledon tennis tournament starts next week!"'
        in page.locator("pre").first.inner_text()
    )


def test_the_first_page_leads_to_the_endpoint(page: Page) -> None:
    page.get_by_role("link", name="Hotfire").click()
    page.get_by_role("link", name="news").click()
    assert page.get_by_role("heading", level=1).inner_text() == "news"


def test_all_can_be_done_by_the_keyboard(page: Page) -> None:
    page.get_by_role("textbox", name="Text").focus()
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert bars(page)[0][0] == ("Sports", "87.5 %")


def test_a_stranger_is_told_where_to_find_a_link(browser: Browser, region: Address, endpoint: str) -> None:
    page: Any = browser.new_page()
    answer = page.goto(f"{region.url}/e/{endpoint}")
    assert (answer.status, "hotfire status" in page.inner_text("main")) == (403, True)
    page.close()
