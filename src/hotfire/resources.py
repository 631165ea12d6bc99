"""SageMaker's resources as frozen values.

A resource keeps the request that made it, member for member, so that a Describe answers
what was given. Times are seconds since the epoch, as on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
"""The endpoint states that end by themselves."""

INSTALL_VARIABLE = "HOTFIRE_INSTALL_REQUIREMENTS"
"""In a model's environment: `true` gives its handler what `code/requirements.txt` asks for."""

PROJECT_VARIABLE = "HOTFIRE_PROJECT"
"""In a model's environment: whose imports the region is to learn; the handler does not see it."""

DEV_TAG = "hotfire:dev"
"""Of an endpoint that `hotfire dev` serves, and of what is there for it alone: its process."""

PYTHON_VARIABLE = "HOTFIRE_PYTHON"
"""In a model's environment: which Python is to run its handler; the handler does not see it."""


JOURNAL_VARIABLE = "HOTFIRE_JOURNAL"
"""In a model's environment: `false` has the local region keep nothing of what its requests say."""

RUNS_AS_VARIABLE = "HOTFIRE_RUNS_AS"
"""In a model's environment: `container` has it run so in the local region, on an `ml.*` type too."""

TAKES_VERSIONS_VARIABLE = "HOTFIRE_TAKES_VERSIONS"
"""In the environment of a lease's model: `true` has its image, one of our own, take newer versions in."""

RAY_ADDRESS_VARIABLE = "HOTFIRE_RAY_ADDRESS"
"""In the environment of a model on the instance type `ray`: its cluster, by the address of the dashboard."""

RAY_VARIABLE = "HOTFIRE_RAY"
"""In the same: the options of Ray Serve's deployment, as JSON."""

UPDATE_VARIABLE = "HOTFIRE_UPDATE"
"""In a model's environment: `in_place` has an update end the old fleet before the new one starts."""

SIZED_AS_VARIABLE = "HOTFIRE_SIZED_AS"
"""In a model's environment: the `ml.*` type whose memory and processors a `local_container` gets."""


@dataclass(frozen=True, slots=True)
class Model:
    """What CreateModel made."""

    name: str
    arn: str
    created: float
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What CreateEndpointConfig made."""

    name: str
    arn: str
    created: float
    request: Mapping[str, Any]

    @property
    def variants(self) -> tuple[Mapping[str, Any], ...]:
        """The production variants, as they were given."""
        return tuple(self.request["ProductionVariants"])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint and its state. `config_name` is the config that serves, or is to serve first."""

    name: str
    arn: str
    config_name: str
    status: str
    created: float
    modified: float
    failure_reason: str = ""

    @property
    def is_moving(self) -> bool:
        """Whether the state will change by itself."""
        return self.status in MOVING
