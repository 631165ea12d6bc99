"""What a scraper reads, read by Prometheus's own parser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hotfire.instances.memory import Footprint
from hotfire.region.invocations import Invocations
from hotfire.region.metrics import Metrics
from hotfire.region.queue import Queue, Ticket
from hotfire.region.sampler import Sampler
from hotfire.region.store import Store
from hotfire.region.traffic import Traffic
from hotfire.resources import Endpoint, EndpointConfig

pytestmark = pytest.mark.anyio

Found = dict[str, dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        config = {"EndpointConfigName": "c", "ProductionVariants": [], "AsyncInferenceConfig": {}}
        store.put_config(EndpointConfig("c", "arn:c", 1.0, config))
        store.put_endpoint(Endpoint("a", "arn:a", "c", "InService", 1.0, 1.0))
        store.put_endpoint(Endpoint("b", "arn:b", "other", "Failed", 1.0, 1.0))
        yield store


async def scraped(store: Store, traffic: Traffic) -> tuple[Found, dict[str, tuple[str, str]]]:
    """Every sample by its name and labels, and each family's kind and help."""
    sampler = Sampler(traffic, lambda: {"a": [7]}, lambda: False, lambda pid: Footprint(pid, 2_000, 500))
    with Invocations(Path(store.rows("PRAGMA database_list")[0][2]).with_name("requests.sqlite")) as journal:
        text = await Metrics(store, Queue(store), traffic, journal, sampler).text()
    found: Found = {}
    families = {}
    for family in text_string_to_metric_families(text):
        families[family.name] = (family.type, family.documentation)
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.items())] = sample.value
    return found, families


async def test_requests_errors_and_durations(store: Store) -> None:
    traffic = Traffic()
    for seconds, error in ((0.004, ""), (0.02, ""), (90.0, "ModelError")):
        traffic.leave(traffic.enter("a", "blue"), seconds, error)
    traffic.refuse("b", "", "ValidationError")
    traffic.enter("a", "blue")
    found, families = await scraped(store, traffic)
    blue = (("endpoint", "a"), ("variant", "blue"))
    assert found["hotfire_requests_total"] == {blue: 3, (("endpoint", "b"), ("variant", "")): 1}
    assert found["hotfire_request_errors_total"][(*blue, ("code", "ModelError"))] == 1
    assert found["hotfire_requests_in_flight"] == {blue: 1}
    buckets = {
        dict(labels)["le"]: count
        for labels, count in found["hotfire_request_duration_seconds_bucket"].items()
    }
    assert (buckets["0.0025"], buckets["0.005"], buckets["0.025"]) == (0, 1, 2)
    assert (buckets["60.0"], buckets["+Inf"]) == (2, 3)
    assert found["hotfire_request_duration_seconds_count"] == {blue: 3}
    assert found["hotfire_request_duration_seconds_sum"] == {blue: pytest.approx(90.024)}
    assert families["hotfire_request_duration_seconds"][0] == "histogram"
    assert families["hotfire_requests"][0] == "counter"


async def test_every_family_says_what_it_is(store: Store) -> None:
    _, families = await scraped(store, Traffic())
    assert len(families) == 10
    assert all(kind != "unknown" and text for kind, text in families.values())


async def test_endpoints_workers_and_queues(store: Store) -> None:
    for number in range(2):
        Queue(store).add(Ticket(0, "a", "us-east-1", 1.0, 9.0, 9.0, {"n": number}, "s3://b/o", ""), b"1")
    found, _ = await scraped(store, Traffic())
    states = {
        tuple(dict(labels).values()) for labels, is_so in found["hotfire_endpoint_state"].items() if is_so
    }
    assert states == {("a", "InService"), ("b", "Failed")}
    assert found["hotfire_async_queue_length"] == {(("endpoint", "a"),): 2}
    worker = (("endpoint", "a"), ("pid", "7"))
    assert found["hotfire_worker_resident_memory_bytes"] == {worker: 2_000}
    assert found["hotfire_worker_own_memory_bytes"] == {worker: 500}


async def test_a_queue_that_is_empty_has_the_length_0(store: Store) -> None:
    found, _ = await scraped(store, Traffic())
    assert found["hotfire_async_queue_length"] == {(("endpoint", "a"),): 0}


async def test_names_of_any_kind_are_read_back(store: Store) -> None:
    traffic, name = Traffic(), 'a "b"\\c\nd'
    traffic.refuse("a", name, "E")
    found, _ = await scraped(store, traffic)
    assert found["hotfire_requests_total"] == {(("endpoint", "a"), ("variant", name)): 1}
