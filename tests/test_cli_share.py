"""What `hotfire share` says before it shares, and the picture of its link."""

import io
import json
import sys
from pathlib import Path

import pytest

from hotfire.cli.root import run
from hotfire.cli.share import picture

LINK = "http://192.168.178.123:54321/?entry=hotfire_" + 43 * "a"


class Terminal(io.StringIO):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def test_the_picture_of_a_link_fits_into_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal("utf-8"))
    lines = list(picture(LINK))
    assert {len(line) for line in lines} == {41}
    assert len(lines) == 21
    assert set("".join(lines)) == set(" █▀▄")


def test_a_terminal_that_lacks_the_signs_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal("latin-1"))
    assert list(picture(LINK)) == []


def test_a_project_that_is_deployed_to_aws_is_not_what_is_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production = {"model_name": "news", "aws_role": "role", "instance_type": "ml.t2.medium"}
    file = tmp_path / "config.yml"
    file.write_text(json.dumps({"environments": {"production": production}}))
    (tmp_path / "serve.py").write_text("")
    assert run(["share", "--env", "production", "--config", str(file)]) == 1
    assert "is at AWS; what is shared is of the local region" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--host", "here"], ["--for", "soon"], ["--port", "0"]])
def test_what_cannot_be_shared_is_told_before_anything_is_started(arguments: list[str]) -> None:
    assert run(["share", "news", *arguments]) == 2
