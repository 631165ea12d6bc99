"""Version 2 of the SageMaker SDK for Python, with nothing but the exports of `hotfire env`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HANDLER = """\
import json

def model_fn(model_dir):
    return "model"

def transform_fn(model, body, content_type, accept):
    return json.dumps([model, json.loads(body)])
"""


@pytest.fixture(scope="module")
def generic(
    clients: Callable[[str], Any], told: Callable[..., dict[str, Any]], archive: Callable[[str], Path]
) -> dict[str, Any]:
    """What was seen of an endpoint of a generic model."""
    given = archive(HANDLER)
    return told([*clients("sagemaker-2").program("sagemaker_2_generic.py"), str(given)]) | {"given": given}


def test_a_generic_model_is_deployed_from_a_file(generic: dict[str, Any]) -> None:
    assert generic["data"] == f"file://{generic['given']}"
    assert generic["answer"] == ["model", [1, 2]]


def test_who_does_not_wait_with_the_sdk_does_not_wait_for_its_sleep(generic: dict[str, Any]) -> None:
    assert generic["seconds"] < 30


def test_a_predictor_deletes_what_was_made_for_it(generic: dict[str, Any]) -> None:
    assert generic["left"] == 0


def test_nothing_left_the_machine(generic: dict[str, Any], sent: Callable[[], list[str]]) -> None:
    assert sent() == []
