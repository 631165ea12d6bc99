"""Which files of a folder count: what ignore files say, as git reads them, and what no model needs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfire.errors import ArchiveError, ProjectError
from hotfire.folders import HOTFIREIGNORE, Rules, files, identity


def write(root: Path, *names: str, **texts: str) -> None:
    """Files below the root; the texts of ignore files by `gitignore="…"`, `hotfireignore="…"`."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for kind, text in texts.items():
        (root / f".{kind}").write_text(text)


def found(folder: Path, root: Path | None = None) -> list[str]:
    """The files by our rules, without the ignore files themselves."""
    rules = Rules().above(folder, root or folder)
    return [place for place, _ in files(folder, rules) if not place.endswith("ignore")]


def test_all_files_by_name(tmp_path: Path) -> None:
    write(tmp_path, "b", "a/z", "a/b/c", "ü ñ/日本.txt")
    assert found(tmp_path) == ["a/b/c", "a/z", "b", "ü ñ/日本.txt"]


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        "__pycache__/a.pyc",
        "a/x.pyc",
        "node_modules/a.js",
        ".ipynb_checkpoints/a",
        "a/.DS_Store",
    ],
)
def test_what_no_model_needs(tmp_path: Path, name: str) -> None:
    write(tmp_path, "keep", name)
    assert found(tmp_path) == ["keep"]


@pytest.mark.parametrize("name", [".venv", "venv", "my env"])
def test_a_virtual_environment_by_any_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, "keep", f"{name}/pyvenv.cfg", f"{name}/lib/a.py")
    assert found(tmp_path) == ["keep"]


def test_what_an_interrupted_run_left(tmp_path: Path) -> None:
    write(tmp_path, "keep", ".hotfire-12ab.part")
    assert found(tmp_path) == ["keep"]


def test_hotfireignore_goes_over_gitignore(tmp_path: Path) -> None:
    write(tmp_path, "a.pt", "b.pt", "notes.md", gitignore="*.pt\n", hotfireignore="!a.pt\nnotes.md\n")
    assert found(tmp_path) == ["a.pt"]


def test_rules_above_the_folder_count_down_to_git_s_root(tmp_path: Path) -> None:
    write(tmp_path, gitignore="kept_from_outside\n")
    write(tmp_path / "repo", ".git/HEAD", gitignore="*.csv\n/src/local\n")
    write(tmp_path / "repo/src", "a.csv", "local/b", "kept_from_outside")
    assert found(tmp_path / "repo" / "src") == ["kept_from_outside"]


def test_rules_above_the_root_do_not_count_without_git(tmp_path: Path) -> None:
    write(tmp_path, gitignore="*.csv\n", hotfireignore="*.md\n")
    write(tmp_path / "project", "src/a.csv", "src/a.md")
    assert found(tmp_path / "project" / "src", tmp_path / "project") == ["a.csv", "a.md"]


def test_a_folder_that_git_ignores_is_not_empty(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", "demo/a", "demo/build/b", gitignore="/demo/\n")
    write(tmp_path / "demo", gitignore="build/\n")
    assert found(tmp_path / "demo") == ["a"]


def test_a_nested_ignore_file_has_the_last_word(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "sub/a.log", "sub/b.txt", gitignore="*.log\n")
    write(tmp_path / "sub", gitignore="!a.log\nb.txt\n")
    assert found(tmp_path) == ["sub/a.log"]


def test_a_pattern_that_is_none_names_its_file(tmp_path: Path) -> None:
    write(tmp_path, "a", hotfireignore="!\n")
    with pytest.raises(ProjectError, match=r"\.hotfireignore: .*'!'"):
        found(tmp_path)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed: apt-get install git")
@pytest.mark.parametrize(
    ("top", "nested"),
    [
        ("*.log\n!keep.log\n", ""),
        ("/build/\n**/tmp\n", "!tmp\n"),
        ("data/*\n!data/labels.csv\n", ""),
        ("# a comment\n\\#odd\n  \nname with space\n", "*\n!.gitignore\n"),
        ("sub/deep/\n", ""),
        ("*.py[co]\n[ab]?.txt\n", "/deep\n"),
    ],
)
def test_git_agrees(tmp_path: Path, top: str, nested: str) -> None:
    write(
        tmp_path, "x.log", "keep.log", "build/a", "sub/build/a", "sub/tmp/a", "data/labels.csv", "data/b.csv"
    )
    write(
        tmp_path,
        "#odd",
        "name with space",
        "sub/deep/a",
        "sub/deep/keep.log",
        "ab.txt",
        "sub/b1.txt",
        "c.pyo",
    )
    write(tmp_path, gitignore=top)
    write(tmp_path / "sub", gitignore=nested)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"},
    ).stdout.split("\0")
    assert found(tmp_path) == sorted(name for name in listed if name and not name.endswith("ignore"))


def test_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "runs/1/model.pt")
    (tmp_path / "runs/latest").symlink_to("1")
    assert found(tmp_path) == ["runs/1/model.pt", "runs/latest/model.pt"]


def test_a_link_that_goes_round_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c")
    (tmp_path / "a/b/up").symlink_to("..")
    with pytest.raises(ArchiveError, match=r"a/b/up is a link to a folder that it lies in"):
        found(tmp_path)


@pytest.mark.parametrize("target", ["absent", "loop"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "loop").symlink_to(target)
    with pytest.raises(ArchiveError, match=f"loop is a link to {target}, which leads nowhere"):
        found(tmp_path)


def test_an_ignored_link_that_leads_nowhere_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, "a", hotfireignore="loop\n")
    (tmp_path / "loop").symlink_to("loop")
    assert found(tmp_path) == ["a"]


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match=r"pipe is a named pipe; model data holds only files\."):
        found(tmp_path)


def test_everything_is_everything(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", "a.pyc", "b.log", gitignore="*.log\n")
    places = [place for place, _ in files(tmp_path, Rules(), everything=True)]
    assert places == [".git/HEAD", ".gitignore", "a.pyc", "b.log"]


def test_what_is_left_out_is_left_out_by_whatever_path(tmp_path: Path) -> None:
    write(tmp_path, "a", "runs/1/model.pt")
    (tmp_path / "latest").symlink_to("runs/1")
    run = identity(tmp_path / "runs" / "1")
    assert run is not None
    assert [place for place, _ in files(tmp_path, Rules((HOTFIREIGNORE,)), left_out=frozenset({run}))] == [
        "a"
    ]


@pytest.fixture
def shut_folder() -> Iterator[Path]:
    """A folder that may not be read, even by root: not in `tmp_path`, which only its owner can enter."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        shut = Path(top, "shut")
        shut.mkdir(mode=0)
        if user == 0:
            os.seteuid(65534)
        yield shut
        os.seteuid(user)
        shut.chmod(0o700)


def test_a_folder_that_cannot_be_read_is_named(shut_folder: Path) -> None:
    with pytest.raises(ArchiveError, match=r"shut.* cannot be read: Permission denied"):
        found(shut_folder.parent)
