"""`hotfire bench`: the load, its times, and what they mean."""

from __future__ import annotations

import asyncio
import http.server
import math
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hotfire.bench import plot, sizing
from hotfire.bench.generator import Generator, Measured, Stage
from hotfire.bench.latencies import Latencies
from hotfire.bench.queueing import Queue
from hotfire.bench.requests import Prepare, Prepared, Target, preparing
from hotfire.bench.session import outcome
from hotfire.errors import UsageError
from hotfire.examples import ExampleRequest

REQUEST = b"POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
THROTTLED = b"HTTP/1.1 429 No\r\nX-Amzn-ErrorType: ModelNotReadyException\r\nContent-Length: 0\r\n\r\n"

Answer = Callable[[int], bytes]


@contextmanager
def server(answer: Answer, seconds: float = 0.0) -> Iterator[Prepare]:
    """Answers the nth request as `answer` says, one request at a time, each in so many seconds."""
    loop = asyncio.new_event_loop()
    count = iter(range(10**9))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readexactly(len(REQUEST)):
                async with turn:
                    await asyncio.sleep(seconds)
                    data = answer(next(count))
                if not data:
                    break
                writer.write(data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    turn = asyncio.Lock()
    listening = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda: Prepared(Target("127.0.0.1", port, False), (REQUEST,))
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def put(prepare: Prepare, stage: Stage) -> Measured:
    async def run() -> Measured:
        return await Generator(prepare).run(stage)

    return asyncio.run(run())


def test_each_connection_of_a_closed_loop_waits_for_its_answer() -> None:
    with server(lambda _: OK, 0.01) as prepare:
        found = outcome(put(prepare, Stage(4, 0.5)))
    assert found.latencies is not None
    assert 20 < found.throughput <= 100
    # Four at once before one server: each waits for three others.
    assert found.latencies.percentile(50) >= 0.04
    assert found.errors == {}


def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    with server(lambda _: OK, 0.02) as prepare:  # 50 a second, and 100 come
        found = outcome(put(prepare, Stage(1, 0.5, rate=100.0)))
    assert found.latencies is not None
    assert found.latencies.percentile(50) > 0.1
    assert found.errors["not sent in time"] > 5


def test_errors_are_told_by_their_kind() -> None:
    answers = [OK, THROTTLED, b""]
    with server(lambda number: answers[number % 3], 0.002) as prepare:
        found = put(prepare, Stage(1, 0.3))
    assert set(found.errors) == {"429 ModelNotReadyException", "the connection broke off"}
    assert len(found.latencies) > 0


def test_nobody_there_is_an_error() -> None:
    with server(lambda _: OK) as prepare:
        gone = prepare()
    found = put(lambda: gone, Stage(1, 0.3))
    (kind,) = found.errors
    assert kind.startswith("no connection: ")


def test_a_stop_keeps_what_was_measured() -> None:
    async def run(prepare: Prepare) -> Measured:
        generator = Generator(prepare)
        asyncio.get_running_loop().call_later(0.8, generator.stop)
        return await generator.run(Stage(1, 30.0))

    with server(lambda number: OK if number < 10**6 else b"", 0.001) as prepare:
        # The warm-up of thirty seconds is three: it ends in it.
        assert asyncio.run(run(prepare)).seconds == 0.0


def test_requests_are_those_that_boto3_sends() -> None:
    import boto3

    heard: list[tuple[str, dict[str, str], bytes]] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=f"http://127.0.0.1:{listener.server_port}",
            region_name="eu-west-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
        )
        try:
            prepared = preparing(client, "e", [ExampleRequest(b"[1]", "text/csv")])()
            assert heard == []
            client.invoke_endpoint(EndpointName="e", Body=b"[1]", ContentType="text/csv")
        finally:
            client.close()
            listener.shutdown()
            thread.join()
    assert prepared.target == Target("127.0.0.1", listener.server_port, False)
    ((path, headers, body),) = heard
    head, _, sent = prepared.wires[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    names = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in lines}
    assert (first, sent) == (f"POST {path} HTTP/1.1", body)
    assert (
        names["authorization"].partition("Signature")[0] == headers["authorization"].partition("Signature")[0]
    )
    assert (names["host"], names["content-type"]) == (headers["host"], "text/csv")


