"""The pictures of the documentation: made where `--pictures` says; the pages are looked at in any case."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import boto3
import pytest

from hotfire.address import Address, find

HANDLER = """\
import json

LABELS = {labels}

def model_fn(model_dir):
    return 1

def input_fn(body, content_type):
    return [row[0] for row in json.loads(body)]

def predict_fn(texts, model):
    print("asked about", len(texts), "inputs")
    return [scores(text) for text in texts]

def scores(text):
    weights = [1 + 30 * any(word in text for word in words) for words in LABELS.values()]
    return {{label: round(weight / sum(weights), 4) for label, weight in zip(LABELS, weights)}}

def output_fn(answers, accept):
    return json.dumps(answers)
"""
LABELS = {
    "news-classifier": {
        "Business": ["stocks"],
        "Sci/Tech": ["robot"],
        "Sports": ["tennis", "Wimbledon"],
        "World": ["law", "President"],
    },
    "defect-finder": {"dent": ["round"], "scratch": ["long"]},
}
HEADLINES = [
    [["The Wimbledon tennis tournament starts next week!"]],
    [["The Canadian President signed in the new federal law."]],
    [["A robot folds laundry"]],
]


@pytest.fixture(scope="module")
def region(machine: Any, new_project: Callable[..., Any], tmp_path_factory: Any) -> Address:
    """A region with three endpoints: two were asked, of the third the last deploy did not load."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in (*LABELS, "speech-to-text"):
        project = new_project(folder / name, name)
        project.write("serve.py", HANDLER.format(labels=LABELS.get(name, {})))
        project.deploy()
    project.edit("return 1", "return torch.load('weights.pt')")
    assert project.hotfire("deploy").returncode == 1
    region = find(machine.home)
    assert region is not None
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=region.url,
        region_name="us-east-1",
        aws_access_key_id=region.key.access_key,
        aws_secret_access_key=region.key.secret_key,
    )
    for number in range(60):
        for name, body in (("news-classifier", HEADLINES[number % 3]), ("defect-finder", [["long"]])):
            asked = "not JSON" if (number, name) == (7, "defect-finder") else json.dumps(body)
            with suppress(client.exceptions.ModelError):
                client.invoke_endpoint(EndpointName=name, Body=asked, ContentType="application/json")
    client.close()
    return region


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_endpoints_and_a_request(region: Address, window: Any, picture: Any, scheme: str) -> None:
    one = window(region, viewport={"width": 1000, "height": 560}, color_scheme=scheme)
    page = one.goto("/")
    page.locator("#connection[data-state=live]").wait_for()
    assert page.locator(".state").all_inner_texts() == ["InService"] * 3
    assert "NameError: name 'torch' is not defined" in page.inner_text("main")
    assert not one.is_wider()
    picture(page, f"endpoints-{scheme}")
    page = one.goto("/e/news-classifier/requests?text=Wimbledon")
    page.locator("table.requests tbody a").first.click()
    page.get_by_role("heading", level=1, name="Request").wait_for()
    page.get_by_role("button", name="Replay").wait_for()
    picture(page, f"request-{scheme}")
