"""A container that no endpoint stands before."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server

import pytest

from hotfire.container_port import ContainerPort, is_address
from hotfire.errors import Unreachable, UsageError
from hotfire.examples import ExampleRequest

REQUEST = ExampleRequest(b"[1]")


class Container(BaseHTTPRequestHandler):
    """Answers what it was asked, as status 201."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        named = {"content-type", "accept", "proxy-authorization"}
        told = [f"{name}={value}" for name, value in self.headers.items() if name.lower() in named]
        told += [f"{name}={value}" for name, value in self.headers.items() if name.lower().startswith("x-")]
        content = b"\n".join([self.path.encode(), body, *(line.encode() for line in sorted(told))])
        self.send_response(201)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def container() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Container) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def mute() -> Iterator[str]:
    """A port that takes connections and answers nothing."""
    with create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_request_is_sent_as_sagemaker_sends_it(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    request = ExampleRequest(
        b"[1]", "text/csv", "text/plain", custom_attributes="a=b", target_container_hostname="h"
    )
    answer = ContainerPort(container).ask(request)
    assert (answer.status, answer.content_type) == (201, "text/plain")
    assert answer.body.decode().splitlines() == [
        "/invocations",
        "[1]",
        "Accept=text/plain",
        "Content-Type=text/csv",
        "X-Amzn-SageMaker-Custom-Attributes=a=b",
    ]
    assert answer.seconds > 0


@pytest.mark.parametrize("end", ["", "/", "/invocations", "/invocations/"])
def test_it_is_called_by_its_port(end: str) -> None:
    assert ContainerPort(f"http://localhost:8080{end}").name == "http://localhost:8080"


def test_where_nothing_listens() -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="nothing listens there") as caught:
        ContainerPort(f"http://127.0.0.1:{free}").ask(REQUEST)
    assert "`hotfire serve MODEL`" in caught.value.advice


def test_what_does_not_answer_in_time(mute: str) -> None:
    with pytest.raises(Unreachable, match=r"it did not answer within 0\.05 s"):
        ContainerPort(mute, seconds=0.05).ask(REQUEST)


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_what_speaks_otherwise_or_breaks_off(reply: bytes) -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once(listener.accept, reply))
        thread.start()
        with pytest.raises(Unreachable, match="it gave no answer"):
            ContainerPort(f"http://127.0.0.1:{listener.getsockname()[1]}").ask(REQUEST)
        thread.join()


def answer_once(accept: Callable[..., object], reply: bytes) -> Callable[[], None]:
    def answer() -> None:
        connection, _ = accept()  # type: ignore[misc]
        with connection:
            connection.recv(65536)
            connection.sendall(reply)

    return answer


@pytest.mark.parametrize(
    "address",
    [
        "ftp://a",
        "http://",
        "http://a:b",
        "http://a:99999",
        "http://a/x",
        "http://a?x=1",
        "http://[::1",
        "://",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        ContainerPort(address)
    assert caught.value.advice == "Name it as http://HOST:PORT."


@pytest.mark.parametrize(("text", "expected"), [("http://a", True), ("production", False)])
def test_which_names_are_addresses(text: str, expected: bool) -> None:
    assert is_address(text) is expected
