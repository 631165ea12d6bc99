"""boto3 against the local region, with nothing but the exports of `hotfire env`."""

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
    """What an endpoint's whole life was seen to be."""
    archives = [str(archive(HANDLER.format(version=version))) for version in ("old", "new")]
    return told([*clients("boto3").program("boto3_life.py"), *archives])


def test_a_waiter_sees_the_endpoint_come_into_service(life: dict[str, Any]) -> None:
    assert life["created"] == "InService"


def test_the_endpoint_answers(life: dict[str, Any]) -> None:
    assert life["answer"] == {"body": ["old", [1, 2]], "variant": "AllTraffic"}


def test_it_is_updated(life: dict[str, Any]) -> None:
    assert life["updated"]["body"] == ["new", [1, 2]]


def test_it_is_listed(life: dict[str, Any]) -> None:
    assert life["listed"] == ["boto"]


def test_two_aws_regions_are_side_by_side(life: dict[str, Any]) -> None:
    assert life["elsewhere"] == "arn:aws:sagemaker:eu-central-1:000000000000:model/boto-elsewhere"
    assert life["here"] == "arn:aws:sagemaker:us-east-1:000000000000:model/boto-new"


def test_it_is_deleted(life: dict[str, Any]) -> None:
    assert life["gone"] == ["ValidationException", f'Could not find endpoint "{life["arn"]}".']
    assert life["left"] == 0


def test_nothing_left_the_machine(life: dict[str, Any], sent: Callable[[], list[str]]) -> None:
    assert sent() == []
