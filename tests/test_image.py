"""What an image of one's own is made of, and how its building fails."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hotfire import container_builds, image_lock
from hotfire.container_builds import PROGRAM_LABEL, Program, Telling, find
from hotfire.container_engine import Engine, events
from hotfire.environment import Environment, load, variables_of_process
from hotfire.errors import ConfigError, EngineError, ProjectError
from hotfire.image_build import OwnImage, is_built, repository
from hotfire.image_lock import Lock, Pin, pins_of
from hotfire.image_order import order
from hotfire.image_recipe import recipe
from hotfire.image_registry import Registry
from hotfire.images import OwnLine
from hotfire.own_wheel import NAME, OwnWheel, own_wheel
from hotfire.preflight.own_line import own_line
from hotfire.preflight.requirements import read as read_requirements

HANDLER = "def model_fn(d):\n    return None\n\ndef predict_fn(data, model):\n    return data\n"
SHA = "0" * 64
LOCK = Lock(
    base="python:3.11-slim",
    identity=f"python@sha256:{'1' * 64}",
    python="3.11.9",
    platform="linux/amd64",
    asked="2" * 64,
    pins=(Pin("setuptools", "80.9.0", SHA), Pin("torch", "2.9.1+cpu", SHA)),
)
WHEEL = OwnWheel(b"wheel", ("click>=8.1",))
UNCHECKED_HASH = b"\1\0\0\0"
"""The flags of byte code that holds no time and asks for none."""
SILENT = Telling(lambda line: None)


class Project:
    """A project's folder with one environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "serve.py").write_text(HANDLER)
        self.configure()

    def configure(self, *, name: str = "local", **own_image: Any) -> Environment:
        settings = {"model_name": "News-1", "serving": "hotfire", "own_image": own_image}
        if name != "local":
            settings |= {"instance_type": "ml.m5.large"}
        (self.folder / "config.yml").write_text(json.dumps({"environments": {name: settings}}))
        return load(name, config=self.folder / "config.yml")

    def require(self, text: str) -> Path:
        file = self.folder / "requirements.txt"
        file.write_text(text)
        return file


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    pins = (*LOCK.pins, Pin("own", "", SHA, "https://example.com/own-1-py3-none-any.whl"))
    lock = replace(LOCK, pins=pins, options=("--extra-index-url https://example.com/simple",))
    (tmp_path / "lock").write_text(lock.text())
    assert image_lock.read(tmp_path / "lock") == lock
    assert image_lock.read(tmp_path / "absent") is None


@pytest.mark.parametrize("change", [("# asked", "# ask"), (" --hash", " --hush"), ("torch==", "torch>=")])
def test_a_lock_that_was_changed_by_hand_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    (tmp_path / "lock").write_text(LOCK.text().replace(*change))
    with pytest.raises(ProjectError, match=str(tmp_path / "lock")):
        image_lock.read(tmp_path / "lock")


def test_the_pins_are_what_pip_reports_under_the_names_that_pypi_compares() -> None:
    def one(name: str, **archive: Any) -> Mapping[str, Any]:
        info = {"url": f"https://example.com/{name}.whl", "archive_info": archive}
        return {"metadata": {"name": name, "version": "1.0"}, "download_info": info, "is_direct": False}

    report = json.dumps(
        {"install": [one("Zoo_Keeper", hashes={"sha256": SHA}), one("a", hash=f"sha256={SHA}")]}
    )
    assert pins_of(report) == (Pin("a", "1.0", SHA), Pin("zoo-keeper", "1.0", SHA))
    with pytest.raises(ProjectError, match=r"git comes from .*\.whl, which has no hash"):
        pins_of(json.dumps({"install": [one("git")]}))


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        (Pin("nvidia-cudnn-cu12", "9.1", SHA), True),
        (Pin("torch", "2.9.1+cu128", SHA), True),
        (Pin("torch", "2.9.1+cpu", SHA), False),
        (Pin("curio", "1.6", SHA), False),
    ],
)
def test_what_only_a_gpu_needs(pin: Pin, expected: bool) -> None:
    assert pin.is_for_gpus is expected


