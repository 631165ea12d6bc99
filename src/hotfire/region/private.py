"""What Hotfire's own clients may ask of a region beyond SageMaker's protocols."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from hotfire import __version__
from hotfire.address import Key, prove
from hotfire.errors import ArchiveError, EngineError, UsageError
from hotfire.instances.memory import footprint
from hotfire.model_data import Entry
from hotfire.region.api_keys import ApiKeys
from hotfire.region.invocations import Invocations
from hotfire.region.records import Invocation
from hotfire.region.store import Store
from hotfire.region.trees import Trees

Route = Callable[[Mapping[str, Any]], Any | Awaitable[Any]]


class Warm(Protocol):
    """Makes a zygote ready."""

    async def warm(self, python: Path) -> None:
        """For this Python."""


class Images(Protocol):
    """Knows what containers are made of."""

    async def has_image(self, image: str) -> bool:
        """Whether it is here. Raises EngineError."""
        ...


class Entries(Protocol):
    """Lets a browser in."""

    def issue(self) -> str:
        """A token that opens the console once."""


class Workers(Protocol):
    """Knows who answers."""

    def pids(self, name: str) -> list[int]:
        """The processes that answer for an endpoint."""


class Leases(Protocol):
    """Lets somebody have an endpoint for itself."""

    def hold(self, params: Mapping[str, Any]) -> Any:
        """Take an endpoint, and keep it until the answer is closed."""

    def reload(self, params: Mapping[str, Any]) -> Any:
        """Serve newer sources there."""

    def try_again(self, params: Mapping[str, Any]) -> Any:
        """Have what is served there answer examples."""

    def last(self, params: Mapping[str, Any]) -> Any:
        """The last request that came there."""

    def debug(self, params: Mapping[str, Any]) -> Any:
        """Have debuggers attach to what is served there."""

    def report(self, params: Mapping[str, Any]) -> None:
        """Keep what its client tells of a save."""

    def show(self, params: Mapping[str, Any]) -> None:
        """Have the page there be this."""


class Shares(Protocol):
    """Lets others have a model's page."""

    def hold(self, params: Mapping[str, Any]) -> Any:
        """Share a model, until the answer is closed."""


class Private:
    """The private API: a method a route, JSON values in and out."""

    def __init__(
        self,
        key: Key,
        store: Store,
        trees: Trees,
        host: Warm,
        images: Images,
        entries: Entries,
        leases: Leases,
        workers: Workers,
        stop: Callable[[], None],
        shares: Shares,
        invocations: Invocations,
    ) -> None:
        self._key, self._store, self._trees, self._host, self._images = key, store, trees, host, images
        self._entries, self._workers, self._stop = entries, workers, stop
        self._invocations = invocations
        self._keys, self._leases = ApiKeys(store), leases
        self.routes: Mapping[tuple[str, str], Route] = {
            ("POST", "/_hotfire/warm"): self.warm,
            ("POST", "/_hotfire/image"): self.has_image,
            ("POST", "/_hotfire/trees"): self.admit_tree,
            ("POST", "/_hotfire/examples"): self.put_examples,
            ("POST", "/_hotfire/entry"): self.entry,
            ("POST", "/_hotfire/lease"): leases.hold,
            ("POST", "/_hotfire/reload"): leases.reload,
            ("POST", "/_hotfire/try"): leases.try_again,
            ("POST", "/_hotfire/last"): leases.last,
            ("POST", "/_hotfire/debug"): leases.debug,
            ("POST", "/_hotfire/report"): leases.report,
            ("POST", "/_hotfire/requests"): self.requests,
            ("POST", "/_hotfire/workers"): self.workers,
            ("GET", "/_hotfire/keys"): self.keys,
            ("POST", "/_hotfire/keys"): self.create_key,
            ("POST", "/_hotfire/keys/revoke"): self.revoke_key,
            ("POST", "/_hotfire/share"): shares.hold,
            ("POST", "/_hotfire/stop"): self.stop,
        }

    def hello(self, nonce: str) -> dict[str, Any]:
        """Who answers here, and the proof that it knows the key; needs no key itself."""
        return {"proof": prove(self._key.secret_key, nonce), "version": __version__, "pid": os.getpid()}

    async def warm(self, params: Mapping[str, Any]) -> None:
        """Have a zygote of the project's Python ready for the deploy that is to come."""
        await self._host.warm(Path(params["python"]))

    async def has_image(self, params: Mapping[str, Any]) -> dict[str, bool]:
        """Whether an image is here. Where no engine answers it is not: who then wants it is told why."""
        try:
            return {"is_here": await self._images.has_image(params["image"])}
        except EngineError:
            return {"is_here": False}

    async def admit_tree(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take model data by its manifest: only files that are not here yet are copied."""
        entries = [
            Entry(item["place"], Path(item["source"]), item["size"], item["mode"], item["sha256"])
            for item in params["entries"]
        ]
        missing = self._trees.missing(entries)
        sha256 = await asyncio.to_thread(self._trees.admit, entries)
        if sha256 != params["sha256"]:
            raise ArchiveError(f"The manifest comes to {sha256}, not to {params['sha256']}.")
        return {"path": str(self._trees.path(sha256)), "copied": len(missing)}

    def put_examples(self, params: Mapping[str, Any]) -> None:
        """Keep an endpoint's examples for its page, and what `app:` says of it; a lease's while it lasts."""
        if "lease" in params:
            self._leases.show(params)
            return
        self._store.put_examples(params["endpoint"], params["examples"])
        self._store.put_app(params["endpoint"], params.get("app"))
        page = {"app": params.get("app"), "examples": params["examples"]}
        self._store.put_page(params["endpoint"], page)

    def entry(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A token that opens the console once in a browser."""
        return {"token": self._entries.issue()}

    async def workers(self, params: Mapping[str, Any]) -> list[dict[str, int]]:
        """The processes that answer for an endpoint, and the memory of each in bytes."""
        pids = self._workers.pids(params["endpoint"])
        found = await asyncio.to_thread(lambda: [footprint(pid) for pid in pids])
        return [asdict(one) for one in found if one is not None]

    async def requests(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The last requests to an endpoint that differ and can be sent again, the newest first.

        `left_out` is how many of those that came since cannot be.
        """
        found, left_out = await self._invocations.samples(params["endpoint"], params["limit"])
        return {"requests": [_request_as_json(one) for one in found], "left_out": left_out}

    def keys(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The keys of the public API, without their secrets, which nobody has but who was given them."""
        return [asdict(key) for key in self._keys.all()]

    def create_key(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A new key of the public API, with its secret; `absent` are models of it that are not here yet."""
        key, secret = self._keys.create(params["name"], params["models"], params["seconds"])
        absent = [model for model in key.models if self._store.endpoint(model) is None]
        return {**asdict(key), "key": secret, "absent": absent}

    def revoke_key(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take a key back."""
        return asdict(self._keys.revoke(params["name"]))

    def stop(self, params: Mapping[str, Any]) -> None:
        """End the region, requests in hand answered."""
        self._stop()

    def route(self, method: str, path: str) -> Route:
        """What answers a request; raises UsageError if nothing does."""
        route = self.routes.get((method, path))
        if route is None:
            raise UsageError(f"the region has no {method} {path}")
        return route


def _request_as_json(one: Invocation) -> dict[str, Any]:
    body = base64.b64encode(one.sent.body or b"").decode()
    return {"id": one.id, "time": one.time, "headers": dict(one.sent.headers), "body": body}
