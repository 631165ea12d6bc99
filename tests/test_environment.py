"""config.yml, DEPLOY_ENV and flags as one frozen value."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from hotfire import environment
from hotfire.app_schema import App
from hotfire.environment import Environment, is_one_edit, load
from hotfire.errors import ConfigError, ProjectError
from hotfire.hosting_settings import STARTUP_SECONDS, Asynchronous, Autoscaling, Serverless
from hotfire.image_settings import ImageSettings

ARTICLE = """\
environments:
  default: &default
    model_name: text-classification
    aws_role: sagemaker-role
  local:
    <<: *default
    instance_type: local
    model_data_path: 'file://build/model.tar.gz'
  production:
    <<: *default
    instance_type: ml.t2.medium
    model_data_path: s3://sagemaker-pytorch-text-classification/model.tar.gz
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = (tmp_path / "projekt mit Ü").resolve()
    folder.mkdir()
    return folder


def write(folder: Path, *lines: str, name: str = "local", file: str = "config.yml") -> Path:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    given = lines if any(line.startswith("model_name") for line in lines) else ("model_name: news", *lines)
    path.write_text(f"environments:\n  {name}:\n" + "".join(f"    {line}\n" for line in given), "utf-8")
    return path


def loaded(folder: Path, *lines: str, name: str = "local") -> Environment:
    write(folder, *lines, name=name)
    return load(name, start=folder)


def refused(folder: Path, *lines: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, *lines)
    return caught.value


def test_the_articles_config_works_as_it_is(project: Path) -> None:
    sagemaker = project / "deploy" / "sagemaker"
    sagemaker.mkdir(parents=True)
    (sagemaker / "config.yml").write_text(ARTICLE)
    (sagemaker / "serve.py").touch()
    local, production = load(start=project), load("production", start=sagemaker)
    assert (local.name, local.root, local.file) == ("local", project, sagemaker / "config.yml")
    assert (local.model_name, local.aws_role, local.is_local) == (
        "text-classification",
        "sagemaker-role",
        True,
    )
    assert (local.handler(), local.archive_file) == (
        sagemaker / "serve.py",
        project / "build" / "model.tar.gz",
    )
    assert (production.root, production.is_local) == (project, False)
    assert production.setting("model_data_path") == "s3://sagemaker-pytorch-text-classification/model.tar.gz"


def test_what_is_not_given_has_its_default(project: Path) -> None:
    file = write(project)
    assert load(start=project) == Environment(
        name="local",
        file=file,
        root=project,
        model_name="news",
        examples=project / "examples",
        settings={"model_name": "news"},
        python=Path(sys.executable),
    )


def test_every_key_reaches_its_field(project: Path) -> None:
    env = loaded(
        project,
        "aws_role: role",
        "region: eu-west-1",
        "profile: work",
        "endpoint_url: http://localhost:4566",
        "source_dir: src",
        "entry_point: handler.py",
        "artifacts: [runs/latest, /abs]",
        "examples: requests",
        "install_requirements: true",
        "model_data_path: s3://bucket/m.tar.gz",
        "model_data: folder",
        "kms_key: key",
        "instance_type: ml.m5.large",
        "instance_count: 2",
        "runs_as: container",
        "sized_as: ml.c5.large",
        "serverless: {memory_mb: 4096, max_concurrency: 9}",
        "async: {output: s3://b/out, failure: file://x, max_concurrent: 3, success_topic: a, error_topic: b}",
        "autoscaling: {min: 0, max: 4, target: 100}",
        "startup_timeout: 300",
        "update: {strategy: in_place}",
        "image: me/image:1",
        "framework_version: 2.10",
        "py_version: 3.10",
        "container_env: {A: 1}",
        "serving: ray",
        "ray: {num_replicas: 2}",
        "ray_address: http://head:8265",
        "own_image: {base: python:3.12-slim}",
        "vpc: {Subnets: [a]}",
        "tags: {team: news}",
        "endpoint_config: {DataCaptureConfig: {}}",
        "app: {title: News}",
        "journal: false",
        "preflight: {ignore: {R1: known}}",
        name="production",
    )
    assert env == Environment(
        name="production",
        file=project / "config.yml",
        root=project,
        model_name="news",
        examples=project / "requests",
        aws_role="role",
        region="eu-west-1",
        profile="work",
        endpoint_url="http://localhost:4566",
        source_dir=project / "src",
        entry_point="handler.py",
        artifacts=(project / "runs/latest", Path("/abs")),
        install_requirements=True,
        model_data_path="s3://bucket/m.tar.gz",
        model_data="folder",
        kms_key="key",
        instance_type="ml.m5.large",
        instance_count=2,
        runs_as="container",
        sized_as="ml.c5.large",
        serverless=Serverless(4096, 9),
        async_=Asynchronous("s3://b/out", f"file://{project / 'x'}", 3, "a", "b"),
        autoscaling=Autoscaling(0, 4, 100.0),
        startup_timeout=300,
        update={"strategy": "in_place"},
        image="me/image:1",
        framework_version="2.10",
        py_version="3.10",
        container_env={"A": "1"},
        serving="ray",
        ray={"num_replicas": 2},
        ray_address="http://head:8265",
        own_image=ImageSettings(base="python:3.12-slim"),
        vpc={"Subnets": ["a"]},
        tags={"team": "news"},
        endpoint_config={"DataCaptureConfig": {}},
        app=App(title="News"),
        journal=False,
        preflight={"ignore": {"R1": "known"}},
        settings=env.settings,
    )
    assert environment.KNOWN_KEYS - env.settings.keys() == {"python"}


