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
def pytorch(
    clients: Callable[[str], Any], told: Callable[..., dict[str, Any]], scaling: list[str]
) -> dict[str, Any]:
    """What was seen of an endpoint of a PyTorch model, whose data and sources go by S3."""
    return told([*clients("sagemaker-2").program("sagemaker_2_pytorch.py"), *scaling])


@pytest.fixture(scope="module")
def generic(
    clients: Callable[[str], Any], told: Callable[..., dict[str, Any]], archive: Callable[[str], Path]
) -> dict[str, Any]:
    """What was seen of an endpoint of a generic model."""
    given = archive(HANDLER)
    return told([*clients("sagemaker-2").program("sagemaker_2_generic.py"), str(given)]) | {"given": given}


def test_model_data_goes_to_the_sdks_own_bucket(pytorch: dict[str, Any]) -> None:
    assert pytorch["data"] == "s3://sagemaker-us-east-1-000000000000/models/weights.tar.gz"
    assert pytorch["repacked"].startswith("s3://sagemaker-us-east-1-000000000000/pytorch-inference-")


def test_it_finds_the_image_itself(pytorch: dict[str, Any]) -> None:
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
    assert pytorch["image"] == image


def test_a_pytorch_model_predicts_with_arrays(pytorch: dict[str, Any]) -> None:
    assert pytorch["npy"] == [3.0, 6.0]


def test_a_pytorch_model_predicts_with_json(pytorch: dict[str, Any]) -> None:
    assert pytorch["json"] == [3.0, 6.0]


def test_deployed_the_plain_way_it_is_found_at_the_sdks_first_look(pytorch: dict[str, Any]) -> None:
    assert pytorch["seconds"] < 60  # it sleeps for 30 before each


def test_an_endpoint_is_updated(pytorch: dict[str, Any]) -> None:
    assert pytorch["updated"] == [4.0, 7.0]


def test_models_and_endpoint_are_deleted(pytorch: dict[str, Any]) -> None:
    assert pytorch["left"] == []


def test_a_generic_model_is_deployed_from_a_file(generic: dict[str, Any]) -> None:
    assert generic["data"] == f"file://{generic['given']}"
    assert generic["answer"] == ["model", [1, 2]]


def test_who_does_not_wait_with_the_sdk_does_not_wait_for_its_sleep(generic: dict[str, Any]) -> None:
    assert generic["seconds"] < 30


def test_a_predictor_deletes_what_was_made_for_it(generic: dict[str, Any]) -> None:
    assert generic["left"] == []


def test_nothing_left_the_machine(
    generic: dict[str, Any], pytorch: dict[str, Any], sent: Callable[[], list[str]]
) -> None:
    assert sent() == []
