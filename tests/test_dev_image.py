"""Which image the containers under `hotfire dev` are made of, from one save to the next."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hotfire.dev_image import DevImage
from hotfire.environment import Environment, load
from hotfire.errors import EngineAway, HotfireError, ProjectError
from hotfire.hashes import HashCache
from hotfire.local_region import LocalImage
from hotfire.snapshot import Snapshot

HANDLER = "def model_fn(d):\n    return None\n\ndef predict_fn(data, model):\n    return data\n"


class Session:
    """A project whose image has the tag that its requirements.txt says; what was told is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.told = folder, list[str](), list[str]()
        self.fails: Callable[[str], HotfireError] = ProjectError
        self._hashes = HashCache(folder / "hashes.json")
        self._images = DevImage(self, self._hashes, self._have)
        (folder / "serve.py").write_text(HANDLER)
        self.configure()

    def configure(self, **settings: object) -> None:
        values = {"model_name": "news", "instance_type": "local_container", "serving": "hotfire", **settings}
        (self.folder / "config.yml").write_text(json.dumps({"environments": {"local": values}}))

    def save(self, tag: str) -> str | None:
        """The image after requirements.txt was saved with this tag."""
        (self.folder / "requirements.txt").write_text(tag)
        environment = load("local", config=self.folder / "config.yml")
        image = self._images.of(Snapshot.take(environment, self._hashes))
        return None if image is None else image.name

    def _have(self, environment: Environment, say: Callable[[str], None]) -> LocalImage:
        tag = (self.folder / "requirements.txt").read_text()
        self.asked.append(tag)
        if tag.startswith("no-such"):
            raise self.fails(f"nobody has {tag}")
        return LocalImage(f"news:{tag or 'plain'}", environment.image is None)

    def noted(self, text: str) -> None:
        self.told.append(text)

    def failed(self, error: HotfireError) -> None:
        self.told.append(f"Error: {error.message}")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_requirements_that_cannot_be_had_are_told_of_once_and_the_image_before_goes_on(
    session: Session,
) -> None:
    assert [session.save(tag) for tag in ("one", "no-such", "no-such")] == ["news:one"] * 3
    assert session.asked == ["one", "no-such"]
    assert session.told == [
        "Error: nobody has no-such",
        "Goes on with news:one, which has other packages than requirements.txt asks for.",
    ]
    assert session.save("two") == "news:two"
    assert session.asked == ["one", "no-such", "two"]


def test_other_requirements_are_tried_though_those_before_could_not_be_had(session: Session) -> None:
    for tag in ("one", "no-such-1", "no-such-2", "one", "no-such-2"):
        assert session.save(tag) == "news:one"
    assert session.asked == ["one", "no-such-1", "no-such-2", "no-such-2"]
    assert [line for line in session.told if "Error" in line] == [
        f"Error: nobody has {tag}" for tag in ("no-such-1", "no-such-2", "no-such-2")
    ]


def test_without_an_image_there_is_nothing_to_go_on_with(session: Session) -> None:
    for _ in range(2):
        with pytest.raises(ProjectError, match="nobody has no-such"):
            session.save("no-such")
    assert session.save("one") == "news:one"
    assert session.told == []


def test_an_engine_that_is_away_is_asked_again(session: Session) -> None:
    session.fails = EngineAway
    session.save("one")
    for _ in range(2):
        with pytest.raises(EngineAway):
            session.save("no-such")


def test_an_image_by_its_name_has_the_packages_that_it_has(session: Session) -> None:
    session.configure(image="news:plain", serving="toolkit")
    assert session.save("") == "news:plain"
    assert session.told == [
        "news:plain was not made by Hotfire: each save starts a new container of it. "
        "One of `hotfire image` stays, and takes the code in."
    ]


def test_processes_have_none(session: Session) -> None:
    session.configure(instance_type="local")
    assert session.save("one") is None
    assert session.asked == []
