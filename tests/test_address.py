"""Where the region is, and who is believed to be it."""

import json
import re
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from hotfire import __version__, address
from hotfire.address import Address, Exposure, Key, RegionFile
from hotfire.errors import RegionError, RegionMismatch, RegionNotRunning


class Region(ThreadingHTTPServer):
    """Plays the region: a hello, and one canned answer to everything else."""

    daemon_threads = False  # closing waits for every thread

    def __init__(self, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.secret = secret
        self.version = __version__
        self.hello_status = 200
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.hold = Event()
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Region

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == address.HELLO_PATH:
            proof = address.prove(self.server.secret, parse_qs(parts.query)["nonce"][0])
            body = {"proof": proof, "version": self.server.version, "pid": 4321}
            self.reply(self.server.hello_status, json.dumps(body).encode())
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        self.server.hold.wait(10)
        self.reply(*self.server.answer)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def region(home: Path) -> Iterator[Region]:
    key = address.load_or_create_key(home)
    with Region(key.secret_key) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        write(home, server.url, key)
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


def region_file(url: str, key: Key) -> RegionFile:
    port = urlsplit(url).port or 0
    return RegionFile(url, "127.0.0.1", port, 1234, 1700000000.5, __version__, key.access_key)


def write(home: Path, url: str, key: Key) -> None:
    region_file(url, key).write(home)


def found(home: Path) -> Address:
    there = address.find(home)
    assert there is not None
    return there


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


KEY = Key("HOTFIRE" + "A" * 13, "s" * 40)


def test_a_region_file_is_read_as_it_was_written(home: Path) -> None:
    written = region_file("http://127.0.0.1:4774", KEY)
    written.write(home)
    assert RegionFile.read(home) == written


def test_a_region_file_is_for_its_user_alone_and_leaves_nothing_beside_it(home: Path) -> None:
    write(home, "http://127.0.0.1:1", KEY)
    write(home, "http://127.0.0.1:2", KEY)
    assert mode(home / "region.json") == 0o600
    assert [file.name for file in home.iterdir()] == ["region.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "http://127.0.0.1:1"}', "\x00"])
def test_a_region_file_that_is_none_is_no_region(home: Path, text: str) -> None:
    (home / "region.json").write_text(text)
    assert RegionFile.read(home) is None


def test_without_a_home_there_is_no_region(home: Path) -> None:
    assert address.find(home / "absent") is None


def test_a_region_takes_away_its_own_file_only(home: Path) -> None:
    mine, later = region_file("http://127.0.0.1:1", KEY), region_file("http://127.0.0.1:2", KEY)
    later.write(home)
    mine.remove(home)
    assert RegionFile.read(home) == later
    later.remove(home)
    assert RegionFile.read(home) is None


def test_a_key_looks_like_an_access_key(home: Path) -> None:
    key = address.load_or_create_key(home)
    assert re.fullmatch(r"HOTFIRE[A-Z2-7]{13}", key.access_key)
    assert len(key.secret_key) == 40
    assert mode(home / "key.json") == 0o600


def test_a_key_is_kept_and_no_other_home_has_it(home: Path) -> None:
    other = home / "other"
    other.mkdir()
    key = address.load_or_create_key(home)
    assert address.load_or_create_key(home) == key
    assert address.load_or_create_key(other) != key


def test_all_who_make_a_key_at_once_have_the_same(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(address.load_or_create_key, [home] * 32))
    assert len(keys) == 1
    assert [file.name for file in home.iterdir()] == ["key.json"]


def test_a_broken_key_file_is_named(home: Path) -> None:
    (home / "key.json").write_text("{}")
    with pytest.raises(RegionError, match=r"key\.json is not a key file"):
        address.load_or_create_key(home)


def test_a_proof_is_an_hmac() -> None:
    # The second case of RFC 4231.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert address.prove("Jefe", "what do ya want for nothing?") == expected


def test_a_region_that_knows_the_key_is_found(home: Path, region: Region) -> None:
    key = address.load_or_create_key(home)
    assert address.find(home) == Address(region.url, 4321, __version__, key, home)


def test_a_region_that_does_not_know_the_key_is_not_believed(home: Path, region: Region) -> None:
    region.secret = "another"
    assert address.find(home) is None


def test_a_region_that_refuses_the_hello_is_not_believed(home: Path, region: Region) -> None:
    region.hello_status = 403
    assert address.find(home) is None


def test_without_a_key_nothing_is_believed(home: Path, region: Region) -> None:
    (home / "key.json").unlink()
    assert address.find(home) is None


def test_where_nothing_listens_there_is_no_region(home: Path) -> None:
    write(home, f"http://127.0.0.1:{closed_port()}", address.load_or_create_key(home))
    assert address.find(home) is None


def test_a_program_that_says_nothing_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_HELLO_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write(home, f"http://127.0.0.1:{silent.getsockname()[1]}", address.load_or_create_key(home))
        assert address.find(home) is None


def test_a_program_that_speaks_no_http_is_not_believed(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        done = pool.submit(speak)
        write(home, f"http://127.0.0.1:{server.getsockname()[1]}", address.load_or_create_key(home))
        assert address.find(home) is None
        done.result()


def test_a_proxy_is_not_asked(home: Path, region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert found(home).url == region.url


def test_a_region_of_another_version_is_said(home: Path, region: Region) -> None:
    region.version = "0.0.9"
    with pytest.raises(RegionMismatch) as caught:
        address.find(home)
    assert caught.value.message == f"the region at {region.url} is of Hotfire 0.0.9, this is {__version__}"
    assert caught.value.advice == "Start it anew: `hotfire down && hotfire up`."


def test_a_region_of_another_version_can_be_asked_for(home: Path, region: Region) -> None:
    region.version = "0.0.9"
    there = address.find(home, any_version=True)
    assert there is not None
    assert there.version == "0.0.9"


def test_a_call_carries_the_key_and_its_body(home: Path, region: Region) -> None:
    region.answer = (200, b'{"b": [1]}')
    there = found(home)
    assert there.call("POST", "/_hotfire/trees", {"a": "ü"}) == {"b": [1]}
    method, path, headers, body = region.asked[-1]
    assert (method, path, json.loads(body)) == ("POST", "/_hotfire/trees", {"a": "ü"})
    assert headers["authorization"] == there.key.bearer
    assert headers["host"] == urlsplit(region.url).netloc


def test_a_call_without_a_body_sends_none(home: Path, region: Region) -> None:
    region.answer = (204, b"")
    assert found(home).call("GET", "/_hotfire/x") is None
    assert region.asked[-1][3] == b""


def test_an_error_of_the_region_is_raised_with_its_advice(home: Path, region: Region) -> None:
    region.answer = (409, b'{"error": {"message": "no", "advice": "Do."}}')
    with pytest.raises(RegionError) as caught:
        found(home).call("GET", "/_hotfire/x")
    assert (caught.value.message, caught.value.advice) == ("no", "Do.")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"{}"), "the region answered GET /x with status 500 and no reason"),
        ((500, b'{"error": "x"}'), "the region answered GET /x with status 500 and no reason"),
        ((502, b"<html>"), "the region's answer to GET /x, of status 502, is not JSON"),
        ((200, b"<html>"), "the region's answer to GET /x, of status 200, is not JSON"),
    ],
)
def test_an_answer_that_is_none_of_ours_is_an_error(
    home: Path, region: Region, answer: tuple[int, bytes], said: str
) -> None:
    region.answer = answer
    with pytest.raises(RegionError, match=re.escape(said)):
        found(home).call("GET", "/x")


