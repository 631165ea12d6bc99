from typing import Any

import pytest

from hotfire_worker.context import Context


@pytest.fixture
def context() -> Context:
    return Context("model", "/opt/ml/model")


@pytest.fixture
def asked(context: Context) -> Context:
    """With a request in hand."""
    context.begin("r1", {"Content-Type": "text/csv", "X-Mine": "a"})
    return context


def test_it_says_where_the_model_is(context: Context) -> None:
    assert context.model_name == "model"
    assert context.system_properties["model_dir"] == "/opt/ml/model"
    assert context.system_properties["gpu_id"] is None
    assert context.system_properties["batch_size"] == 1
    assert context.manifest["model"]["modelName"] == "model"


def test_headers_go_by_their_names_as_they_were_sent(asked: Context) -> None:
    assert asked.get_request_header(0, "X-Mine") == "a"
    assert asked.get_request_header(0, "x-mine") is None
    assert asked.get_all_request_header(0) == {"Content-Type": "text/csv", "X-Mine": "a"}


def test_it_knows_the_id_of_the_request(asked: Context) -> None:
    assert asked.get_request_id() == "r1"
    assert asked.get_request_id(0) == "r1"
    assert asked.get_request_id(1) is None


def test_the_toolkit_finds_the_request_where_it_looks(asked: Context) -> None:
    assert asked.request_processor is not None
    assert asked.request_processor[0].get_request_properties() == {
        "Content-Type": "text/csv",
        "X-Mine": "a",
    }


def test_a_handler_says_what_the_answer_is_besides_its_body(asked: Context) -> None:
    asked.set_response_content_type(0, "text/plain")
    asked.set_response_status(418, "teapot")
    asked.set_response_header(0, "X-Out", "b")
    assert asked.get_response_status(0) == (418, "teapot")
    assert asked.get_response_content_type(0) == "text/plain"
    assert asked.get_response_headers(0) == {"content-type": "text/plain", "X-Out": "b"}


def test_the_status_of_all_answers_is_set(asked: Context) -> None:
    asked.set_all_response_status(503, "later")
    assert asked.get_response_status(0) == (503, "later")


def test_an_answer_is_a_good_one_unless_it_is_said_otherwise(asked: Context) -> None:
    assert asked.get_response_status(0) == (200, None)


def test_nothing_of_a_request_reaches_the_next(asked: Context) -> None:
    asked.set_response_status(500, "broken")
    asked.set_response_header(0, "X-Out", "b")
    asked.begin("r2", {})
    assert asked.get_request_id() == "r2"
    assert asked.get_all_request_header(0) == {}
    assert asked.get_response_status(0) == (200, None)
    assert asked.get_response_headers(0) == {}


def test_a_stateful_sequence_is_named_by_its_header(asked: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_REQUEST_SEQUENCE_ID", "X-Mine")
    assert asked.get_sequence_id(0) == "a"


def test_while_the_model_is_loaded_there_is_no_request(context: Context) -> None:
    assert context.get_request_id() is None
    context.set_response_status(500)
    context.set_all_response_status(500)
    with pytest.raises(TypeError, match="the model is being loaded"):
        context.get_request_header(0, "Accept")


@pytest.mark.parametrize(
    ("add", "text"),
    [
        (lambda metrics: metrics.add_counter("n", 2), "n.Count:2"),
        (lambda metrics: metrics.add_time("t", 1.5), "t.Milliseconds:1.5"),
        (lambda metrics: metrics.add_time("t", 3, unit="s"), "t.Seconds:3"),
        (lambda metrics: metrics.add_size("s", 7), "s.Megabytes:7"),
        (lambda metrics: metrics.add_size("s", 7, unit="kB"), "s.Kilobytes:7"),
        (lambda metrics: metrics.add_percent("p", 99.0), "p.Percent:99.0"),
        (lambda metrics: metrics.add_error("e", "lost"), "e.:lost"),
        (lambda metrics: metrics.add_metric("m", 4, "Widgets"), "m.Widgets:4"),
    ],
)
def test_a_metric_is_a_line_of_the_log(
    context: Context, capsys: pytest.CaptureFixture[str], add: Any, text: str
) -> None:
    add(context.metrics)
    line = capsys.readouterr().out
    assert line.startswith(f"[METRICS]{text}|#ModelName:model,Level:Model|#hostname:")
    assert line.endswith("\n")