def test_the_argument_names_the_environment_before_deploy_env(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project).write_text("environments:\n  a: {model_name: m}\n  b: {model_name: m}\n")
    monkeypatch.setenv("DEPLOY_ENV", "b")
    assert load(start=project).name == "b"
    assert load("a", start=project).name == "a"


def test_an_empty_deploy_env_names_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_ENV", "")
    assert loaded(project).name == "local"


def test_the_nearest_file_above_is_found(project: Path) -> None:
    write(project, "model_name: outer")
    file = write(project, "model_name: inner", file="a/config.yml")
    deep = project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert load(start=deep).file == file


def test_the_working_folder_is_where_the_search_starts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project)
    monkeypatch.chdir(project)
    assert load().root == project


@dataclass(frozen=True)
class Owned:
    """Stands for a path of a user, since only root can make one of another."""

    st_uid: int

    def stat(self) -> "Owned":
        return self


@pytest.mark.parametrize(
    ("file", "folder", "expected"), [(7, 7, True), (0, 7, True), (8, 8, True), (8, 7, False), (8, 0, False)]
)
def test_a_strangers_file_above_is_not_trusted(file: int, folder: int, expected: bool) -> None:
    assert environment.is_trusted(cast(Path, Owned(file)), cast(Path, Owned(folder)), user=7) is expected


def test_a_file_that_is_named_may_be_called_anything(project: Path) -> None:
    write(project, file="other/settings.yaml")
    env = load(config=project / "other" / "settings.yaml")
    assert (env.root, env.file.name) == (project / "other", "settings.yaml")


