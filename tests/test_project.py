import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hotfire import project
from hotfire.environment import Environment, load
from hotfire.errors import HandlerError, ProjectError

HANDLER = "def model_fn(model_dir):\n    return model_dir\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "serve.py").write_text(HANDLER)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.json").write_text("{}")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "model.tar.gz").write_text("an archive")
    return tmp_path


def environment(root: Path, **settings: Any) -> Environment:
    given = {"model_name": "news", "source_dir": "."} | settings
    (root / "config.yml").write_text(json.dumps({"environments": {"local": given}}))
    return load(config=root / "config.yml")


def places(root: Path) -> list[str]:
    return [entry.place for entry in project.collected(environment(root)).entries]


def test_what_is_no_part_of_the_model_is_left_out(root: Path) -> None:
    (root / "words.txt").write_text("words")
    assert places(root) == ["code/serve.py", "code/words.txt"]


def test_a_handler_that_cannot_be_parsed_is_not_collected_for(root: Path) -> None:
    (root / "serve.py").write_text("def model_fn(:\n")
    with pytest.raises(HandlerError, match=r"serve\.py:1"):
        places(root)


def test_a_handler_without_a_model_is_told(root: Path) -> None:
    (root / "serve.py").write_text("def predict_fn(data, model):\n    return data\n")
    with pytest.raises(HandlerError, match="no model_fn"):
        places(root)


def test_a_missing_handler_is_told(root: Path) -> None:
    (root / "serve.py").unlink()
    with pytest.raises(ProjectError, match=r"serve\.py"):
        places(root)


def test_the_working_hash_is_that_of_what_is_collected(root: Path) -> None:
    collected = project.collected(environment(root))
    assert project.working_sha256(environment(root)) == collected.sha256


def test_what_cannot_be_collected_has_no_working_hash(root: Path) -> None:
    (root / "serve.py").unlink()
    assert project.working_sha256(environment(root)) is None


def test_the_commit_is_that_of_the_repository(root: Path, require: Callable[[str, str], str]) -> None:
    git = require("git", "git")

    def run(*arguments: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        command = [git, "-C", str(root), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "--quiet")
    run("commit", "--quiet", "--allow-empty", "--message", "First")
    assert project.commit(root) == run("rev-parse", "--short", "HEAD")


def test_outside_of_a_repository_there_is_no_commit(root: Path) -> None:
    assert project.commit(root) is None


def test_without_git_there_is_no_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))
    assert project.commit(root) is None
