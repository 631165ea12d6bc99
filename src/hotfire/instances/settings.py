"""What a container's environment variables say about its server.

The names and defaults are those of the inference toolkit and of TorchServe; which of them have an effect
was seen on AWS's own stack: `SAGEMAKER_MODEL_SERVER_TIMEOUT` has none, nor has its default, and TorchServe's
own variables win over the toolkit's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_BYTES = 6_553_500
"""TorchServe's default limit of a request and of an answer."""
RESPONSE_TIMEOUT = 120
"""TorchServe's default, in seconds."""
MODEL_RESPONSE_TIMEOUT = 60
"""The inference toolkit's, where it writes an entry for the model."""
MOST_WORKERS = 4
"""Of an instance that does not say how many; TorchServe starts one a core."""
MOST_WAITING = 1000
"""Requests that may wait for an instance's workers; TorchServe's own default is 100."""

_MODEL_VARIABLES = ("BATCH_SIZE", "MAX_BATCH_DELAY", "MIN_WORKERS", "MAX_WORKERS", "RESPONSE_TIMEOUT")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How an instance serves. `response_timeout` in seconds, sizes in bytes."""

    workers: int
    response_timeout: float
    max_request: int
    max_response: int
    most_waiting: int = MOST_WAITING

    @classmethod
    def read(cls, environment: Mapping[str, str], cores: int) -> ServerSettings:
        """The settings of a container with these variables on a machine with so many cores."""
        number = _Numbers(environment)
        timeout = number("TS_DEFAULT_RESPONSE_TIMEOUT", RESPONSE_TIMEOUT)
        workers = number("SAGEMAKER_MODEL_SERVER_WORKERS", 0)
        workers = number("TS_DEFAULT_WORKERS_PER_MODEL", workers) or min(cores, MOST_WORKERS)
        if any(f"SAGEMAKER_TS_{name}" in environment for name in _MODEL_VARIABLES):
            # Any one of them makes the toolkit write a whole entry for the model, with these defaults.
            workers = max(number("SAGEMAKER_TS_MIN_WORKERS", 1), 1)
            timeout = number("SAGEMAKER_TS_RESPONSE_TIMEOUT", MODEL_RESPONSE_TIMEOUT)
        return cls(
            workers=workers,
            response_timeout=float(timeout),
            max_request=number("TS_MAX_REQUEST_SIZE", MAX_BYTES),
            max_response=number("TS_MAX_RESPONSE_SIZE", MAX_BYTES),
            most_waiting=number("TS_JOB_QUEUE_SIZE", MOST_WAITING),
        )


@dataclass(frozen=True, slots=True)
class _Numbers:
    environment: Mapping[str, str]

    def __call__(self, name: str, default: int) -> int:
        """A variable's whole number; one that is none counts as absent. AWS's container dies of it."""
        try:
            value = int(self.environment[name])
        except (KeyError, ValueError):
            return default
        return value if value > 0 else default