def test_a_call_to_a_region_that_has_ended_says_how_to_start_it(home: Path) -> None:
    there = Address(f"http://127.0.0.1:{closed_port()}", 1, __version__, KEY, home)
    with pytest.raises(RegionNotRunning) as caught:
        there.call("GET", "/x")
    assert caught.value.advice == "Start it: `hotfire up`."


def test_a_call_that_is_not_answered_in_time_is_given_up(home: Path, region: Region) -> None:
    there = found(home)
    region.hold.clear()
    with pytest.raises(RegionError, match=r"did not answer GET /x within 0\.05 s"):
        there.call("GET", "/x", timeout=0.05)


def test_a_call_that_is_broken_off_is_an_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)

        done = pool.submit(hang_up)
        there = Address(f"http://127.0.0.1:{server.getsockname()[1]}", 1, __version__, KEY, home)
        with pytest.raises(RegionError, match="broke off the answer to GET /x"):
            there.call("GET", "/x")
        done.result()


def test_exports_point_every_client_at_the_region(home: Path) -> None:
    there = Address("http://127.0.0.1:4774", 1, __version__, KEY, home)
    assert there.exports() == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4774",
        "AWS_ACCESS_KEY_ID": KEY.access_key,
        "AWS_SECRET_ACCESS_KEY": KEY.secret_key,
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(home / "sagemaker-sdk.yaml"),
    }


def test_exports_write_what_keeps_the_sdks_from_sts(home: Path) -> None:
    file = Path(Address("http://127.0.0.1:1", 1, "", KEY, home).exports()["SAGEMAKER_USER_CONFIG_OVERRIDE"])
    session = {"DefaultS3Bucket": "sagemaker-us-east-1-000000000000"}
    modules = {"TelemetryOptOut": True, "Session": session}
    expected = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}}}
    assert yaml.safe_load(file.read_text()) == expected


def test_what_the_private_api_is_asked_with_is_told_to_nobody() -> None:
    key = Key("HOTFIREA", "secret")
    assert key.access_key not in key.bearer
    for nonce in ("bearer", "private secret", "private"):
        assert address.prove(key.secret_key, nonce) not in key.bearer
    assert Key("HOTFIREA", "another").bearer != key.bearer


def test_what_a_region_of_an_older_version_wrote_is_read(home: Path) -> None:
    written = {
        "url": "http://127.0.0.1:1",
        "host": "127.0.0.1",
        "port": 1,
        "pid": 2,
        "start_time": 3.0,
        "version": "0.0.1",
        "access_key": "k",
    }
    (home / "region.json").write_text(json.dumps(written))
    file = RegionFile.read(home)
    assert file is not None
    assert (file.version, file.exposure) == ("0.0.1", Exposure())


def test_what_a_region_says_of_whom_it_answers_is_read_as_it_was_written(home: Path) -> None:
    file = RegionFile(
        "u", "0.0.0.0", 1, 2, 3.0, __version__, "k", ("a.example", "b.example"), False, ("https://c",)
    )
    file.write(home)
    assert RegionFile.read(home) == file


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
    ],
)
def test_what_is_local(host: str, is_local: bool) -> None:
    assert Exposure(host).is_local is is_local
