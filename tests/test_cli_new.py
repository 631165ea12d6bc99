import json
import stat
from pathlib import Path

import pytest

from hotfire.cli.new import endpoint_name
from hotfire.cli.root import run
from hotfire.environment import load


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my-news", "my-news"),
        ("My_News 2", "My-News-2"),
        ("-über_größe-", "uber-groe"),
        ("日本", "news-classifier"),
        ("", "news-classifier"),
        ("a" * 70, "a" * 63),
        ("b" * 62 + "-c", "b" * 62),
    ],
)
def test_the_endpoint_is_named_by_the_folder_as_far_as_sagemaker_takes_it(folder: str, name: str) -> None:
    assert endpoint_name(folder) == name


def test_a_new_project_loads_and_has_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my project"
    assert run(["new", str(folder)]) == 0
    environment = load(start=folder)
    assert environment.model_name == "my-project"
    assert environment.handler() == folder / "serve.py"


@pytest.mark.parametrize("name", ["2024", "true", "1e5", "No"])
def test_a_name_that_yaml_would_read_as_something_else_is_text(tmp_path: Path, name: str) -> None:
    run(["new", str(tmp_path / name)])
    assert load(start=tmp_path / name).model_name == name


def test_a_new_project_has_no_caches_and_may_be_written(tmp_path: Path) -> None:
    run(["new", str(tmp_path / "new")])
    paths = list((tmp_path / "new").rglob("*"))
    assert [path for path in paths if "cache" in path.name or path.suffix == ".pyc"] == []
    assert all(path.stat().st_mode & stat.S_IWUSR for path in paths)


def test_the_next_steps_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my project"
    run(["new", str(folder)])
    steps = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert steps[0] == f"cd '{folder}'"
    assert steps[-2:] == ["python train.py", "hotfire deploy"]


def test_an_empty_folder_is_filled_and_stays_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    assert run(["new", ".", "--json"]) == 0
    assert (tmp_path / "config.yml").is_file()
    assert tmp_path.stat().st_ino == before
    assert not json.loads(capsys.readouterr().out)["next"][0].startswith("cd")


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    assert run(["new", str(tmp_path)]) == 1
    assert f"{tmp_path} is not empty: it holds thesis.tex" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.tex": "…".encode()}


def test_a_file_of_that_name_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert run(["new", str(tmp_path / "file")]) == 1
    assert "is there already" in capsys.readouterr().err
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupt_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder = tmp_path / "new"
    if exists:
        folder.mkdir()
    renamed = []

    def rename(path: Path, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == 3:
            raise KeyboardInterrupt
        path.replace(target)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", rename)
    if not exists:
        monkeypatch.setattr("hotfire.cli.new._set_name", interrupted)
    assert run(["new", str(folder)]) == 130
    assert [*tmp_path.rglob("*")] == ([folder] if exists else [])


def test_model_data_lies_in_a_folder_of_the_endpoints_name(tmp_path: Path) -> None:
    assert run(["new", str(tmp_path / "a-much-longer-name-than-before")]) == 0
    production = load("production", start=tmp_path / "a-much-longer-name-than-before")
    assert production.model_data_path == "s3://my-bucket/a-much-longer-name-than-before/model.tar.gz"