def test_requirements_are_those_of_all_files_without_their_comments(project: Project) -> None:
    (project.folder / "more.txt").write_text("pandas  # frames\n\n")
    file = project.require("-r more.txt\nnumpy>=2 \\\n  ,<3\n--extra-index-url https://example.com/simple\n")
    made = order(project.configure(), file)
    assert made.lines == ("pandas", "numpy>=2    ,<3")
    assert made.options == ("--extra-index-url https://example.com/simple",)


@pytest.mark.parametrize("line", ["-e .", "./own", "own @ file:///own.whl", "--user"])
def test_what_cannot_be_in_an_image_is_named_with_its_line(project: Project, line: str) -> None:
    file = project.require(f"numpy\n{line}\n")
    with pytest.raises(ProjectError, match=rf"requirements\.txt:2: {line}"):
        order(project.configure(), file)


@pytest.mark.parametrize("name", ["", "own @ "])
def test_what_comes_from_a_repository_is_refused_before_it_is_fetched(project: Project, name: str) -> None:
    file = project.require(f"numpy\n{name}git+https://me:secret@example.com/own.git@v1\n")
    with pytest.raises(
        ProjectError, match=r"requirements\.txt:2: .*example\.com/own\.git@v1 has no"
    ) as failure:
        order(project.configure(), file)
    assert "secret" not in failure.value.message
    assert "`own_image.wheels`" in failure.value.advice


def test_torch_is_the_one_that_is_named_or_pinned_or_here(project: Project) -> None:
    plain, pinned = project.configure(), project.require("torch==2.8.0\n")
    assert "torch==2.9.1\n" in order(project.configure(torch="2.9.1"), None).wanted("2.13.0", None)
    assert "torch==2.13.0\n" in order(plain, None).wanted("2.13.0", None)
    assert order(plain, pinned).wanted("2.13.0", None).count("torch==") == 1
    with pytest.raises(ProjectError, match="nothing says which torch"):
        order(plain, None).wanted(None, None)


def test_the_lock_is_the_same_for_everybody_who_works_on_a_project(project: Project) -> None:
    file = project.require("numpy\n")
    mine = order(project.configure(index="https://me:secret@example.com/simple"), file)
    yours = order(project.configure(index="https://you:other@example.com/simple"), file)
    assert mine.sha256 == replace(yours, python=Path("/usr/bin/python3")).sha256
    assert mine.sha256 != order(project.configure(), file).sha256
    assert mine.sha256 != replace(mine, lines=("numpy", "pandas")).sha256


def test_torch_comes_without_cuda_unless_that_is_asked_for(project: Project) -> None:
    assert order(project.configure(), None).indexes["PIP_EXTRA_INDEX_URL"].endswith("/cpu")
    assert order(project.configure(cuda=True), None).indexes == {}
    assert order(project.configure(torch_index="none"), None).indexes == {}
    assert order(project.configure(index="none"), None).indexes == {"PIP_NO_INDEX": "1"}


