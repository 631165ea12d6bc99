from collections.abc import Mapping

import pytest

from hotfire.instances.settings import MAX_BYTES, ServerSettings


def read(environment: Mapping[str, str], cores: int = 2) -> ServerSettings:
    return ServerSettings.read(environment, cores)


def test_without_variables_the_server_is_as_torchserve_makes_it() -> None:
    assert read({}) == ServerSettings(
        workers=2, response_timeout=120.0, max_request=6_553_500, max_response=6_553_500
    )


def test_a_large_machine_does_not_mean_many_workers() -> None:
    assert read({}, cores=64).workers == 4


@pytest.mark.parametrize(
    ("environment", "workers"),
    [
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "7"}, 7),
        ({"TS_DEFAULT_WORKERS_PER_MODEL": "3"}, 3),
        ({"TS_DEFAULT_WORKERS_PER_MODEL": "3", "SAGEMAKER_MODEL_SERVER_WORKERS": "5"}, 3),
        ({"SAGEMAKER_TS_MIN_WORKERS": "3"}, 3),
        ({"SAGEMAKER_TS_MIN_WORKERS": "3", "SAGEMAKER_MODEL_SERVER_WORKERS": "5"}, 3),
    ],
)
def test_workers(environment: Mapping[str, str], workers: int) -> None:
    assert read(environment).workers == workers


@pytest.mark.parametrize(
    "name", ["BATCH_SIZE", "MAX_BATCH_DELAY", "MAX_WORKERS", "RESPONSE_TIMEOUT", "MIN_WORKERS"]
)
def test_any_of_the_models_own_variables_makes_it_one_worker(name: str) -> None:
    environment = {f"SAGEMAKER_TS_{name}": "1", "SAGEMAKER_MODEL_SERVER_WORKERS": "5"}
    assert read(environment).workers == 1


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"SAGEMAKER_MODEL_SERVER_TIMEOUT": "5"}, 120.0),
        ({"TS_DEFAULT_RESPONSE_TIMEOUT": "5"}, 5.0),
        ({"SAGEMAKER_TS_RESPONSE_TIMEOUT": "7", "TS_DEFAULT_RESPONSE_TIMEOUT": "5"}, 7.0),
        ({"SAGEMAKER_TS_BATCH_SIZE": "1", "TS_DEFAULT_RESPONSE_TIMEOUT": "5"}, 60.0),
    ],
)
def test_response_timeout(environment: Mapping[str, str], seconds: float) -> None:
    assert read(environment).response_timeout == seconds


def test_sizes() -> None:
    settings = read({"TS_MAX_REQUEST_SIZE": "10", "TS_MAX_RESPONSE_SIZE": "20"})
    assert (settings.max_request, settings.max_response) == (10, 20)


@pytest.mark.parametrize("value", ["", "many", "0", "-1", "nan", "inf", "1e400", "1.5"])
def test_a_value_that_is_no_number_of_things_counts_as_absent(value: str) -> None:
    settings = read({"SAGEMAKER_MODEL_SERVER_WORKERS": value, "TS_MAX_REQUEST_SIZE": value})
    assert (settings.workers, settings.max_request) == (2, MAX_BYTES)


def test_how_many_requests_may_wait() -> None:
    assert (read({}).most_waiting, read({"TS_JOB_QUEUE_SIZE": "2"}).most_waiting) == (1000, 2)
