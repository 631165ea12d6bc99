from pathlib import Path

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
    assert context.manifest is None


def test_it_knows_what_an_archiver_wrote(tmp_path: Path) -> None:
    (tmp_path / "MAR-INF").mkdir()
    (tmp_path / "MAR-INF" / "MANIFEST.json").write_text('{"model": {"modelName": "mine"}}')
    assert Context("model", str(tmp_path)).manifest == {"model": {"modelName": "mine"}}


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


def test_a_stateful_sequence_is_named_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_REQUEST_SEQUENCE_ID", "X-Mine")
    context = Context("model", "/opt/ml/model")
    context.begin("r1", {"X-Mine": "a"})
    assert context.get_sequence_id(0) == "a"


def test_while_the_model_is_loaded_there_is_no_request(context: Context) -> None:
    assert context.get_request_id() is None
    context.set_response_status(500)
    with pytest.raises(TypeError, match="the model is being loaded"):
        context.get_request_header(0, "Accept")
