"""Where an endpoint is deployed: all that AWS and the local region do not have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hotfire.deployment import Report
from hotfire.examples import Example
from hotfire.image_recipe import Recipe
from hotfire.model_data import ModelData


@dataclass(frozen=True, slots=True)
class Placement:
    """Where model data is, or is to be.

    `members` name it in a model's container; `steps` say what brings it there, each in a few words: none if
    it is there already. `note` is a sentence about why it is there.
    """

    url: str
    members: Mapping[str, Any]
    steps: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Carriage:
    """An image that is built for the endpoint: its name where it serves, and what brings it there.

    `image` is None where the endpoint is served otherwise. `steps` are in few words, none if it is there;
    `recipe` is of what it is built, None in a dry run that would have to choose versions first. `note` is a
    sentence beside it.
    """

    image: str | None = None
    steps: tuple[str, ...] = ()
    recipe: Recipe | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How one waits: seconds between two looks, and whether the log is read meanwhile.

    The local region holds its answer about an endpoint until the state changes, and its log comes with it.
    """

    seconds: float
    reads_log: bool


class Destination(Protocol):
    """The place of one environment's endpoint."""

    pace: Pace
    charges: bool
    """Whether what runs there costs money."""

    def introduction(self) -> str:
        """Where this is and who asks, in a line; empty on this machine."""

    def caller(self) -> str:
        """Who asks, by ARN; empty on this machine."""

    def prepare(self) -> None:
        """Let it do meanwhile what it can, before it is known what is deployed."""

    def locate(self, data: ModelData) -> Placement:
        """Where the model data is, or is to be; changes nothing."""

    def put(self, data: ModelData, placement: Placement, report: Report, previous: str | None) -> None:
        """Bring the model data there; `previous` is the URL of what served before.

        Raises DeployError. What was brought by then stays for the next try.
        """

    def carriage(self, data: ModelData, report: Report, *, dry_run: bool) -> Carriage:
        """The image that is built for this model data, where one is.

        Chooses versions where none are locked, but in a dry run. Raises ProjectError, EngineError.
        """

    def carry(self, data: ModelData, carriage: Carriage, report: Report) -> None:
        """Build the image, and bring it there. Raises EngineError, DeployError."""

    def brought(self) -> Mapping[str, bool]:
        """The URLs of all model data that was brought for this endpoint, or is being brought.

        True is so long ago that what no model uses by now was given up.
        """

    def remove(self, urls: Iterable[str]) -> None:
        """Remove model data that was brought for this endpoint, unless another endpoint's is the same."""

    def remove_images(self) -> tuple[str, ...]:
        """Remove the images that were brought there for this endpoint; what was done, a line each."""

    def show(self, examples: Sequence[Example]) -> None:
        """Have the endpoint's page be what the environment's `app:` says, with these examples."""

    def page(self) -> str | None:
        """The address of the endpoint's page, where there is one."""
