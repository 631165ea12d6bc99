"""`hotfire pack`."""

import json
import tarfile
from pathlib import Path

import pytest

from hotfire.cli import pack as packing
from hotfire.cli.root import run

CONFIG = """\
environments:
  local:
    model_name: tiny
    artifacts: [weights]
"""
HANDLER = "def model_fn(model_dir):\n    return None\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, which is the working folder."""
    folder = tmp_path / "project"
    (folder / "weights").mkdir(parents=True)
    (folder / "config.yml").write_text(CONFIG)
    (folder / "serve.py").write_text(HANDLER)
    (folder / "weights" / "model.bin").write_bytes(bytes(1500))
    monkeypatch.chdir(folder)
    return folder


def test_it_writes_the_archive_and_says_what_it_holds(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pack"]) == 0
    with tarfile.open(project / "build" / "model.tar.gz") as archive:
        assert archive.getnames() == ["code/serve.py", "model.bin"]
    out = capsys.readouterr().out
    assert out.startswith("Packed build/model.tar.gz: ")
    assert "of 2 files (1.5 kB)" in out


def test_it_writes_where_a_file_address_says(project: Path) -> None:
    (project / "config.yml").write_text(CONFIG + "    model_data_path: file://out/m.tar.gz\n")
    assert run(["pack"]) == 0
    assert (project / "out" / "m.tar.gz").is_file()


def test_packed_again_it_is_the_same_bytes(project: Path) -> None:
    run(["pack"])
    first = (project / "build" / "model.tar.gz").read_bytes()
    run(["pack"])
    assert (project / "build" / "model.tar.gz").read_bytes() == first


def test_a_list_is_only_a_list(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  41 B  code/serve.py",
        "1.5 kB  model.bin",
        "1.5 kB in 2 files; the handler is serve.py",
    ]
    assert not (project / "build").exists()


def test_a_list_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "--list", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [(file["place"], file["size"]) for file in value["files"]] == [
        ("code/serve.py", 41),
        ("model.bin", 1500),
    ]
    assert value["entry_point"] == "serve.py"


def test_what_was_packed_for_programs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pack", "--json"]) == 0
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    archive = project / "build" / "model.tar.gz"
    assert (value["path"], value["bytes"]) == (str(archive), archive.stat().st_size)
    assert captured.err == ""


def test_what_is_taken_along_is_noted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "labels.py").write_text("LABELS = []\n")
    (project / "deploy").mkdir()
    (project / "serve.py").rename(project / "deploy" / "serve.py")
    (project / "deploy" / "serve.py").write_text(f"import labels\n{HANDLER}")
    (project / "config.yml").write_text(f"{CONFIG}    entry_point: deploy/serve.py\n")
    run(["pack", "--list"])
    assert "Note: labels.py is taken along to " in capsys.readouterr().err


def test_large_model_data_is_announced_off_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packing, "SHOWN_FROM", 1000)
    run(["pack"])
    assert capsys.readouterr().err == "Packing 1.5 kB\n"


def test_a_handler_with_a_syntax_error_is_not_packed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "serve.py").write_text("def model_fn(:\n")
    assert run(["pack"]) == 1
    assert f"{project / 'serve.py'}:1: Syntax error" in capsys.readouterr().err
    assert not (project / "build").exists()


def test_a_missing_artifact_is_told_with_the_next_step(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "weights" / "model.bin").unlink()
    (project / "weights").rmdir()
    assert run(["pack"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"Error: artifacts: there is no weights in {project}.",
        "  → Train the model first, or mend `artifacts` in config.yml.",
    ]


def test_a_key_that_is_likely_a_slip_is_noted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "config.yml").write_text(
        CONFIG.replace("model_name: tiny", "model_name: tiny\n    exampels: x")
    )
    run(["pack", "--list"])
    err = capsys.readouterr().err
    assert err.startswith("Note: ")
    assert "exampels" in err
