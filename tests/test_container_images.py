"""Images pulled for real: Debian's registry on the loopback, and the login that AWS's imitation gives."""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any, cast

import pytest

from hotfire import container_images
from hotfire.container_engine import Engine
from hotfire.container_images import login_by, obtain
from hotfire.environment import variables_of_process
from hotfire.errors import EngineError

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def login(aws: Any) -> dict[str, str]:
    """What the imitation of ECR gives for an account."""
    client = aws.client("ecr")
    try:
        return dict(login_by(client, ACCOUNT))
    finally:
        client.close()


@pytest.fixture
def image(docker: Any, registry: str, login: dict[str, str]) -> Iterator[str]:
    """One that is in the registry, and not here."""
    repository = f"{registry}/{ACCOUNT}/{REGION}/tiny"
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    # Podman takes no tag here.
    told = docker.api.import_image_from_data(tree.getvalue())
    docker.images.get(json.loads(told.splitlines()[-1])["status"]).tag(repository, "1")
    pushed = docker.api.push(repository, "1", auth_config=login)
    assert "error" not in pushed
    docker.images.remove(f"{repository}:1")
    yield f"{repository}:1"
    if any(f"{repository}:1" in one.tags for one in docker.images.list()):
        docker.images.remove(f"{repository}:1")


@pytest.fixture
def engine(docker: Any) -> Iterator[Engine]:
    engine = Engine.connect(variables_of_process())
    yield engine
    engine.close()


@pytest.fixture
def as_ecr(monkeypatch: pytest.MonkeyPatch, registry: str) -> None:
    """Let the registry on the loopback count as one of ECR's."""
    pattern = rf"{re.escape(registry)}/(\d{{12}})/([a-z0-9-]+)/"
    monkeypatch.setattr(container_images, "_ECR", re.compile(pattern))


def test_the_login_is_a_name_and_a_password(login: dict[str, str]) -> None:
    assert login == {"username": "AWS", "password": f"{ACCOUNT}-auth-token"}


@pytest.mark.usefixtures("as_ecr")
def test_a_private_image_is_pulled_by_a_login_that_is_asked_for(
    engine: Engine, image: str, login: dict[str, str]
) -> None:
    asked: list[tuple[str, str]] = []
    said: list[str] = []

    def given(account: str, region: str) -> dict[str, str]:
        asked.append((account, region))
        return login

    assert obtain(engine, image, said.append, login=given)
    assert asked == [(ACCOUNT, REGION)]
    assert said[0] == f"pull {image}"
    assert not obtain(engine, image, said.append, login=given)
    assert len(asked) == 1


@pytest.mark.usefixtures("as_ecr")
def test_without_a_login_it_is_said_how_to_log_in(engine: Engine, image: str) -> None:
    with pytest.raises(EngineError) as failure:
        obtain(engine, image, lambda line: None)
    assert failure.value.message.startswith(f"the image {image} cannot be had: ")
    assert f"aws ecr get-login-password --region {REGION} | docker login" in failure.value.advice
    assert engine.image_id(image) is None


def test_another_private_registry_is_logged_in_to_by_docker(engine: Engine, image: str) -> None:
    with pytest.raises(EngineError) as failure:
        obtain(engine, image, lambda line: None)
    assert "`docker login` gives access to a private one" in failure.value.advice


@pytest.mark.usefixtures("as_ecr")
def test_a_pull_that_is_given_up(engine: Engine, image: str, login: dict[str, str]) -> None:
    said: list[str] = []
    # Said a second time once there is a login.
    with pytest.raises(EngineError, match="was being pulled when that was given up"):
        obtain(engine, image, said.append, lambda: len(said) > 1, lambda account, region: login)
    assert engine.image_id(image) is None


class Machine:
    """An engine of which only the processor is known."""

    def __init__(self, architecture: str) -> None:
        self._architecture = architecture

    def architecture(self) -> str:
        return self._architecture


_AWS = "763104351884.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("architecture", ["aarch64", "arm64"])
def test_on_arm_awss_image_is_the_one_for_arm(architecture: str) -> None:
    image = f"{_AWS}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    taken = container_images.fitting(cast(Engine, Machine(architecture)), image)
    assert taken == f"{_AWS}/pytorch-inference-arm64:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
    assert container_images.fitting(cast(Engine, Machine("x86_64")), image) == image


def test_on_arm_any_other_image_is_what_was_asked_for() -> None:
    assert container_images.fitting(cast(Engine, Machine("aarch64")), "news:7") == "news:7"
