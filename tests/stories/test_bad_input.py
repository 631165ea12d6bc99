"""Bad input gets one clear message, the next step and exit code 1, and leaves nothing half done behind."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine, Project


def refused(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """The message and the next step of a command that failed as it should."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    before, _, told = done.stderr.partition("Error: ")
    message, _, advice = told.partition("\n  → ")
    assert "Error" not in before
    return message, advice.strip()


def nothing_is_there(machine: Machine) -> bool:
    """Whether the region has neither endpoints nor configs nor models."""
    with machine.client() as client:
        lists = (client.list_endpoints, client.list_endpoint_configs, client.list_models)
        return all(answer() == [] for answer in [lambda one=one: _listed(one()) for one in lists])


def _listed(answer: dict[str, Any]) -> list[Any]:
    return next(value for value in answer.values() if isinstance(value, list))


def parts_of(folder: Path) -> list[Path]:
    """What a command writes before it is whole."""
    return [path for path in folder.rglob("*") if ".part" in path.name or ".tmp" in path.name]


def test_no_config(machine: Machine, tmp_path: Path) -> None:
    message, advice = refused(machine.hotfire("deploy", at=tmp_path))
    assert message.startswith("there is no config.yml or deploy/sagemaker/config.yml in ")
    assert "`hotfire new DIR`" in advice


def test_a_config_that_is_named_but_absent(machine: Machine, tmp_path: Path) -> None:
    message, _ = refused(machine.hotfire("deploy", "--config", "absent.yml", at=tmp_path))
    assert str(tmp_path / "absent.yml") in message


def test_a_broken_config(project: Project) -> None:
    file = project.write("config.yml", "environments:\n  local:\n    model_name: 'tiny\n")
    message, advice = refused(project.hotfire("deploy"))
    assert message.startswith(f"{file}:")
    line, column = message.removeprefix(f"{file}:").split(":")[:2]
    assert (line.isdecimal(), column.isdecimal()) == (True, True)
    assert advice


def test_an_unknown_environment(project: Project) -> None:
    message, advice = refused(project.hotfire("deploy", "--env", "prod"))
    assert message.startswith(str(project.folder / "config.yml"))
    assert "there is no environment 'prod' among local" in message
    assert "--env" in advice


def test_an_unknown_environment_of_the_shell(project: Project) -> None:
    assert "'prod'" in refused(project.hotfire("status", DEPLOY_ENV="prod"))[0]


def test_a_missing_artifact(project: Project) -> None:
    project.configure(model_name=project.name, artifacts=["experiments/latest"])
    message, advice = refused(project.hotfire("deploy"))
    assert message == f"artifacts: there is no experiments/latest in {project.folder}."
    assert advice.startswith("Train the model first")


def test_a_missing_entry_point(project: Project) -> None:
    project.configure(model_name=project.name, entry_point="handler.py")
    message, advice = refused(project.hotfire("deploy"))
    assert "there is no handler.py" in message
    assert str(project.folder / "config.yml") in message
    assert "`entry_point:`" in advice


def test_a_model_name_of_64_characters(project: Project) -> None:
    project.configure(model_name="a" * 64)
    message, advice = refused(project.hotfire("deploy"))
    assert message.startswith(f"{project.folder / 'config.yml'}:4:21: model_name")
    assert message.endswith("has 64 characters; SageMaker takes at most 63")
    assert advice == "Choose a shorter name."


@pytest.mark.parametrize("command", ["deploy", "pack"])
def test_a_handler_with_a_syntax_error(project: Project, command: str) -> None:
    project.edit("ANSWER = 1", "ANSWER = (1")
    message, advice = refused(project.hotfire(command))
    assert message.startswith(f"{project.handler}:3: Syntax error, column 10: '(' was never closed")
    assert advice


def test_transform_fn_beside_predict_fn(project: Project) -> None:
    project.edit("ANSWER = 1", "ANSWER = 1\n\ndef transform_fn(model, data, content_type, accept):\n    pass")
    message, advice = refused(project.hotfire("deploy"))
    assert message.startswith(f"{project.handler}:5: transform_fn (line 5) stands beside input_fn (line ")
    assert "Keep transform_fn alone" in advice