def test_a_percentile_is_a_time_that_was_measured() -> None:
    found = Latencies.of([float(number) for number in range(100, 0, -1)])
    assert [found.percentile(percent) for percent in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]


def test_erlang_c_is_as_the_tables_have_it() -> None:
    assert Queue(rate=8.0, servers=10, times=[1.0]).chance_to_wait == pytest.approx(0.4092, abs=1e-4)


def test_one_server_with_equal_times_waits_half_as_long_as_with_random_ones() -> None:
    # Pollaczek and Khinchine: rho / (1 - rho) / 2 service times.
    queue = Queue(rate=0.5, servers=1, times=[1.0])
    assert queue.chance_to_wait * queue.mean_wait_of_waiting == pytest.approx(0.5)


def test_a_percentile_of_a_queue_of_random_times_is_the_exact_one() -> None:
    # M/M/1: the time in the system is exponential with mean 1 / (mu - lambda).
    times = [-math.log(1 - (part + 0.5) / 2000) for part in range(2000)]
    assert Queue(0.5, 1, times).percentile(99) == pytest.approx(math.log(100) * 2, rel=0.03)


def test_a_queue_that_grows_has_no_percentile() -> None:
    assert Queue(3.0, 2, [1.0]).percentile(99) == math.inf


def measured(connections: int, answered: int, times: list[float]) -> Measured:
    return Measured(Stage(connections, 1.0), array("d", times), answered=answered, seconds=1.0)


def test_busy_workers_tell_the_mean_service_time() -> None:
    found = sizing.service([measured(1, 100, [0.010] * 100), measured(8, 250, [0.032] * 250)], workers=2)
    assert found is not None
    assert (found.is_calibrated, found.mean) == (True, pytest.approx(0.008))
    assert found.beside == pytest.approx(0.002)


def test_without_busy_workers_the_way_is_counted_too() -> None:
    found = sizing.service([measured(1, 100, [0.010] * 100)], workers=2)
    assert found == sizing.Service((0.010,) * 100, 0.0, False)


def test_a_load_takes_as_many_instances_as_keep_its_latency() -> None:
    found = sizing.Service((0.010,), 0.0, True)
    one = sizing.fleet(found, sizing.Target(1000.0, 0.050), "ml.c5.large", 2, "us-east-1")
    assert one is not None
    assert (one.count, one.usd) == (7, pytest.approx(0.714))
    assert one.p99 <= 0.050


def test_no_number_of_instances_makes_a_request_quicker() -> None:
    found = sizing.Service((0.010,), 0.0, True)
    assert sizing.fleet(found, sizing.Target(1.0, 0.009), "ml.c5.large", 2, "us-east-1") is None


def test_workers_that_do_not_fit_into_an_instance_rule_it_out() -> None:
    found = sizing.Service((0.010,), 0.0, True)
    kinds = [one.instance_type for one in sizing.candidates(found, sizing.Target(1.0), 3 << 30, "us-east-1")]
    assert kinds
    assert not any(kind.startswith(("ml.c5.", "ml.t2.", "ml.g")) for kind in kinds)


def test_the_page_holds_every_measurement(tmp_path: Path) -> None:
    file = tmp_path / "plots" / "bench.html"
    plot.write(file, "a & b", [outcome(measured(8, 2, [0.001, 0.002]))])
    page = file.read_text()
    assert "a &amp; b" in page
    assert "8 at once" in page
    assert page.count("<polyline") == 1


def test_a_png_is_drawn(tmp_path: Path) -> None:
    plot.write(tmp_path / "bench.png", "a", [outcome(measured(8, 2, [0.001, 0.002]))])
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_another_picture_is_refused() -> None:
    with pytest.raises(UsageError, match=r"bench\.gif is neither a \.html nor a \.png"):
        plot.check(Path("bench.gif"))
