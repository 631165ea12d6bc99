"""What model data holds for the Ray Serve image, and when."""

import ast
import hashlib
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from hotfire import archive
from hotfire.environment import Environment, load
from hotfire.errors import ArchiveError, ConfigError, ProjectError
from hotfire.project import collected, unpacked, working_sha256
from hotfire.ray_files import TOOLKIT

HANDLER = "def model_fn(model_dir):\n    return None\n"
CONFIG = """\
environments:
  production:
    model_name: news
    aws_role: role
    instance_type: {instance_type}
    model_data_path: file://model.tar.gz
    serving: {serving}
    ray: {{num_replicas: 2}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    (folder / "serve.py").write_text(HANDLER)
    return folder


def environment(project: Path, instance_type: str = "ml.m5.large", serving: str = "ray") -> Environment:
    file = project / "config.yml"
    file.write_text(CONFIG.format(instance_type=instance_type, serving=serving))
    return load("production", config=file)


def contents(project: Path, **settings: str) -> dict[str, str]:
    data = collected(environment(project, **settings))
    for entry in data.entries:
        content = entry.source.read_bytes()
        assert (entry.size, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return {entry.place: entry.source.read_text() for entry in data.entries}


def test_it_has_the_config_that_the_image_runs(project: Path) -> None:
    assert yaml.safe_load(contents(project)["config.yaml"]) == {
        "applications": [
            {
                "name": "default",
                "route_prefix": "/",
                "import_path": "hotfire_worker.ray_app:app",
                "deployments": [{"name": "Model", "num_replicas": 2}],
            }
        ]
    }


def test_it_has_all_of_the_worker_that_the_application_imports(project: Path) -> None:
    held = contents(project)
    waiting, seen = ["ray_app"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(held[f"code/hotfire_worker/{name}.py"])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hotfire_worker"):
                inner = (node.module or "").partition(".")[2]
                waiting += [inner] if inner else [alias.name for alias in node.names]
    assert {"service", "context", "streaming"} <= seen


def test_the_toolkit_is_asked_for(project: Path) -> None:
    lines = contents(project)["code/requirements.txt"].splitlines()
    assert [line for line in lines if not line.startswith("#")] == list(TOOLKIT)


def test_the_lines_of_the_project_are_kept(project: Path) -> None:
    own = "pandas==3.0.5  # tables\n-r more.txt\n"
    (project / "requirements.txt").write_text(own)
    written = contents(project)["code/requirements.txt"]
    assert written.startswith(own)
    assert set(TOOLKIT) <= set(written.splitlines())


def test_what_the_project_pins_is_left_to_it(project: Path) -> None:
    (project / "requirements.txt").write_text("psutil==7.0.0\nsagemaker_pytorch_inference==2.0.24\n")
    lines = contents(project)["code/requirements.txt"].splitlines()
    assert [line for line in lines if line.startswith(("psutil", "sagemaker"))] == [
        "psutil==7.0.0",
        "sagemaker_pytorch_inference==2.0.24",
    ]


def test_lines_with_hashes_cannot_have_others_beside_them(project: Path) -> None:
    (project / "requirements.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ProjectError, match="has hashes"):
        contents(project)


@pytest.mark.parametrize(
    "settings",
    [{"instance_type": "local"}, {"serving": "toolkit"}, {"instance_type": "ray"}],
)
def test_without_the_image_there_is_nothing_of_it(project: Path, settings: dict[str, Any]) -> None:
    assert set(contents(project, **settings)) == {"code/serve.py"}


@pytest.mark.parametrize("settings", [{}, {"instance_type": "ray", "serving": "toolkit"}])
def test_what_ray_would_refuse_is_refused_before_it_is_packed(
    project: Path, settings: dict[str, Any]
) -> None:
    file = environment(project, **settings).file
    file.write_text(file.read_text().replace("num_replicas: 2", "num_replicas: 0"))
    with pytest.raises(ConfigError, match=r"config\.yml:\d+:\d+: ray\.num_replicas must be"):
        collected(load("production", config=file))


def test_a_container_here_gets_the_same(project: Path) -> None:
    assert contents(project, instance_type="local_container") == contents(project)


def test_the_same_project_makes_the_same_tree(project: Path) -> None:
    one, other = collected(environment(project)), collected(environment(project))
    assert one.sha256 == other.sha256 == working_sha256(environment(project))


def test_a_file_in_the_way_is_named(project: Path) -> None:
    (project / "config.yaml").write_text("a: 1\n")
    config = environment(project)
    config.file.write_text(config.file.read_text() + "    artifacts: [config.yaml]\n")
    with pytest.raises(ArchiveError, match=r"config\.yaml of the model data"):
        collected(load("production", config=config.file))


def test_an_archive_that_was_packed_so_is_deployed_as_it_is(project: Path) -> None:
    config = environment(project)
    data = collected(config)
    archive.pack(data, project / "packed.tar.gz")
    with unpacked(config, project / "packed.tar.gz") as again:
        assert {entry.place for entry in again.entries} == {entry.place for entry in data.entries}


def test_an_archive_for_another_image_is_refused(project: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.tar.gz"
    with tarfile.open(plain, "w:gz") as made:
        made.add(project / "serve.py", "code/serve.py")
    with pytest.raises(ArchiveError, match="was not packed for Ray Serve"):
        unpacked(environment(project), plain).__enter__()
