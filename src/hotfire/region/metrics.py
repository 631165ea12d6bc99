"""The region's figures in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from hotfire import __version__
from hotfire.region.invocations import Invocations
from hotfire.region.queue import Queue
from hotfire.region.sampler import SECONDS_ALONE, Sampler
from hotfire.region.store import Store
from hotfire.region.traffic import BOUNDS, Totals, Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATES = (
    "Creating",
    "InService",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "OutOfService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
)

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""What follows the metric's name, the labels, the value."""


class Metrics:
    """What a scraper reads. Memory is looked at for it, if that was not done a moment ago."""

    def __init__(
        self, store: Store, queue: Queue, traffic: Traffic, invocations: Invocations, sampler: Sampler
    ) -> None:
        self._store, self._queue, self._traffic = store, queue, traffic
        self._invocations, self._sampler = invocations, sampler

    async def text(self) -> str:
        """All of them, as they are now."""
        await self._sampler.look()
        return "".join(self._families())

    def _families(self) -> Iterator[str]:
        totals = self._traffic.totals()
        yield _family(
            "hotfire_requests_total",
            "counter",
            "Requests to a variant, however they ended; without a variant: those that none could take.",
            (("", _labels(one), one.requests) for one in totals),
        )
        yield _family(
            "hotfire_request_errors_total",
            "counter",
            "Requests that ended in an error, by the code that the client was told.",
            (
                ("", {**_labels(one), "code": code}, count)
                for one in totals
                for code, count in sorted(one.errors.items())
            ),
        )
        yield _family(
            "hotfire_request_duration_seconds",
            "histogram",
            "How long requests took that reached a model, whole answers in parts included.",
            (sample for one in totals if one.variant for sample in _histogram(one)),
        )
        yield _family(
            "hotfire_requests_in_flight",
            "gauge",
            "Requests that a variant has in hand or waiting.",
            (("", _labels(one), one.in_flight) for one in totals if one.variant),
        )
        yield from self._states()
        yield from self._workers()
        yield _family(
            "hotfire_journal_lost_total",
            "counter",
            "Requests that the journal did not record, because the disk was full or too slow.",
            [("", {}, self._invocations.lost)],
        )
        yield _family(
            "hotfire_build_info", "gauge", "The Hotfire that runs.", [("", {"version": __version__}, 1)]
        )

    def _states(self) -> Iterator[str]:
        endpoints = self._store.endpoints()
        yield _family(
            "hotfire_endpoint_state",
            "gauge",
            "1 for the state that an endpoint is in, 0 for the others.",
            (
                ("", {"endpoint": endpoint.name, "state": state}, endpoint.status == state)
                for endpoint in endpoints
                for state in _STATES
            ),
        )
        waiting = self._queue.lengths()
        for endpoint in endpoints:
            config = self._store.config(endpoint.config_name)
            if config is not None and "AsyncInferenceConfig" in config.request:
                waiting.setdefault(endpoint.name, 0)
        yield _family(
            "hotfire_async_queue_length",
            "gauge",
            "Requests of an asynchronous endpoint that are not answered yet.",
            (("", {"endpoint": name}, length) for name, length in sorted(waiting.items())),
        )

    def _workers(self) -> Iterator[str]:
        latest = {
            (endpoint.name, sample.pid): sample
            for endpoint in self._store.endpoints()
            for sample in self._traffic.latest_memory(endpoint.name, SECONDS_ALONE)
        }
        texts = {
            "resident": "Memory of a worker, with what it shares with others.",
            "own": "Memory of a worker that no other process shares.",
        }
        for kind, text in texts.items():
            yield _family(
                f"hotfire_worker_{kind}_memory_bytes",
                "gauge",
                text,
                (
                    ("", {"endpoint": endpoint, "pid": str(pid)}, getattr(sample, kind))
                    for (endpoint, pid), sample in sorted(latest.items())
                ),
            )


def _labels(one: Totals) -> dict[str, str]:
    return {"endpoint": one.endpoint, "variant": one.variant}


def _histogram(one: Totals) -> Iterator[Sample]:
    labels = _labels(one)
    counts = list(accumulate(one.durations))
    for bound, count in zip((*map(_number, BOUNDS), "+Inf"), counts, strict=True):
        yield "_bucket", {**labels, "le": bound}, count
    yield "_sum", labels, one.seconds
    yield "_count", labels, counts[-1]


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for suffix, labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{suffix}{f'{{{inner}}}' if inner else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(float(value)) if isinstance(value, float) else str(int(value))