@pytest.mark.parametrize(
    ("kind", "expected"), [("ml.m5.large", "linux/amd64"), ("ml.m7g.large", "linux/arm64")]
)
def test_it_is_built_for_the_processor_of_the_instance_type(
    project: Project, kind: str, expected: str
) -> None:
    made = order(replace(project.configure(name="production"), instance_type=kind), None)
    assert made.platform == expected
    assert made.file == project.folder / f"image-{expected.partition('/')[2]}.lock"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bases": "python"}, "own_image has no key 'bases'"),
        ({"torch": ">=2"}, "own_image.torch must be one version"),
        ({"index": "example.com"}, "own_image.index must be an address"),
        ({"network": "bridge"}, "network must be default, host or none"),
        ({"repository": "News"}, "own_image.repository must be a repository's name"),
        ({"cuda": "yes"}, "own_image.cuda must be true or false"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(
    project: Project, settings: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as failure:
        project.configure(**settings)
    assert failure.value.line == 1


def test_the_repository_is_named_after_the_endpoint_as_registries_take_it(project: Project) -> None:
    assert repository(replace(project.configure(), model_name="News--1")) == "hotfire/news-1"
    assert repository(project.configure(repository="team/news")) == "team/news"


def test_the_same_lock_and_hotfire_give_the_same_files_and_another_lock_another_tag() -> None:
    made = recipe(LOCK, WHEEL)
    assert recipe(LOCK, WHEEL) == made
    newer = replace(LOCK, pins=(LOCK.pins[0], Pin("torch", "2.9.2+cpu", SHA)))
    tags = {made.tag, recipe(newer, WHEEL).tag, recipe(LOCK, OwnWheel(b"other", ())).tag}
    tags.add(recipe(replace(LOCK, identity=f"python@sha256:{'3' * 64}"), WHEEL).tag)
    assert len(tags) == 4
    # Where packages come from is no part of what they are.
    assert recipe(LOCK, WHEEL, wheels=True, certificate=True).tag == made.tag


def test_a_base_of_a_registry_is_named_by_its_digest() -> None:
    stages = [line for line in recipe(LOCK, WHEEL).dockerfile.splitlines() if line.startswith("FROM")]
    assert stages == [
        f"FROM {LOCK.identity} AS libraries",
        "FROM libraries AS hotfire",
        f"FROM {LOCK.identity}",
    ]
    local = replace(LOCK, identity=f"sha256:{SHA}")
    assert "FROM python:3.11-slim\n" in recipe(local, WHEEL).dockerfile


def test_the_wheel_is_of_the_sources_and_always_the_same(repository: Path) -> None:
    wheel = own_wheel()
    assert own_wheel() == wheel
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        names = set(archive.namelist())
        record = archive.read(f"{NAME.partition('-py3')[0]}.dist-info/RECORD").decode().splitlines()
        serve = archive.read("hotfire/server/serve.py")
    assert serve == (repository / "src/hotfire/server/serve.py").read_bytes()
    assert {name.partition(",")[0] for name in record} == names
    digest = base64.urlsafe_b64encode(hashlib.sha256(serve).digest()).rstrip(b"=").decode()
    assert f"hotfire/server/serve.py,sha256={digest},{len(serve)}" in record
    assert [name for name in names if "__pycache__" in name or "text_classification" in name] == []
    assert "hotfire_worker/worker.py" in names
    assert any(one.startswith("uvicorn") for one in wheel.requires)


@pytest.fixture
def ecr(aws: Any) -> Iterator[Any]:
    client = aws.client("ecr")
    yield client
    client.close()


def test_a_repository_is_made_once_and_removed_only_by_whom_it_was_made_for(ecr: Any) -> None:
    registry = Registry(ecr, "hotfire/news")
    assert registry.address == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hotfire/news"
    assert registry.login() == {"username": "AWS", "password": "123456789012-auth-token"}
    assert (registry.exists(), registry.has("1"), registry.remove("news")) == (False, False, False)
    registry.create({"hotfire:project": "news"})
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"mediaType": "application/json", "size": 1, "digest": f"sha256:{SHA}"}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
    ecr.put_image(repositoryName="hotfire/news", imageManifest=manifest, imageTag="1")
    assert (registry.exists(), registry.has("1"), registry.has("2")) == (True, True, False)
    assert (registry.remove("other"), registry.exists()) == (False, True)
    assert (registry.remove("news"), registry.exists()) == (True, False)


def test_preflight_judges_by_what_the_lock_says(project: Project) -> None:
    environment = project.configure()
    requirements = read_requirements(project.require("torch==2.8.0\n"))
    assert own_line(environment, requirements, None) == OwnLine(
        "2.8.0",
        ("py311",),
        frozenset({"torch", "sagemaker-pytorch-inference", "setuptools"}),
    )
    file = order(environment, None).file
    file.write_text(replace(LOCK, python="3.12.1").text())
    line = own_line(environment, requirements, None)
    assert line == OwnLine("2.9.1", ("py312",), frozenset({"setuptools", "torch"}))
    assert line.python == "3.12"


def told(project: Project, *arguments: str, **variables: str) -> tuple[int, str]:
    """What `hotfire image` says in a project, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "hotfire", "image", *arguments],
        cwd=project.folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_dockerfile_is_shown_without_an_engine(project: Project) -> None:
    project.configure(base="python:3.11-slim")
    code, text = told(project, "--dockerfile", DOCKER_HOST="unix:///nowhere.sock")
    assert (code, "does not say which versions" in text) == (1, True)
    made = order(load(config=project.folder / "config.yml"), None)
    made.file.write_text(replace(LOCK, asked=made.sha256, platform=made.platform).text())
    code, text = told(project, "--dockerfile", DOCKER_HOST="unix:///nowhere.sock")
    assert code == 0
    assert f"FROM {LOCK.identity} AS libraries" in text
    assert not (project.folder / "build").exists()


def test_no_engine_is_one_clear_message(project: Project) -> None:
    code, text = told(project, DOCKER_HOST="unix:///nowhere.sock")
    assert (code, "no container engine answers at unix:///nowhere.sock" in text) == (1, True)


def test_a_module_that_nobody_asks_for_is_named_before_anything_is_built(project: Project) -> None:
    (project.folder / "serve.py").write_text(f"import unheard_of\n{HANDLER}")
    code, text = told(project, DOCKER_HOST="unix:///nowhere.sock")
    assert code == 1
    assert "unheard_of is imported, but there is no requirements.txt" in text


@pytest.fixture
def engine(docker: Any) -> Iterator[Engine]:
    engine = Engine.connect(variables_of_process())
    yield engine
    engine.close()


@pytest.fixture
def small(
    project: Project, python_base: str, engine: Engine, wheel_of: Callable[..., Pin]
) -> tuple[OwnImage, Lock]:
    """An image of packages that are made here, without a network."""
    wheels = project.folder / "wheels"
    pins = tuple(wheel_of(wheels, name, "2.0") for name in ("setuptools", "torch"))
    environment = project.configure(base=python_base, wheels=str(wheels), index="none", network="none")
    own = OwnImage(environment, None)
    base = find(engine, python_base)
    assert base is not None
    head = (python_base, base.id, "3.11.7", own.order.platform, own.order.sha256)
    return own, Lock(*head, pins)


def exported(docker: Any, image: str) -> dict[str, tuple[Any, ...]]:
    """Each file of an image with all that it is but its times."""
    container = docker.containers.create(image, ["serve"])
    try:
        data = io.BytesIO(b"".join(container.export()))
    finally:
        container.remove()
    with tarfile.open(fileobj=data) as tar:
        return {one.name: _described(tar, one) for one in tar.getmembers()}


def _described(tar: tarfile.TarFile, one: tarfile.TarInfo) -> tuple[Any, ...]:
    file = tar.extractfile(one) if one.isreg() else None
    content = file.read() if file else b""
    if one.name.endswith(".pyc"):
        assert content[4:8] == UNCHECKED_HASH, one.name
    digest = hashlib.sha256(content).hexdigest()
    return one.type, one.mode, one.uid, one.gid, one.linkname, digest


def test_two_builds_without_cache_export_the_same_files_modes_and_links(
    docker: Any, engine: Engine, small: tuple[OwnImage, Lock]
) -> None:
    own, lock = small
    made = own.recipe(lock)
    found = []
    for _ in range(2):
        built = own.build(engine, made, "hotfire-tests/small", SILENT, cached=False)
        found.append((built.image.id, exported(docker, built.image.id)))
    try:
        (one, first), (other, second) = found
        assert one != other  # the times are not the same
        assert first == second
        assert is_built(engine, f"hotfire-tests/small:{made.tag}", made)
        assert "opt/hotfire/lib/python3.11/site-packages/torch/__init__.py" in first
        assert [place for place in first if place.endswith(("/pip", "/ensurepip"))] == []
        assert (own.folder / "Dockerfile").read_text() == made.dockerfile
    finally:
        for image, _ in found:
            docker.images.remove(image, force=True)


def test_a_package_that_is_not_what_was_locked_is_not_built_in(
    engine: Engine, small: tuple[OwnImage, Lock]
) -> None:
    own, lock = small
    made = own.recipe(replace(lock, pins=(lock.pins[0], replace(lock.pins[1], version="3.0"))))
    with pytest.raises(
        EngineError, match=r"torch==3\.0, which image-.*\.lock names, cannot be found"
    ) as failure:
        own.build(engine, made, "hotfire-tests/small", SILENT)
    assert failure.value.message.startswith(f"the image hotfire-tests/small:{made.tag} cannot be built: ")
    assert "`hotfire image --update`" in failure.value.advice
    assert find(engine, f"hotfire-tests/small:{made.tag}") is None


def test_a_package_of_another_hash_than_the_locked_one_is_not_built_in(
    engine: Engine, small: tuple[OwnImage, Lock]
) -> None:
    own, lock = small
    one, other = lock.pins
    made = own.recipe(
        replace(lock, pins=(replace(one, sha256=other.sha256), replace(other, sha256=one.sha256)))
    )
    with pytest.raises(EngineError) as failure:
        own.build(engine, made, "hotfire-tests/small", SILENT)
    assert failure.value.message == (
        f"the image hotfire-tests/small:{made.tag} cannot be built: setuptools==2.0 is not what "
        f"{own.order.file.name} says (expected {other.sha256}, got {one.sha256})"
    )


def test_what_the_engine_tells_is_read_to_its_end_and_its_error_raised_then() -> None:
    told = iter([{"stream": "a"}, {"error": "full"}, {"stream": "b"}])
    heard = []
    with pytest.raises(EngineError, match="it is full"):
        heard.extend(events(told, lambda reason: EngineError(f"it is {reason}")))
    assert (heard, list(told)) == ([{"stream": "a"}], [])
    assert list(events([{"stream": "a"}], EngineError)) == [{"stream": "a"}]


def test_a_requirement_that_nobody_has_is_named_and_nothing_is_left(
    project: Project, python_base: str, docker: Any
) -> None:
    project.require("no-such-package==1.0\n")
    base = "hotfire-tests/python-of-one-test:1"
    docker.images.get(python_base).tag(*base.split(":"))
    project.configure(base=base, torch="2.9.1", index="none", network="none")
    try:
        code, text = told(project)
    finally:
        docker.images.remove(base)
    assert code == 1
    assert "the requirements cannot be resolved: " in text
    assert "no-such-package==1.0" in text
    assert docker.containers.list(all=True, filters={"label": f"{PROGRAM_LABEL}={base}"}) == []
    assert list(project.folder.glob("*.lock")) == []


def test_a_base_that_cannot_be_had_is_named(project: Project, docker: Any) -> None:
    code, text = told(project, "--base", "127.0.0.1:1/absent:1")
    assert (code, "the image 127.0.0.1:1/absent:1 cannot be had" in text) == (1, True)


def test_a_base_without_python_is_named(project: Project, docker: Any, python_base: str) -> None:
    name = "hotfire-tests/no-python:1"
    changed = docker.containers.run(python_base, ["rm", "-f", "/usr/local/bin/python3"], detach=True)
    changed.wait()
    changed.commit(*name.split(":"))
    changed.remove()
    try:
        code, text = told(project, "--base", name)
    finally:
        docker.images.remove(name)
    assert (code, f"the base image {name} has no Python that makes virtual environments" in text) == (1, True)


def test_a_base_without_a_shell_is_named(project: Project, tiny_image: str) -> None:
    project.configure(torch="2.9.1")
    code, text = told(project, "--base", tiny_image)
    assert (code, f"the base image {tiny_image} has no shell" in text) == (1, True)
    assert "`own_image.base`" in text


def test_a_lock_that_cannot_be_written_is_told_before_anything_is_fetched(
    docker: Any, mount: Callable[[str], Path]
) -> None:
    project = Project(mount("1m"))
    project.configure(base="127.0.0.1:1/absent:1")
    subprocess.run(["mount", "-o", "remount,ro", str(project.folder)], check=True)
    code, text = told(project)
    assert code == 1
    assert ".lock cannot be written: Read-only file system" in text
    assert "`own_image.lock` names another place for it" in text


def test_a_project_that_is_read_only_is_built(
    docker: Any, engine: Engine, small: tuple[OwnImage, Lock], mount: Callable[[str], Path]
) -> None:
    own, lock = small
    folder = mount("1m")
    made = own.recipe(lock)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    (own.folder.parent).mkdir(parents=True, exist_ok=True)
    own.folder.symlink_to(folder)
    said: list[str] = []
    built = own.build(engine, made, "hotfire-tests/small", Telling(said.append))
    docker.images.remove(built.name)
    assert f"build without leaving a Dockerfile: {own.folder}: Read-only file system" in said


def test_a_container_whose_run_was_killed_is_removed_when_it_has_ended(
    docker: Any, engine: Engine, tiny_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_builds, "_SECONDS_TO_REMOVE", 0)
    python = os.path.realpath(sys.executable)
    base = "hotfire-tests/tiny-of-one-test:1"
    docker.images.get(tiny_image).tag(*base.split(":"))

    def left(command: str, *, ours: bool = True) -> Any:
        labels = {PROGRAM_LABEL: base} if ours else {}
        return docker.containers.run(base, [python, "-c", command], labels=labels, detach=True)

    ended, foreign, running = left(""), left("", ours=False), left("input()", ours=True)
    try:
        for one in (ended, foreign):
            one.wait()
        report = ("import pathlib; pathlib.Path('/tmp/report').write_text('it')",)
        program = Program(base, (python, "-c", *report), {}, {}, {}, "none")
        assert container_builds.run(engine, program, "/tmp/report", SILENT) == b"it"
        there = {one.id for one in docker.containers.list(all=True)}
        assert (ended.id in there, foreign.id in there, running.id in there) == (False, True, True)
    finally:
        for one in (foreign, running):
            one.remove(force=True)
        docker.images.remove(base)


def test_a_lock_of_another_base_is_made_anew(engine: Engine, small: tuple[OwnImage, Lock]) -> None:
    own, lock = small
    own.order.file.write_text(lock.text())
    assert own.locked(engine, SILENT) == lock
    own.order.file.write_text(replace(lock, identity=f"sha256:{SHA}").text())
    with pytest.raises(ProjectError, match="cannot be resolved"):  # there is nothing here to choose from
        own.locked(engine, SILENT)


def test_packages_for_gpus_are_refused_unless_they_are_meant(
    project: Project,
    python_base: str,
    engine: Engine,
    wheel_of: Callable[..., Pin],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hotfire import own_wheel as module

    wheels = project.folder / "wheels"
    for name in ("setuptools", "torch", "nvidia_cudnn_cu12"):
        wheel_of(wheels, name, "2.0")
    wheel_of(wheels, "sagemaker_pytorch_inference", version("sagemaker-pytorch-inference"))
    monkeypatch.setattr(module, "_requires", lambda root: ())
    settings = {
        "base": python_base,
        "wheels": str(wheels),
        "index": "none",
        "network": "none",
        "torch": "2.0",
    }
    file = project.require("nvidia-cudnn-cu12\n")
    with pytest.raises(ProjectError, match=r"what only a GPU needs: nvidia-cudnn-cu12 2\.0"):
        OwnImage(project.configure(**settings), file).locked(engine, SILENT)
    lock = OwnImage(project.configure(**settings, cuda=True), file).locked(engine, SILENT)
    assert [pin.name for pin in lock.for_gpus] == ["nvidia-cudnn-cu12"]
