"""The image of the containers under `hotfire dev`: another one when other packages are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hotfire.environment import Environment
from hotfire.errors import EngineAway, HotfireError
from hotfire.hashes import HashCache
from hotfire.local_region import LocalImage, have_image
from hotfire.snapshot import Snapshot

_Asked = tuple[Environment, str | None]
"""For which environment and which requirements an image is asked, these by their hash."""


class Hearer(Protocol):
    """Is told of the image."""

    def noted(self, text: str) -> None:
        """Something beside the results."""

    def failed(self, error: HotfireError) -> None:
        """What is asked for cannot be had."""


class DevImage:
    """The image that there is for a session; `have` pulls or builds one, if need be."""

    def __init__(
        self,
        hearer: Hearer,
        hashes: HashCache,
        have: Callable[[Environment, Callable[[str], None]], LocalImage] = have_image,
    ) -> None:
        self._hearer, self._hashes, self._have = hearer, hashes, have
        self._image: LocalImage | None = None
        self._asked: _Asked | None = None
        self._missed: _Asked | None = None
        """What was asked for last, if it could not be had: the image is still of what was asked before."""

    def of(self, snapshot: Snapshot) -> LocalImage | None:
        """What the snapshot's container is made of; None where there is none.

        Where another one is asked for and cannot be had, that is told once, and the one before goes on: the
        code of later saves is taken in by it. Raises HotfireError if there was none before.
        """
        environment, wanted = snapshot.environment, snapshot.data.requirements
        asked = environment, None if wanted is None else self._hashes.digest(wanted).sha256
        if not environment.in_containers:
            self._image = None
        elif self._image is None:
            self._renew(asked)
        elif asked == self._asked:
            self._missed = None
        elif asked != self._missed:
            self._renew_or_go_on(self._image, asked)
        return self._image

    def _renew_or_go_on(self, before: LocalImage, asked: _Asked) -> None:
        try:
            self._renew(asked)
        except EngineAway:
            raise
        except HotfireError as error:
            self._missed = asked
            self._hearer.failed(error)
            others = ", which has other packages than requirements.txt asks for"
            self._hearer.noted(f"Goes on with {before.name}{others if self._is_of_others(asked) else ''}.")

    def _renew(self, asked: _Asked) -> None:
        environment, _ = asked
        image = self._have(environment, self._hearer.noted)
        if image != self._image and not image.is_ours:
            self._hearer.noted(
                f"{image.name} was not made by Hotfire: each save starts a new container of it. "
                "One of `hotfire image` stays, and takes the code in."
            )
        elif (
            image == self._image
            and image.is_ours
            and not environment.builds_image
            and self._is_of_others(asked)
        ):
            self._hearer.noted(
                f"{image.name} has the packages that it was built with; `hotfire image` builds another."
            )
        self._image, self._asked, self._missed = image, asked, None

    def _is_of_others(self, asked: _Asked) -> bool:
        """Whether the image was asked for with other requirements."""
        return self._asked is not None and self._asked[1] != asked[1]
