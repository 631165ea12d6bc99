"""The AWS SDK for JavaScript against the local region, with nothing but the exports of `hotfire env`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "programs" / "javascript_life.mjs"
# The last that Debian's Node.js of 2023 runs.
PACKAGES = ("@aws-sdk/client-sagemaker@3.967.0", "@aws-sdk/client-sagemaker-runtime@3.967.0")

HANDLER = """\
import json

def model_fn(model_dir):
    return "model"

def transform_fn(model, body, content_type, accept):
    return json.dumps([model, json.loads(body)])
"""


@pytest.fixture(scope="module")
def packages(require: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK as npm installs it."""
    npm = require("npm", "npm")
    folder = tmp_path_factory.mktemp("javascript")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run([npm, "install", *options, *PACKAGES], cwd=folder, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def life(
    require: Callable[[str, str], str],
    packages: Path,
    told: Callable[..., dict[str, Any]],
    archive: Callable[[str], Path],
) -> dict[str, Any]:
    """What an endpoint's whole life was seen to be."""
    command = [require("node", "nodejs"), str(PROGRAM), str(archive(HANDLER))]
    return told(command, NODE_PACKAGES=str(packages))


def test_its_waiter_sees_the_endpoint_come_into_service(life: dict[str, Any]) -> None:
    assert life["waited"] == "SUCCESS"


def test_times_are_times(life: dict[str, Any]) -> None:
    assert life["created"] is True


def test_the_endpoint_answers(life: dict[str, Any]) -> None:
    assert life["answer"] == ["model", [1, 2]]


def test_the_endpoint_streams_its_answer(life: dict[str, Any]) -> None:
    assert life["streamed"] == '["model", [1, 2]]'


def test_an_error_of_the_model_is_an_exception(life: dict[str, Any]) -> None:
    assert life["refused"] == ["ModelError", 500]


def test_it_is_deleted(life: dict[str, Any]) -> None:
    assert (life["deleted"], life["left"]) == ("SUCCESS", 0)


def test_nothing_left_the_machine(life: dict[str, Any], sent: Callable[[], list[str]]) -> None:
    assert sent() == []