def test_a_named_file_that_is_absent_is_said(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yml: there is no such file"):
        load(config=project / "none.yml")


def test_without_a_file_it_says_where_it_looked(project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(start=project)
    where = f"in {project} or a folder above it"
    assert caught.value.message == f"there is no config.yml or deploy/sagemaker/config.yml {where}"
    assert "`hotfire new DIR`" in caught.value.advice


def test_variables_come_from_the_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "blue")
    assert loaded(project, "model_name: news-${TEAM}").model_name == "news-blue"


def test_a_missing_model_name_is_reported_at_the_environment(project: Path) -> None:
    write(project).write_text("environments:\n  local:\n    region: x\n")
    with pytest.raises(ConfigError) as caught:
        load(start=project)
    error = caught.value
    assert (error.line, error.column, error.key) == (2, 3, "model_name")
    assert error.message.endswith("the environment 'local' has no model_name")


def test_a_slip_in_model_name_is_shown(project: Path) -> None:
    write(project).write_text("environments:\n  local:\n    modle_name: news\n")
    with pytest.raises(ConfigError) as caught:
        load(start=project)
    error = caught.value
    assert (error.line, error.column, error.key) == (3, 17, "modle_name")
    assert error.advice == "Is it 'modle_name' that is to be it?"


def test_a_model_name_of_63_characters_is_taken(project: Path) -> None:
    assert len(loaded(project, f"model_name: {'a' * 63}").model_name) == 63


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a" * 64, "has 64 characters; SageMaker takes at most 63"),
        ("a_b", "is not a name that SageMaker takes"),
        ("-a", "is not a name that SageMaker takes"),
        ("a-", "is not a name that SageMaker takes"),
        ("ü", "is not a name that SageMaker takes"),
    ],
)
def test_a_model_name_that_sagemaker_refuses_is_refused(project: Path, name: str, said: str) -> None:
    error = refused(project, f"model_name: {name}")
    assert error.message == f"{project / 'config.yml'}:3:17: model_name {name!r} {said}"


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("instance_count: two", 21, "instance_count must be a whole number of at least 1, not 'two'"),
        ("instance_type: lokal", 20, "there is no instance type 'lokal'"),
        ("model_data: zip", 17, "model_data must be archive or folder, not 'zip'"),
        ("model_data_path: build/m.tar.gz", 22, "model_data_path must be a file:// or s3:// address"),
        ("endpoint_url: localhost", 19, "endpoint_url must be an address that begins with http://"),
        ("startup_timeout: 59", 22, "startup_timeout must be a whole number from 60 to 3600, not 59"),
        ("startup_timeout: 3601", 22, "startup_timeout must be a whole number from 60 to 3600, not 3601"),
        ("ray_address: http://head:99999", 18, "ray_address must be the address of a Ray dashboard"),
        ("ray_address: http://a:b@head", 18, "ray_address holds a user name or a password"),
        ("serverless: {memory_mb: x}", 29, "serverless.memory_mb must be a whole number"),
        (
            "autoscaling: {min: 3, max: 2, target: 1}",
            24,
            "autoscaling.min is 3, more than autoscaling.max, 2",
        ),
        ("async: {max_concurrent: 2}", 12, "async needs `output`, the folder that answers are written to"),
        ("async: {output: a/b}", 21, "async.output must be a file:// or s3:// address, not 'a/b'"),
        (
            "async: {output: s3://b, failure: c}",
            38,
            "async.failure must be a file:// or s3:// address, not 'c'",
        ),
        (
            "async: {output: s3://b, max_concurrent: 1001}",
            45,
            "async.max_concurrent is 1001; SageMaker takes",
        ),
        ("async: {output: s3://b, topic: c}", 36, "async has no key 'topic'"),
        ("autoscaling: {min: 1}", 18, "autoscaling needs both `max` and `target`"),
        ("tags: [a]", 11, "tags must be a mapping of keys to values, not a list"),
        ("python: nowhere/python", 13, "python: there is no Python at"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(project: Path, line: str, column: int, said: str) -> None:
    error = refused(project, line)
    assert error.message.startswith(f"{project / 'config.yml'}:4:{column}: {said}")


@pytest.mark.parametrize("seconds", [60, 3600])
def test_a_model_may_take_as_long_to_load_as_sagemaker_lets_it(project: Path, seconds: int) -> None:
    assert loaded(project, f"startup_timeout: {seconds}").startup_timeout == seconds


def test_the_bounds_of_a_startup_timeout_are_sagemaker_s() -> None:
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    bounds = shapes["ProductionVariantContainerStartupHealthCheckTimeoutInSeconds"]
    assert (bounds["min"], bounds["max"]) == STARTUP_SECONDS


def test_a_near_instance_type_is_offered(project: Path) -> None:
    assert refused(project, "instance_type: local_proces").advice == "Did you mean 'local_process'?"


def test_the_users_own_keys_are_settings(project: Path) -> None:
    assert loaded(project, "slack: {channel: ops}").setting("slack") == {"channel": "ops"}


def test_a_setting_that_is_not_given_has_its_default(project: Path) -> None:
    env = loaded(project)
    assert (env.setting("async"), env.setting("instance_count")) == (None, 1)


def test_a_known_setting_is_text_as_it_is_written(project: Path) -> None:
    assert loaded(project, "framework_version: 2.10").setting("framework_version") == "2.10"


def test_an_unknown_setting_is_refused_with_the_nearest(project: Path) -> None:
    with pytest.raises(ConfigError, match="the environment 'local' has no setting 'modelname'") as caught:
        loaded(project).setting("modelname")
    assert caught.value.advice == "Did you mean 'model_name'?"


@pytest.mark.parametrize(
    ("key", "meant"),
    [("instance_cuont", "instance_count"), ("instance-type", "instance_type"), ("artifact", "artifacts")],
)
def test_a_likely_slip_is_noted(project: Path, key: str, meant: str) -> None:
    place = f"{project / 'config.yml'}:4"
    (note,) = loaded(project, f"{key}: 1").notes
    assert note.startswith(place)
    assert note.endswith(f"{key!r} is not a key of Hotfire; {meant!r} is.")


def test_a_key_of_the_users_own_is_not_noted(project: Path) -> None:
    assert loaded(project, "database: x", "artifacts: [a]").notes == ()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", True),
        ("abcd", "bcd", True),
        ("abc", "axc", True),
        ("abcd", "acbd", True),
        ("abcd", "badc", False),
        ("abc", "abcde", False),
        ("abc", "xyc", False),
    ],
)
def test_one_edit(one: str, other: str, expected: bool) -> None:
    assert is_one_edit(one, other) is expected


