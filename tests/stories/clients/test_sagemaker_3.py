"""Version 3 of the SageMaker SDK for Python, with nothing but the exports of `hotfire env`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HANDLER = """\
import json

def model_fn(model_dir):
    return {version!r}

def transform_fn(model, body, content_type, accept):
    return json.dumps([model, json.loads(body)])
"""


@pytest.fixture(scope="module")
def life(
    clients: Callable[[str], Any], told: Callable[..., dict[str, Any]], archive: Callable[[str], Path]
) -> dict[str, Any]:
    """What an endpoint's whole life was seen to be, by the SDK's resources."""
    archives = [str(archive(HANDLER.format(version=version))) for version in ("old", "new")]
    return told([*clients("sagemaker-3").program("sagemaker_3_resources.py"), *archives])


@pytest.fixture(scope="module")
def built(
    clients: Callable[[str], Any], told: Callable[..., dict[str, Any]], scaling: list[str]
) -> dict[str, Any]:
    """What was seen of an endpoint that a ModelBuilder made of weights in S3 and a folder of sources."""
    return told([*clients("sagemaker-3").program("sagemaker_3_builder.py"), *scaling])


def test_resources_are_created_and_the_endpoint_answers(life: dict[str, Any]) -> None:
    assert life["answer"] == ["old", [1, 2]]


def test_resources_are_got(life: dict[str, Any]) -> None:
    assert life["got"] == ["InService", "three-old", "AllTraffic"]
    assert life["environment"] == {"A": "b"}


def test_resources_are_listed(life: dict[str, Any]) -> None:
    assert life["listed"] == ["three"]


def test_an_endpoint_is_updated(life: dict[str, Any]) -> None:
    assert life["updated"] == ["new", [1, 2]]


def test_resources_are_deleted(life: dict[str, Any]) -> None:
    assert life["left"] == []


def test_a_builder_builds_a_model(built: dict[str, Any]) -> None:
    assert built["model"] == "arn:aws:sagemaker:us-east-1:000000000000:model/built"
    assert built["data"] == "s3://sagemaker-us-east-1-000000000000/built/model.tar.gz"


def test_what_it_deploys_answers(built: dict[str, Any]) -> None:
    assert built["answer"] == [4.0, 7.0]


def test_who_waits_by_the_resource_does_not_wait_for_the_builders_sleep(built: dict[str, Any]) -> None:
    assert built["seconds"] < 30


def test_nothing_left_the_machine(
    life: dict[str, Any], built: dict[str, Any], sent: Callable[[], list[str]]
) -> None:
    assert sent() == []
