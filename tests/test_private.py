import asyncio
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hotfire import __version__
from hotfire.address import Key, prove
from hotfire.errors import ArchiveError, EngineError, UsageError
from hotfire.model_data import Entry, tree_sha256
from hotfire.region.invocations import Invocations
from hotfire.region.private import Private
from hotfire.region.store import Store
from hotfire.region.trees import Trees

KEY = Key("HOTFIREA", "secret")


class Host:
    def __init__(self) -> None:
        self.warmed: list[Path] = []

    async def warm(self, python: Path) -> None:
        self.warmed.append(python)


class Images:
    """One is here; of another nobody can tell."""

    async def has_image(self, image: str) -> bool:
        if image == "no-engine:1":
            raise EngineError("no container engine answers")
        return image == "mine:1"


class Entries:
    def issue(self) -> str:
        return "token"


class Unleased:
    """Nobody holds an endpoint."""

    def hold(self, params: Mapping[str, Any]) -> None: ...

    def reload(self, params: Mapping[str, Any]) -> None: ...

    def try_again(self, params: Mapping[str, Any]) -> None: ...

    def last(self, params: Mapping[str, Any]) -> None: ...

    def debug(self, params: Mapping[str, Any]) -> None: ...

    def report(self, params: Mapping[str, Any]) -> None: ...

    def show(self, params: Mapping[str, Any]) -> None: ...


class Unshared:
    """Nobody shares a model."""

    def hold(self, params: Mapping[str, Any]) -> None: ...


class Workers:
    """This process answers for the endpoint `ours`."""

    def pids(self, name: str) -> list[int]:
        return [os.getpid()] if name == "ours" else []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "region.sqlite") as store:
        yield store


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def stopped() -> list[bool]:
    return []


@pytest.fixture
def private(tmp_path: Path, store: Store, host: Host, stopped: list[bool]) -> Iterator[Private]:
    trees = Trees(tmp_path / "model-data")
    with Invocations(tmp_path / "requests.sqlite") as invocations:
        yield Private(
            KEY,
            store,
            trees,
            host,
            Images(),
            Entries(),
            Unleased(),
            Workers(),
            lambda: stopped.append(True),
            Unshared(),
            invocations,
        )


def manifest(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """Files in a folder, and what a deploy says of them."""
    entries = []
    for place, text in files.items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        entries.append(Entry(place, file, len(text), 0o644, hashlib.sha256(text.encode()).hexdigest()))
    items = [
        {"place": e.place, "source": str(e.source), "size": e.size, "mode": e.mode, "sha256": e.sha256}
        for e in entries
    ]
    return {"sha256": tree_sha256(entries), "entries": items}


def test_it_proves_that_it_knows_the_key(private: Private) -> None:
    assert private.hello("nonce") == {
        "proof": prove("secret", "nonce"),
        "version": __version__,
        "pid": os.getpid(),
    }


def test_a_python_is_warmed(private: Private, host: Host) -> None:
    asyncio.run(private.warm({"python": "/usr/bin/python3"}))
    assert host.warmed == [Path("/usr/bin/python3")]


def test_model_data_is_taken_by_its_manifest(private: Private, tmp_path: Path) -> None:
    params = manifest(tmp_path / "source", {"model.pt": "weights", "code/inference.py": "pass"})
    answer = asyncio.run(private.admit_tree(params))
    tree = Path(answer["path"])
    assert (tree / "model.pt").read_text() == "weights"
    assert (tree / "code" / "inference.py").read_text() == "pass"
    assert answer["copied"] == 2


def test_only_what_changed_is_copied(private: Private, tmp_path: Path) -> None:
    files = {"model.pt": "weights", "code/inference.py": "pass"}
    first = asyncio.run(private.admit_tree(manifest(tmp_path / "source", files)))
    files["code/inference.py"] = "import os"
    second = asyncio.run(private.admit_tree(manifest(tmp_path / "source", files)))
    assert (second["copied"], second["path"] != first["path"]) == (1, True)


def test_model_data_that_is_not_what_it_says_is_refused(private: Private, tmp_path: Path) -> None:
    params = manifest(tmp_path / "source", {"model.pt": "weights"})
    with pytest.raises(ArchiveError, match=f"comes to {params['sha256']}, not to 0000"):
        asyncio.run(private.admit_tree({**params, "sha256": "0000"}))


def test_examples_are_kept_for_the_page(private: Private, store: Store) -> None:
    private.put_examples({"endpoint": "e", "examples": [{"name": "one"}]})
    assert store.examples("e") == [{"name": "one"}]


def test_it_lets_a_browser_in(private: Private) -> None:
    assert private.entry({}) == {"token": "token"}


def test_it_stops(private: Private, stopped: list[bool]) -> None:
    private.stop({})
    assert stopped == [True]


@pytest.mark.parametrize(("method", "path"), [("GET", "/_hotfire/stop"), ("POST", "/_hotfire/fly")])
def test_another_request_is_refused(private: Private, method: str, path: str) -> None:
    with pytest.raises(UsageError, match=f"the region has no {method} {path}"):
        private.route(method, path)


def test_a_route_leads_to_its_method(private: Private) -> None:
    assert private.route("POST", "/_hotfire/warm") == private.warm


@pytest.mark.parametrize(("image", "is_here"), [("mine:1", True), ("other:1", False), ("no-engine:1", False)])
def test_whether_an_image_is_here_is_told(private: Private, image: str, is_here: bool) -> None:
    assert asyncio.run(private.has_image({"image": image})) == {"is_here": is_here}


def test_the_memory_of_who_answers_is_told(private: Private) -> None:
    (found,) = asyncio.run(private.workers({"endpoint": "ours"}))
    assert found["pid"] == os.getpid()
    assert 0 < found["own"] <= found["resident"]
    assert asyncio.run(private.workers({"endpoint": "another"})) == []


def test_a_key_of_the_public_api_is_shown_once(private: Private) -> None:
    made = private.create_key({"name": "phone", "models": ["news"], "seconds": None})
    assert made["key"].startswith(made["prefix"])
    assert made["absent"] == ["news"]
    (listed,) = private.keys({})
    assert "key" not in listed
    assert listed == {name: made[name] for name in listed}


def test_a_key_of_the_public_api_is_taken_back(private: Private) -> None:
    private.create_key({"name": "phone", "models": [], "seconds": 60.0})
    assert private.revoke_key({"name": "phone"})["name"] == "phone"
    assert private.keys({}) == []
