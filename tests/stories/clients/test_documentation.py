"""What docs/notebook.md shows of the SageMaker SDKs runs, and no export leads it anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project


@pytest.fixture(scope="module")
def page(repository: Path) -> Callable[[str], str]:
    """`page(heading)`: the Python of one of its sections."""
    text = (repository / "docs" / "notebook.md").read_text()

    def section(heading: str) -> str:
        found = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        (block,) = re.findall(r"```python\n(.*?)```", found, re.DOTALL)
        return block

    return section


@pytest.fixture(scope="module")
def run(
    machine: Machine, clients: Callable[[str], Any], package: Path, scaling: list[str]
) -> Callable[..., str]:
    """`run(client, code)`: what a notebook of that code prints, beside a model and its sources."""
    machine.hotfire("up")

    def run(client: str, code: str, at: Path = Path(scaling[0]).parent) -> str:
        done = machine.run([str(clients(client).python), "-c", code], at=at, PYTHONPATH=str(package))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_version_2_runs(run: Callable[..., str], page: Callable[[str], str]) -> None:
    code = page("The SageMaker SDK, version 2").rstrip()
    *others, last = code.splitlines()
    assert last == "predictor.predict(np.array([1.0, 2.0]))"
    assert run("sagemaker-2", "\n".join([*others, f"print({last})"])).splitlines()[-1] == "[3. 6.]"


def test_version_3_runs(run: Callable[..., str], page: Callable[[str], str]) -> None:
    code = page("The SageMaker SDK, version 3").rstrip()
    *others, last = code.splitlines()
    assert last == "json.load(answer.body)"
    assert run("sagemaker-3", "\n".join([*others, f"print({last})"])).splitlines()[-1] == "[3.0, 6.0]"


def test_a_session_on_an_environment_runs(
    run: Callable[..., str], page: Callable[[str], str], new_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = new_project(tmp_path, "news")
    project.deploy()
    code = page("A session on an environment") + 'print(predictor.predict(b"[1]"))\n'
    printed = run("sagemaker-2", code, project.folder)
    project.told("delete", "--yes")
    assert printed.splitlines()[-1] == """b'{"answer": 1, "data": [1]}'"""


def test_nothing_left_the_machine(sent: Callable[[], list[str]]) -> None:
    assert sent() == []
