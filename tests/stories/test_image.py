"""An image of one's own: built of a project, run as SageMaker runs images, and deployed here and at AWS."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Project

SECONDS = 180.0
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}

LOADING = """\
import json, os, pathlib, time, torch

def model_fn(model_dir):
    while not pathlib.Path("/mnt/open").exists():
        time.sleep(0.05)
    return torch.nn.Linear(1, 1)

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {
        "user": os.getuid(),
        "torch": torch.__version__,
        "role": os.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        "ours": [name for name in os.environ if name.startswith("HOTFIRE_")],
    }

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""


class Running:
    """A container of an image, as `docker run --read-only --tmpfs /tmp IMAGE serve` starts it."""

    def __init__(self, container: Any, port: int) -> None:
        self.container = container
        container.reload()
        self._url = f"http://127.0.0.1:{container.ports[f'{port}/tcp'][0]['HostPort']}"

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status, 0 while nothing listens, and the body."""
        headers = {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url + path, body, headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def pinged(self, *unwanted: int) -> int:
        """What /ping answers once that is none of these."""
        deadline = time.monotonic() + SECONDS
        while (status := self.ask("/ping")[0]) in unwanted:
            assert time.monotonic() < deadline, self.container.logs().decode()
            time.sleep(0.02)
        return status

    def said(self, *command: str) -> str:
        """What a program in it prints."""
        return str(self.container.exec_run(list(command)).output.decode())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Model data whose handler waits for a file before it is loaded."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(LOADING)
    (tmp_path / "gate").mkdir()
    # Whoever runs in the container is nobody here.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path / "model"


@pytest.fixture
def run(docker: Any, own_image: Any, model: Path) -> Iterator[Callable[..., Running]]:
    """Starts a container; none is left."""
    made: list[Any] = []

    def run(port: int = 8080, **variables: str) -> Running:
        folders = {model: "/opt/ml/model", model.with_name("gate"): "/mnt"}
        made.append(
            docker.containers.run(
                own_image.name,
                ["serve"],
                detach=True,
                read_only=True,
                tmpfs={"/tmp": ""},
                environment=variables,
                ports={f"{port}/tcp": ("127.0.0.1", None)},
                volumes={str(folder): {"bind": place, "mode": "ro"} for folder, place in folders.items()},
            )
        )
        return Running(made[-1], port)

    yield run
    for container in made:
        container.remove(force=True)


def test_it_is_healthy_only_when_the_model_is_loaded_and_needs_neither_root_nor_a_disk(
    run: Callable[..., Running], model: Path
) -> None:
    running = run(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/role")
    assert running.pinged(0) == 503
    (model.with_name("gate") / "open").touch()
    assert running.pinged(0, 503) == 200
    status, body = running.ask("/invocations", b"[1]")
    told = json.loads(body)
    assert (status, told["role"], told["ours"]) == (200, "/role", [])
    assert told["user"] != 0
    assert told["torch"].endswith("+cpu")

    running.container.stop(timeout=30)
    assert running.container.wait()["StatusCode"] == 0
    assert running.container.diff() in (None, [])


def test_a_handler_that_cannot_load_is_never_healthy(run: Callable[..., Running], model: Path) -> None:
    (model / "code" / "inference.py").write_text('raise RuntimeError("no weights")\n')
    running = run()
    assert running.pinged(0, 503) == 500
    assert "no weights" in running.container.logs().decode()


def test_it_answers_where_sagemaker_wants_it_to(run: Callable[..., Running], model: Path) -> None:
    (model.with_name("gate") / "open").touch()
    assert run(port=8123, SAGEMAKER_BIND_TO_PORT="8123").pinged(0, 503) == 200


def test_neither_pip_nor_a_compiler_nor_a_log_is_inside(docker: Any, own_image: Any) -> None:
    find = ["find", "/", "-xdev", "-not", "-path", "*/share/*"]
    said = docker.containers.run(own_image.name, find, user="0", remove=True).decode()
    files = said.splitlines()
    names = {Path(place).name for place in files}
    assert names & {"pip", "pip3", "ensurepip", "cc", "c++", "as", "ld", ".cache"} == set()
    assert {"torch", "hotfire", "sagemaker_inference", "serve"} <= names
    assert [place for place in files if place.startswith(("/build", "/var/log/", "/tmp/"))] == []
    labels = docker.images.get(own_image.name).labels
    assert labels["hotfire.image"] == "0.1.0"
    assert labels["hotfire.content"].startswith(own_image.name.rpartition(":")[2])


@pytest.fixture
def own(project: Project, own_image: Any) -> Project:
    """A project that is served by the image in a container of this machine."""
    project.configure(
        model_name=project.name, instance_type="local_container", **own_image.give(project.folder)
    )
    return project


def test_a_project_is_served_by_its_own_image_and_built_once(own: Project, own_image: Any) -> None:
    first = own.deploy()
    assert own.ask()["answer"] == 1
    assert not any(call.startswith("build") for call in first["calls"])  # the fixture's is the same

    own.edit("ANSWER = 1", "ANSWER = 2")
    second = own.deploy()
    assert own.ask()["answer"] == 2
    assert not any(call.startswith("build") for call in second["calls"])
    assert not own.deploy()["changed"]


def test_a_requirement_makes_it_another_image_which_a_dry_run_does_not_build(
    own: Project, docker: Any, own_image: Any
) -> None:
    own.write("requirements.txt", "tabulate==0.9.0\n")
    before = docker.images.list(own_image.settings["repository"])
    planned = own.hotfire("deploy", "--dry-run")
    assert planned.returncode == 3, planned.stderr
    assert "would lock image.lock\n" in planned.stdout
    assert f"would build image {own_image.settings['repository']}:not-locked\n" in planned.stdout
    assert docker.images.list(own_image.settings["repository"]) == before
    assert (own.folder / "image.lock").read_text() == own_image.lock


@pytest.fixture
def at_aws(
    project: Project, aws: Any, registry: str, docker: Any, python_base: str, wheel_of: Callable[..., Any]
) -> Callable[..., Any]:
    """Runs a command of a project for AWS, whose registry of images is on the loopback.

    Its image is a small one: nothing is served by it here.
    """
    from hotfire.environment import load
    from hotfire.image_lock import Lock
    from hotfire.image_order import order

    wheels = project.folder / "wheels"
    pins = tuple(wheel_of(wheels, name, "2.0") for name in ("setuptools", "torch"))
    aws.steer(registry=f"http://{registry}")
    production = {
        "model_name": "news",
        "aws_role": "news",
        "instance_type": "ml.m5.large",
        "endpoint_url": aws.url,
        "region": "eu-west-1",
        "model_data_path": "s3://my-models/news/model.tar.gz",
        "serving": "hotfire",
        "own_image": {"base": python_base, "torch": "2.0", "wheels": str(wheels), "index": "none"},
    }
    environments = {"local": {"model_name": project.name}, "production": production}
    config = project.write("config.yml", json.dumps({"environments": environments}))
    asked = order(load("production", config=config), None)
    base = docker.images.get(python_base).id
    lock = Lock(python_base, base, "3.11.7", asked.platform, asked.sha256, pins)
    asked.file.write_text(lock.text())

    def at_aws(*arguments: str) -> Any:
        return project.hotfire(*arguments, "--env", "production", **KEYS)

    return at_aws


def test_at_aws_it_is_pushed_once_and_deleted_with_the_endpoint(
    at_aws: Callable[..., Any], aws: Any, docker: Any, registry: str
) -> None:
    repository = f"{registry}/hotfire/news"
    planned = at_aws("deploy", "--dry-run")
    assert planned.returncode == 3, planned.stderr
    assert [line.rpartition(":")[0] for line in planned.stdout.splitlines() if " image " in line] == [
        f"  + build image {repository}",
        f"  + push image {repository}",
    ]
    assert "  + create repository hotfire/news in ECR\n" in planned.stdout
    assert docker.images.list(repository) == []

    try:
        done = at_aws("deploy", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        sagemaker = aws.client("sagemaker")
        (model,) = sagemaker.list_models()["Models"]
        container = sagemaker.describe_model(ModelName=model["ModelName"])["PrimaryContainer"]
        assert container["Image"].startswith(f"{repository}:")
        tag = container["Image"].rpartition(":")[2]
        assert tags_of(registry, "hotfire/news") == [tag]

        # The imitation of ECR does not know what its registry holds.
        ecr = aws.client("ecr")
        ecr.put_image(repositoryName="hotfire/news", imageManifest=MANIFEST, imageTag=tag)
        aws.steer(calls=[])
        again = at_aws("deploy", "--json")
        assert json.loads(again.stdout)["changed"] is False
        assert "PutImage" not in aws.calls

        assert at_aws("delete", "--yes").returncode == 0
        assert ecr.describe_repositories()["repositories"] == []
    finally:
        for left in docker.images.list(repository):
            for name in left.tags:
                if name.startswith(registry):
                    docker.images.remove(name)


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/json", "size": 1, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
)


def tags_of(registry: str, repository: str) -> list[str]:
    """What a registry on the loopback holds."""
    request = urllib.request.Request(f"http://{registry}/v2/{repository}/tags/list")
    login = base64.b64encode(b"AWS:123456789012-auth-token").decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request) as answer:
        return list(json.load(answer)["tags"])
