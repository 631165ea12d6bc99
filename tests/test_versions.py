"""Versions of a model in one container: how a region develops there, with a server that is a process."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hotfire.instances.desk import Desk

PROGRAM = """\
import os, sys
from pathlib import Path
from hotfire.server.serve import Serving, run
desk = Path(sys.argv[1])
where = ("127.0.0.1", int(sys.argv[2]))
serving = Serving(desk / "model", *where, Path(sys.executable), dict(os.environ), desk=desk)
run(serving, lambda line: print(line, flush=True))
"""
HANDLER = """\
import json
def model_fn(model_dir): return "one"
def input_fn(body, content_type): return json.loads(body)
def predict_fn(data, model, context):
    if data == "fail": raise ValueError("no")
    if data == "headers": return sorted(context.request_processor[0].get_request_properties())
    return ["first", model]
def output_fn(prediction, accept):
    return json.dumps(prediction)
"""
VARIABLES = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


class Server:
    """A server that somebody develops in, as that one asks it."""

    def __init__(self, port: int, desk: Desk, folder: Path) -> None:
        self._port, self.desk, self._folder = port, desk, folder

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given.setdefault("Content-Type", "application/json")
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request("POST", path, body, given)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def order(self, what: str, **values: Any) -> dict[str, Any]:
        status, _, body = self.post(
            f"/_hotfire/{what}", json.dumps(values).encode(), X_Hotfire_Secret=self.desk.secret
        )
        assert status == 200, body
        obeyed: dict[str, Any] = json.loads(body)
        return obeyed

    def load(self, version: str, handler: str = HANDLER) -> dict[str, Any]:
        code = self._folder / f"tree-{version}" / "code"
        code.mkdir(parents=True)
        (code / "inference.py").write_text(handler)
        files = self.desk.lay(code.parent)
        return self.order("load", version=version, files=files, environment=VARIABLES, startup_timeout=60)

    def ask(self, version: str, data: Any = 1, look: str = "") -> tuple[int, dict[str, str], bytes]:
        return self.post(
            "/invocations",
            json.dumps(data).encode(),
            X_Hotfire_Secret=self.desk.secret,
            X_Hotfire_Version=version,
            X_Hotfire_Look=look,
        )


@contextmanager
def served(folder: Path, desk: Path) -> Iterator[int]:
    """The port of a server over a desk, from the moment at which it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(desk), str(port)], cwd=folder)
    try:
        while True:
            assert process.poll() is None
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                try:
                    connection.request("GET", "/ping")
                    connection.getresponse().read()
                except ConnectionRefusedError:
                    continue
            break
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("developing")
    desk = Desk(folder / "desk")
    desk.make()
    with served(folder, desk.folder) as port:
        yield Server(port, desk, folder)


def test_a_version_answers_to_who_knows_the_secret(server: Server) -> None:
    assert server.load("a") == {"failure": None}
    status, _, body = server.ask("a")
    assert (status, json.loads(body)) == (200, ["first", "one"])
    refused = server.post("/invocations", b"1", X_Hotfire_Version="a")
    assert (refused[0], b"hotfire dev" in refused[2]) == (403, True)
    assert server.post("/_hotfire/end", b"{}", X_Hotfire_Secret="another")[0] == 403
    assert server.ask("a")[0] == 200


def test_the_handler_sees_none_of_our_headers(server: Server) -> None:
    server.load("headers")
    seen = json.loads(server.ask("headers", "headers")[2])
    assert "Content-Type" in seen
    assert [name for name in seen if "hotfire" in name.lower()] == []


def test_what_is_found_about_a_request_comes_with_its_answer(server: Server) -> None:
    server.load("found")
    status, headers, _ = server.ask("found", "fail", look="examined")
    found = json.loads(headers["x-hotfire-found"])
    assert status == 500
    assert found["findings"]["failure"]["errors"][-1]["type"] == "ValueError"


def test_edited_code_goes_on_with_the_loaded_model_beside_the_version_before(server: Server) -> None:
    server.load("before")
    source = HANDLER.replace('"first"', '"second"')
    change = {"place": "code/inference.py", "source": source, "names": ["predict_fn"], "removed": []}
    assert server.order("edit", version="after", before="before", changes=[change]) == {"is_made": True}
    assert json.loads(server.ask("before")[2]) == ["first", "one"]
    assert json.loads(server.ask("after")[2]) == ["second", "one"]
    server.order("end", version="before")
    assert server.ask("before")[0] == 503
    assert json.loads(server.ask("after")[2]) == ["second", "one"]


def test_what_has_ended_cannot_be_edited(server: Server) -> None:
    made = server.order("edit", version="heir", before="nobody", changes=[])
    assert made == {"is_made": False}


def test_a_handler_that_cannot_be_loaded_is_told_and_leaves_the_others(server: Server) -> None:
    server.load("well")
    failure = server.load("ill", HANDLER.replace('return "one"', "return [][0]"))["failure"]
    assert failure["message"] == "IndexError: list index out of range"
    assert "in model_fn" in failure["trace"]
    assert server.ask("ill")[0] == 503
    assert server.ask("well")[0] == 200


def test_files_are_there_for_as_long_as_a_version_wants_them(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "weights").write_text("w")
    desk = Desk(tmp_path / "desk")
    desk.make()
    name = desk.lay(tmp_path / "tree")
    assert (tmp_path / "desk" / "model" / "weights").read_text() == "w"
    desk.keep(name)
    desk.drop(name)
    assert (tmp_path / "desk" / "model" / "weights").exists()
    desk.drop(name)
    assert not (tmp_path / "desk" / "model").exists()


def test_without_a_desk_there_is_no_channel(tmp_path: Path) -> None:
    """As in a container that is deployed, which has nothing but its model."""
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(HANDLER)
    with served(tmp_path, tmp_path) as port:
        server = Server(port, Desk(tmp_path), tmp_path)
        for what in ("load", "edit", "end"):
            assert server.post(f"/_hotfire/{what}", b"{}", X_Hotfire_Secret="")[0] == 404
        status, headers, body = server.ask("a", look="examined")
        assert (status, json.loads(body)) == (200, ["first", "one"])
        assert "x-hotfire-found" not in headers
