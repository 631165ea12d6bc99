from dataclasses import dataclass
from typing import Any

import pytest

from hotfire_worker.metrics import Metrics


@dataclass(frozen=True)
class Dimension:
    """As TorchServe's own, which handlers import from it."""

    name: str
    value: str


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("model")
    metrics.request_ids = {0: "r1"}
    return metrics


@pytest.mark.parametrize(
    ("add", "text"),
    [
        (lambda metrics: metrics.add_counter("n", 2), "n.Count:2|#ModelName:model,Level:Model|#type:COUNTER"),
        (
            lambda metrics: metrics.add_time("t", 1.5),
            "t.Milliseconds:1.5|#ModelName:model,Level:Model|#type:GAUGE",
        ),
        (lambda metrics: metrics.add_time("t", 3, unit="s"), "t.Seconds:3|"),
        (lambda metrics: metrics.add_size("s", 7), "s.Megabytes:7|"),
        (lambda metrics: metrics.add_size("s", 7, unit="kB"), "s.Kilobytes:7|"),
        (lambda metrics: metrics.add_percent("p", 99.0), "p.Percent:99.0|"),
        (lambda metrics: metrics.add_error("e", 1), "e.unit:1|#Level:Error|#type:COUNTER"),
        (lambda metrics: metrics.add_metric("m", 4, "Widgets"), "m.Widgets:4|"),
        (
            lambda metrics: metrics.add_counter("d", 1, dimensions=[Dimension("Kind", "a")]),
            "d.Count:1|#Kind:a,ModelName:model,Level:Model|",
        ),
        (
            lambda metrics: metrics.add_metric_to_cache("c", "ms", ["Kind"], "GAUGE").add_or_update(5, ["b"]),
            "c.Milliseconds:5|#Kind:b|#type:GAUGE|",
        ),
    ],
)
def test_a_metric_is_a_line_of_the_log(
    metrics: Metrics, capsys: pytest.CaptureFixture[str], add: Any, text: str
) -> None:
    add(metrics)
    line = capsys.readouterr().out
    assert line.startswith(f"[METRICS]{text}")
    assert line.endswith("\n")


def test_a_line_names_its_request(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.add_counter("n", 1)
    assert capsys.readouterr().out.endswith(",r1\n")


def test_a_metric_that_was_made_is_found(metrics: Metrics) -> None:
    assert metrics.get_metric("n", metrics.add_metric_to_cache("n", "ms").metric_type).unit == "Milliseconds"


@pytest.mark.parametrize(
    ("add", "error"),
    [
        (lambda metrics: metrics.add_time("t", 1, unit="h"), ValueError),
        (lambda metrics: metrics.add_size("s", 1, unit="TB"), ValueError),
        (lambda metrics: metrics.add_error("e", "lost"), TypeError),
        (lambda metrics: metrics.add_counter("n", "many"), TypeError),
        (lambda metrics: metrics.get_metric("none"), KeyError),
    ],
)
def test_what_torchserve_does_not_take_is_refused(metrics: Metrics, add: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        add(metrics)


def test_a_counter_that_would_go_down_is_told_and_harms_nothing(
    metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics.add_counter("n", -1)
    assert capsys.readouterr().out == "[METRICS]Failed to update n with -1: a counter does not go down\n"