@pytest.mark.parametrize(
    ("name", "instance_type", "expected"),
    [
        ("local", None, True),
        ("local", "local", True),
        ("local", "ml.m5.large", True),
        ("laptop", "local_container", True),
        ("cluster", "ray", True),
        ("production", "ml.m5.large", False),
        ("production", None, False),
    ],
)
def test_what_is_local(project: Path, name: str, instance_type: str | None, expected: bool) -> None:
    lines = [f"instance_type: {instance_type}"] if instance_type else []
    assert loaded(project, *lines, name=name).is_local is expected


def test_on_one_machine_a_folder_is_a_project_and_at_aws_a_name(project: Path) -> None:
    assert loaded(project).project == str(project)
    assert loaded(project, "instance_type: ml.m5.large", name="production").project == "news"


def test_only_local_may_leave_out_the_instance_type(project: Path) -> None:
    assert loaded(project).hosting_type() == "local"
    with pytest.raises(ConfigError, match="the environment 'production' has no instance_type"):
        loaded(project, name="production").hosting_type()


def test_only_a_local_environment_may_leave_out_the_role(project: Path) -> None:
    assert loaded(project).role() == "hotfire-local"
    assert loaded(project, "aws_role: mine", name="production").role() == "mine"
    with pytest.raises(ConfigError, match="the environment 'production' has no aws_role"):
        loaded(project, name="production").role()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("file://out/m.tar.gz", "out/m.tar.gz"),
        ("file:///x/m.tar.gz", "/x/m.tar.gz"),
        ("s3://b/k", "build/model.tar.gz"),
    ],
)
def test_where_the_archive_goes(project: Path, given: str, expected: str) -> None:
    assert loaded(project, f"model_data_path: {given}").archive_file == project / expected


@pytest.mark.parametrize(
    ("files", "lines", "expected"),
    [
        (["serve.py", "inference.py"], [], "serve.py"),
        (["code/inference.py"], [], "code/inference.py"),
        (["src/inference.py", "serve.py"], ["source_dir: src"], "src/inference.py"),
        (["serve.py", "src/other.py"], ["source_dir: src"], "serve.py"),
        (["src/h.py", "h.py", "src/serve.py"], ["source_dir: src", "entry_point: h.py"], "src/h.py"),
        (["h.py", "src/serve.py"], ["source_dir: src", "entry_point: h.py"], "h.py"),
    ],
)
def test_where_the_handler_is(project: Path, files: list[str], lines: list[str], expected: str) -> None:
    for file in files:
        (project / file).parent.mkdir(exist_ok=True)
        (project / file).touch()
    assert loaded(project, *lines).handler() == project / expected


def test_a_given_entry_point_is_beside_config_yml_too(project: Path) -> None:
    file = write(project, "entry_point: h.py", file="deploy/sagemaker/config.yml")
    (file.parent / "h.py").touch()
    assert load(start=project).handler() == file.parent / "h.py"


def test_an_absent_handler_is_said_with_where_it_was_sought(project: Path) -> None:
    (project / "serve.py").touch()
    with pytest.raises(ProjectError) as caught:
        loaded(project, "source_dir: src", "entry_point: h.py").handler()
    looked = f"looked for {project / 'src/h.py'} and {project / 'h.py'}"
    assert caught.value.message == f"{project / 'config.yml'}: there is no h.py; {looked}"


def executable(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o755)
    return file


def test_python_may_be_a_virtual_environment(project: Path) -> None:
    python = executable(project / ".venv" / "bin" / "python")
    assert loaded(project, "python: .venv").python == python


