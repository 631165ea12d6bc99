"""`aws s3` against the local region: copies, listings, syncs and removals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

MB = 1024 * 1024


class Cli:
    """`aws s3` of one version."""

    def __init__(self, machine: Machine, command: list[str]) -> None:
        self._machine, self._command = machine, command
        self._exports = machine.exports()

    def __call__(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        done = self._machine.run([*self._command, *arguments], **self._exports)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["1", "2"])
def aws(
    request: pytest.FixtureRequest,
    machine: Machine,
    clients: Callable[[str], Any],
    require: Callable[[str, str], str],
) -> Cli:
    """Version 1 of its own environment, and version 2 of the system."""
    machine.hotfire("up")
    if request.param == "1":
        client = clients("awscli-1")
        return Cli(machine, [str(client.python), str(client.folder / "bin" / "aws")])
    # Older than the variable that names an address for all services.
    version_2 = require("/usr/bin/aws", "awscli")
    return Cli(machine, [version_2, "--endpoint-url", machine.exports()["AWS_ENDPOINT_URL"]])


@pytest.fixture
def bucket(machine: Machine) -> str:
    """A bucket that was made as a folder."""
    name = f"bucket-{os.urandom(4).hex()}"
    (machine.home / "objects" / name).mkdir(parents=True)
    return name


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    for name, size in (("a.txt", 3), ("deep/er/b c+ü.bin", 100), ("large.bin", 20 * MB + 1), ("empty", 0)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(size))
        # S3's times have no fractions: what is as new as its copy would be copied again.
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_go_up_and_down_and_are_the_same(aws: Cli, files: Path, tmp_path: Path) -> None:
    bucket = f"made-{os.urandom(4).hex()}"
    assert aws("s3", "mb", f"s3://{bucket}") == f"make_bucket: {bucket}\n"
    aws("s3", "cp", "--recursive", str(files), f"s3://{bucket}/in")
    listed = aws("s3", "ls", "--recursive", f"s3://{bucket}/").splitlines()
    assert sorted(line.split(maxsplit=3)[3] for line in listed) == sorted(
        f"in/{name}" for name in contents(files)
    )
    aws("s3", "cp", "--recursive", f"s3://{bucket}/in", str(tmp_path / "down"))
    assert contents(tmp_path / "down") == contents(files)
    aws("s3", "rm", "--recursive", f"s3://{bucket}/in/deep")
    assert "deep" not in aws("s3", "ls", f"s3://{bucket}/in/")
    aws("s3", "rb", "--force", f"s3://{bucket}")
    assert bucket not in aws("s3", "ls")


def test_a_sync_moves_only_what_changed(aws: Cli, bucket: str, files: Path, tmp_path: Path) -> None:
    assert aws("s3", "sync", str(files), f"s3://{bucket}/in").count("upload: ") == 4
    assert aws("s3", "sync", str(files), f"s3://{bucket}/in") == ""
    (files / "a.txt").write_bytes(b"longer than before")
    (files / "empty").unlink()
    told = aws("s3", "sync", "--delete", str(files), f"s3://{bucket}/in")
    assert (told.count("upload: "), told.count("delete: ")) == (1, 1)
    aws("s3", "sync", f"s3://{bucket}/in", f"s3://{bucket}/copy")
    aws("s3", "sync", f"s3://{bucket}/copy", str(tmp_path / "down"))
    assert contents(tmp_path / "down") == contents(files)


def test_what_is_copied_into_the_folder_is_there(aws: Cli, bucket: str, machine: Machine) -> None:
    folder = machine.home / "objects" / bucket
    (folder / "weights").mkdir()
    (folder / "weights" / "model.bin").write_bytes(b"12345")
    assert aws("s3", "ls", f"s3://{bucket}/").split() == ["PRE", "weights/"]
    assert aws("s3", "ls", f"s3://{bucket}/weights/").split()[2:] == ["5", "model.bin"]
    assert aws("s3", "cp", f"s3://{bucket}/weights/model.bin", "-") == "12345"
    told = json.loads(
        aws("s3api", "head-object", "--bucket", bucket, "--key", "weights/model.bin", "--output=json")
    )
    assert told["ContentLength"] == 5
