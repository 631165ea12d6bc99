"""`hotfire check`."""

import json
import socket
import tarfile
from pathlib import Path

import pytest

from hotfire.cli.root import run

CONFIG = """\
environments:
  local:
    model_name: tiny
  production:
    model_name: tiny
    instance_type: ml.m5.large
    framework_version: 2.6.0
"""
HANDLER = "import json\ndef model_fn(model_dir):\n    return None\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, which is the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIG)
    (folder / "serve.py").write_text(HANDLER)
    monkeypatch.chdir(folder)
    return folder


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_good_project_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--env", "production"]) == 0
    first, second, third, last = lines(capsys)
    assert first == "information config.yml:7 [image-patches]"
    assert second == "  AWS has not patched the image line PyTorch 2.6.0 since 2026-06-30."
    assert third.startswith("  → Name an image")
    assert last.startswith("1 information in ")


def test_an_error_has_its_place_and_the_way_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "serve.py").write_text(f"{HANDLER}import bs4, lxml\n")
    assert run(["check", "--env", "production"]) == 1
    found = lines(capsys)
    assert found[:3] == [
        "error serve.py:4 [missing-requirement]",
        "  bs4 is imported, but there is no requirements.txt, and the image PyTorch 2.6.0 is not known to "
        "have it.",
        "  → Add the line `beautifulsoup4` to a requirements.txt beside the handler.",
    ]
    assert found[-1].startswith("2 errors, 1 information in ")


def test_for_this_machine_it_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "serve.py").write_text(f"{HANDLER}import bs4\n")
    assert run(["check"]) == 0
    assert "information serve.py:4 [missing-requirement]" in lines(capsys)


def test_a_handler_that_cannot_be_parsed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "serve.py").write_text("def (")
    assert run(["check"]) == 1
    assert lines(capsys)[0] == "error serve.py:1 [syntax]"


def test_json_has_all_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "serve.py").write_text(f"{HANDLER}import bs4\n")
    silenced = "    preflight: {ignore: {image-patches: we rebuild it}}\n"
    (project / "config.yml").write_text(CONFIG + silenced)
    assert run(["check", "--env", "production", "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["environment"], value["passed"], value["measured"]) == ("production", False, False)
    (finding,) = value["findings"]
    assert finding["rule"] == "missing-requirement"
    assert (finding["file"], finding["line"]) == (str(project / "serve.py"), 4)
    assert [(one["rule"], one["reason"]) for one in value["silenced"]] == [("image-patches", "we rebuild it")]


def test_what_is_silenced_is_counted_and_shown_if_asked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "config.yml").write_text(
        f"{CONFIG}    preflight: {{ignore: {{image-patches: we rebuild it}}}}\n"
    )
    assert run(["check", "--env", "production"]) == 0
    (only,) = lines(capsys)
    assert only.startswith("Nothing found in ")
    assert only.endswith(" 1 silenced; `--all` shows what.")
    assert run(["check", "--env", "production", "-v"]) == 0
    shown = lines(capsys)
    assert shown[0] == "silenced config.yml:7 [image-patches]"
    assert shown[2] == "  because: we rebuild it"


def test_another_folder_s_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check", "project", "--env", "production"]) == 0
    assert lines(capsys)[0] == "information project/config.yml:7 [image-patches]"


def test_an_archive_needs_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    with tarfile.open(place / "model.tar.gz", "w:gz") as archive:
        archive.add("serve.py", "inference.py")
    monkeypatch.chdir(place)
    assert run(["check", "model.tar.gz"]) == 1
    assert lines(capsys)[0] == "error model.tar.gz [layout]"


def test_an_archive_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "absent.tar.gz"]) == 1
    assert "There is no archive absent.tar.gz" in capsys.readouterr().err


def test_an_archive_cannot_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "absent.tar.gz", "--measure"]) == 2
    assert "An archive cannot be measured" in capsys.readouterr().err


def test_without_a_region_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--measure"]) == 1
    assert "hotfire up" in capsys.readouterr().err


def test_a_deploy_to_aws_that_would_fail_makes_no_call(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    (project / "serve.py").write_text(f"{HANDLER}import bs4\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        more = f"    region: us-east-1\n    aws_role: mine\n    endpoint_url: {url}\n"
        (project / "config.yml").write_text(CONFIG + more)
        assert run(["deploy", "--env", "production", "--yes"]) == 1
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "bs4 is imported" in capsys.readouterr().err
