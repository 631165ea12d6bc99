"""Model data that no model uses any more."""

from __future__ import annotations

from collections.abc import Iterable

from hotfire.deployment import Report
from hotfire.destination import Destination
from hotfire.errors import DeployError
from hotfire.inventory import Inventory
from hotfire.plan import Existing, Plan


class Leftovers:
    """What was brought to the destination for one endpoint, and is left there."""

    def __init__(self, destination: Destination, inventory: Inventory, report: Report, endpoint: str) -> None:
        self._destination, self._inventory = destination, inventory
        self._report, self._endpoint = report, endpoint

    def of_plan(self, steps: Plan, existing: Existing, wanted: str) -> tuple[str, ...]:
        """The URLs of what nothing uses when the plan is carried out and `wanted` is there.

        That is what the models use that go, and what was brought long ago for none; not what another deploy
        may be bringing at the same time.
        """
        brought = self._destination.brought()
        if not brought:
            return ()
        going = {call.params.get("ModelName") for call in steps.afterwards}
        used, unused = [wanted], [url for url, is_old in brought.items() if is_old]
        for made in existing.models:
            (unused if made.name in going else used).append(self._inventory.model_data(made.name))
        return tuple(url for url in brought if _holds(url, unused) and not _holds(url, used))

    def of_failure(self, url: str) -> tuple[str, ...]:
        """The URL of the content that was brought to `url`."""
        return tuple(content for content in self._destination.brought() if _holds(content, [url]))

    def of_all(self) -> tuple[str, ...]:
        """The URLs of everything that was brought for the endpoint."""
        return tuple(self._destination.brought())

    def remove(self, urls: Iterable[str]) -> tuple[str, ...]:
        """Remove this, unless a model uses it after all; what was done, a line each."""
        asked = tuple(urls)
        if not asked:
            return ()
        try:
            models = self._inventory.read(self._endpoint).models
            used = [self._inventory.model_data(made.name) for made in models]
            unused = [url for url in asked if not _holds(url, used)]
            self._destination.remove(unused)
        except DeployError as error:
            self._report.log(f"Model data that nothing uses was left: {error.message}")
            return ()
        texts = tuple(f"delete {url}" for url in unused)
        for text in texts:
            self._report.call(text)
        return texts


def _holds(folder: str, urls: Iterable[str]) -> bool:
    return any(url.startswith(folder) for url in urls)