def test_a_model_that_does_not_load(machine: Machine, project: Project) -> None:
    project.edit("    return ANSWER", "    return ANSWR")
    done = project.hotfire("deploy")
    assert done.returncode == 1
    assert "did not come into service: NameError: name 'ANSWR' is not defined" in done.stderr
    assert ", line 7, in model_fn\n    return ANSWR" in done.stderr
    assert nothing_is_there(machine)


def test_a_python_without_the_inference_toolkit(machine: Machine, project: Project, tmp_path: Path) -> None:
    made = machine.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")])
    assert made.returncode == 0
    project.configure(model_name=project.name, python=str(tmp_path / "venv"))
    done = project.hotfire("deploy")
    assert done.returncode == 1
    python = tmp_path / "venv" / "bin" / "python"
    assert f"{python} has no " in done.stderr
    assert f"{python} -m pip install torch sagemaker-pytorch-inference" in done.stderr
    assert nothing_is_there(machine)


def test_a_python_that_is_not_there(project: Project) -> None:
    project.configure(model_name=project.name, python="venv/bin/python")
    message, _ = refused(project.hotfire("deploy"))
    assert "venv/bin/python" in message


def archive_of(file: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def truncated(file: Path) -> Path:
    archive_of(file, member("weights.bin"), content=os.urandom(100_000))
    file.write_bytes(file.read_bytes()[:50_000])
    return file


def absolute(file: Path) -> Path:
    return archive_of(file, member("/tmp/escaped"))


def escaping(file: Path) -> Path:
    return archive_of(file, member("../escaped"))


def escaping_by_a_link(file: Path) -> Path:
    return archive_of(file, member("out", tarfile.SYMTYPE, "/tmp"), member("out/escaped"))


def bomb(file: Path) -> Path:
    return archive_of(file, *(member(f"{n}") for n in range(25)), content=bytes(50 << 20))


def no_archive(file: Path) -> Path:
    file.write_bytes(b"PK\x03\x04 as torch.save writes it")
    return file


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (truncated, "is damaged or cut short"),
        (absolute, "it holds the absolute path '/tmp/escaped'"),
        (escaping, "it holds '../escaped', which leads out of it"),
        (escaping_by_a_link, "which leads out of it"),
        (bomb, "bytes, which is more than an archive of its size may"),
        (no_archive, "is a zip file"),
    ],
)
def test_an_archive_that_must_not_be_unpacked(
    machine: Machine, project: Project, tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    machine.told("up")
    archive = make(tmp_path / "model.tar.gz")
    with machine.client() as client:
        container = {"ModelDataUrl": archive.as_uri(), "Environment": {"SAGEMAKER_PROGRAM": "serve.py"}}
        role = "arn:aws:iam::000000000000:role/any"
        variant = {
            "VariantName": "v",
            "ModelName": "m",
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
        client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        client.create_endpoint(EndpointName="e", EndpointConfigName="c")
        try:
            found = client.describe_endpoint(EndpointName="e")
            assert found["EndpointStatus"] == "Failed"
            assert str(archive) in found["FailureReason"]
            assert reason in found["FailureReason"]
        finally:
            client.delete_endpoint(EndpointName="e")
            client.delete_endpoint_config(EndpointConfigName="c")
            client.delete_model(ModelName="m")
    assert parts_of(machine.home / "model-data") == []
    assert not (machine.home / "model-data" / "escaped").exists()
    assert not Path("/tmp/escaped").exists()


def test_a_port_in_use(machines: Callable[[], Machine]) -> None:
    fresh = machines()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message, advice = refused(fresh.hotfire("up", "--port", str(port)))
    assert message == f"port {port} is in use by another program"
    assert advice == "Name another: `hotfire up --port N`."
    assert fresh.is_quiet()
    assert not (fresh.home / "region.json").exists()


def test_a_region_of_another_version(machine: Machine, project: Project) -> None:
    machine.told("up")
    older = (
        "import sys, hotfire\n"
        "hotfire.__version__ = '0.0.1'\n"
        "from hotfire.__main__ import main\n"
        "sys.argv = ['hotfire', *sys.argv[1:]]\n"
        "sys.exit(main())\n"
    )
    for command in ("deploy", "status", "up", "env"):
        done = machine.run([sys.executable, "-c", older, command], at=project.folder)
        message, advice = refused(done)
        assert "is of Hotfire" in message
        assert message.endswith("this is 0.0.1")
        assert advice == "Start it anew: `hotfire down && hotfire up`."
    # To stop it is what helps, so that must work.
    assert machine.run([sys.executable, "-c", older, "down"]).returncode == 0


@pytest.mark.parametrize(
    "moment",
    [
        "Deploying",
        "  copy",
        "  create model",
        "  create endpoint config",
        "  update endpoint",
        "  Updating",
    ],
)
def test_ctrl_c_at_any_moment_of_a_deploy(machine: Machine, project: Project, moment: str) -> None:
    project.deploy()
    # Of its own, so that it is copied: the region keeps the contents of other tests' files.
    project.edit("ANSWER = 1", f"import time; time.sleep(0.5)\nANSWER = 2  # {project.name}")
    command = [sys.executable, "-m", "hotfire", "deploy"]
    with subprocess.Popen(
        command,
        cwd=project.folder,
        env=machine.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(moment):
                break
        # As a terminal does it: to all of the group.
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert "Interrupted." in rest
    assert "Traceback" not in rest
    assert parts_of(project.folder) == []
    # What went on without us comes to its end; then all is as if nothing had been interrupted.
    project.deploy()
    assert project.ask()["answer"] == 2
    with machine.client() as client:
        named = [one["ModelName"] for one in client.list_models(NameContains=project.name)["Models"]]
    assert len(named) == 2


@pytest.mark.parametrize("moment", [1, 20, 80, *range(120, 260, 10)])
def test_ctrl_c_while_a_project_is_made(machine: Machine, tmp_path: Path, moment: int) -> None:
    # Where the program opens its so manyth file, or makes or renames one: the template's are among the last.
    code = (
        "import signal, sys\n"
        "from hotfire.__main__ import main\n"
        "seen = 0\n"
        "def watch(event, _):\n"
        "    global seen\n"
        "    seen += event in ('open', 'os.mkdir', 'os.rename')\n"
        f"    if seen == {moment}:\n"
        "        seen += 1\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "sys.argv = ['hotfire', 'new', 'new']\n"
        "sys.addaudithook(watch)\n"
        "sys.exit(main())\n"
    )
    done = machine.run([sys.executable, "-c", code], at=tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 130)
    assert [path.name for path in tmp_path.iterdir()] == ([] if done.returncode == 130 else ["new"])


def on_a_full_disk(
    machine: Machine, disk: Path, *arguments: str, at: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command while the folder `disk` is one that holds 100 kB, of which it then lists what is left."""
    if shutil.which("unshare") is None:
        (pytest.fail if "HOTFIRE_TEST_ALL" in os.environ else pytest.skip)("apt-get install util-linux")
    disk.mkdir(parents=True, exist_ok=True)
    script = 'mount -t tmpfs -o size=100k none "$0" && { "$@"; code=$?; ls -A "$0"; exit $code; }'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(disk)]
    return machine.run([*command, sys.executable, "-m", "hotfire", *arguments], at=at)


def test_no_space_left_for_the_archive(machine: Machine, project: Project) -> None:
    (project.folder / "weights.bin").write_bytes(os.urandom(1 << 20))
    project.configure(model_name=project.name, artifacts=["weights.bin"])
    build = project.folder / "build"
    done = on_a_full_disk(machine, build, "pack", at=project.folder)
    message, advice = refused(done)
    assert message.startswith(f"No space is left to write {build / 'model.tar.gz'}; it needs up to 1,0")
    assert advice.startswith("Free space there")
    assert done.stdout == ""


def test_no_space_left_for_a_new_project(machine: Machine, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    done = on_a_full_disk(machine, disk, "new", str(disk / "new"), at=tmp_path)
    assert "No space left on device" in refused(done)[0]
    assert done.stdout == ""


def test_no_space_left_for_what_is_printed(machine: Machine) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "hotfire", "env", "--unset"]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=machine.environment(), check=False
        )
    assert refused(done)[0].strip() == "Writing: No space left on device"