def test_python_may_be_a_program_and_is_not_resolved(project: Path) -> None:
    link = project / "py" / "python3"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    assert loaded(project, "python: py/python3").python == link
    assert loaded(project, f"python: {link}").python == link


def test_python_may_be_a_name_on_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = executable(project / "elsewhere" / "mypython")
    monkeypatch.setenv("PATH", str(python.parent))
    assert loaded(project, "python: mypython").python == python


def test_home_is_what_hotfire_home_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTFIRE_HOME", str(tmp_path / "h"))
    assert environment.home() == tmp_path / "h"


def test_home_is_the_platforms_place_for_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTFIRE_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert environment.home() == tmp_path / "hotfire"


def test_a_container_is_sized_as_production_is(project: Path) -> None:
    text = ARTICLE.replace("instance_type: local", "instance_type: local_container")
    (project / "config.yml").write_text(text)
    found = load("local", start=project)
    assert (found.in_containers, found.sized_as) == (True, "ml.t2.medium")


def test_a_container_without_a_production_has_no_size(project: Path) -> None:
    assert loaded(project, "instance_type: local_container").sized_as is None


def test_a_size_is_a_type_of_awss(project: Path) -> None:
    error = refused(project, "instance_type: local_container", "sized_as: large")
    assert "an instance type of AWS's, which begins with `ml.`" in error.message


def test_a_size_that_aws_does_not_have_is_answered_by_the_nearest(project: Path) -> None:
    error = refused(project, "instance_type: local_container", "sized_as: ml.t2.mediun")
    assert (error.line, error.column, error.key) == (5, 15, "sized_as")
    assert error.message.endswith(": there is no instance type 'ml.t2.mediun'")
    assert error.advice == "Did you mean 'ml.t2.medium'?"


def test_a_size_of_which_nothing_is_known_is_noted(project: Path) -> None:
    (note,) = loaded(project, "instance_type: local_container", "sized_as: ml.trn1.2xlarge").notes
    assert note == "Containers have no memory limit: Hotfire does not know how much ml.trn1.2xlarge has."


def test_a_type_of_which_nothing_is_known_is_noted_where_it_is_a_container(project: Path) -> None:
    lines = ("instance_type: ml.trn1.2xlarge", "runs_as: container")
    assert "ml.trn1.2xlarge" in loaded(project, *lines).notes[0]
    assert loaded(project, *lines, name="production").notes == ()
    assert loaded(project, "instance_type: ml.trn1.2xlarge").notes == ()


def test_a_known_size_needs_no_note(project: Path) -> None:
    assert loaded(project, "instance_type: local_container", "sized_as: ml.c5.large").notes == ()


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("local", "Say `instance_type: local_container`, or `runs_as: process`."),
        ("local_process", "Say `instance_type: local_container`, or `runs_as: process`."),
        ("local_gpu", "Say `instance_type: local_container_gpu`, or `runs_as: process`."),
        ("ray", "Say `runs_as: process`."),
    ],
)
def test_a_type_that_says_itself_as_what_it_runs_may_not_say_otherwise(
    project: Path, kind: str, advice: str
) -> None:
    error = refused(project, f"instance_type: {kind}", "runs_as: container")
    assert (error.line, error.key) == (5, "runs_as")
    assert error.message.endswith(f": runs_as is for `ml.*` types, and instance_type is {kind}")
    assert error.advice == advice


def test_without_a_type_nothing_runs_as_a_container(project: Path) -> None:
    assert "instance_type is local" in refused(project, "runs_as: container").message


@pytest.mark.parametrize(
    "lines",
    [
        ("instance_type: local_container", "runs_as: container"),
        ("instance_type: ml.m5.large", "runs_as: container"),
        ("serverless: {memory_mb: 2048}", "runs_as: container"),
    ],
)
def test_what_may_run_as_a_container(project: Path, lines: tuple[str, ...]) -> None:
    assert loaded(project, *lines).in_containers


def test_a_shared_runs_as_is_overridden(project: Path) -> None:
    lines = ("<<: {runs_as: container}", "instance_type: local", "runs_as: process")
    assert loaded(project, *lines).runs_as == "process"


def test_an_image_that_cannot_be_one_is_refused_with_its_place(project: Path) -> None:
    error = refused(project, 'image: "UPPER CASE!!"')
    assert (error.line, error.column, error.key) == (4, 12, "image")
    assert "'UPPER CASE!!'" in error.message
