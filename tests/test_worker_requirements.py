"""What a handler's requirements.txt asks for and its Python does not have."""

import sys
from pathlib import Path

import pytest

from hotfire_worker.requirements import unmet


def asked(folder: Path, text: str) -> str:
    (folder / "code").mkdir()
    (folder / "code" / "requirements.txt").write_text(text)
    return unmet(str(folder), "install it")


def test_without_the_file_nothing_is_missing(tmp_path: Path) -> None:
    assert unmet(str(tmp_path), "install it") == ""


@pytest.mark.parametrize(
    "text",
    [
        "pytest",
        "# a comment\n\nPyTest >= 3  # the test's own\n",
        "absent-thing; python_version < '3'",
        "-r other.txt\n--no-index",
        "./a/folder",
        "thing @ file:///somewhere/thing.whl",
    ],
)
def test_what_is_met_or_for_pip_alone_is_not_named(tmp_path: Path, text: str) -> None:
    assert asked(tmp_path, text) == ""


@pytest.mark.parametrize("text", ["absent-thing", "absent_thing[extra]>=2", "pytest<1"])
def test_what_is_missing_is_named_with_the_python_and_the_way_out(tmp_path: Path, text: str) -> None:
    sentence = asked(tmp_path, f"pytest\n{text}\n")
    assert sentence.startswith(f"code/requirements.txt asks for {text}, which {sys.executable} does not have")
    assert sentence.endswith(": install it")


def test_without_packaging_the_presence_is_what_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    sentence = asked(tmp_path, "pytest<1\nabsent-thing==2\nabsent-too; python_version < '3'\n")
    assert sentence.startswith("code/requirements.txt asks for absent-thing==2, which")
