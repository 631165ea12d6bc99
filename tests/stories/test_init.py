"""Somebody comes with a model from a notebook, or a handler from elsewhere, and has an endpoint of it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Machine

NET = """\
import torch

class Net(torch.nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.layer = torch.nn.Linear(3, size)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, data):
        return self.layer(data)
"""

INFERENCE = """\
import json
import os

def model_fn(model_dir):
    with open(os.path.join(model_dir, "factor.json")) as file:
        return json.load(file)

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return [[model * number for number in row] for row in data]

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""


class Desk:
    """A folder of somebody's, in which a notebook's code is run and `hotfire` called."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        folder.mkdir()

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, code: str) -> None:
        """Run the cells of a notebook."""
        done = self.machine.run([sys.executable, "-W", "ignore", "-c", code], at=self.folder)
        assert done.returncode == 0, done.stderr

    def init(self, *arguments: str) -> dict[str, Any]:
        told: dict[str, Any] = self.machine.told("init", *arguments, at=self.folder)
        return told

    def deploy(self) -> None:
        done = self.machine.hotfire("deploy", at=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        tested = self.machine.hotfire("test", at=self.folder)
        assert tested.returncode == 0, tested.stdout + tested.stderr

    def ask(self, body: Any) -> Any:
        return self.machine.told("invoke", "-d", json.dumps(body), at=self.folder)["body"]


@pytest.fixture
def desk(machine: Machine, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(machine, tmp_path / f"desk-{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-")[:50])
    yield made
    machine.hotfire("delete", "--yes", at=made.folder)


def test_torchscript_is_an_endpoint_at_once(desk: Desk) -> None:
    desk.run(f"{NET}\ntorch.jit.trace(Net(), torch.zeros(5, 3)).save('model.pt')")
    told = desk.init()
    assert (told["found"], told["todo"]) == ("model.pt: TorchScript", None)
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0, 6.0]]
    example = json.loads((desk.folder / "examples" / "first.json").read_text())
    assert example["request"]["body"] == [[0.0, 0.0, 0.0]] * 5


def test_a_state_dict_is_one_once_the_todo_is_done(desk: Desk) -> None:
    desk.run(f"{NET}\ntorch.save(Net(4).state_dict(), 'weights.pth')")
    desk.write("net.py", NET)
    (desk.folder / "net.py").rename(desk.folder / "later.txt")
    told = desk.init()
    assert told["todo"]["file"] == "serve.py"
    failed = desk.machine.hotfire("deploy", at=desk.folder)
    assert failed.returncode == 1
    assert "serve.py: build() must return a model for the weights of weights.pth" in failed.stderr
    handler = desk.folder / "serve.py"
    lines = handler.read_text().splitlines()
    assert "    #   layer.weight  float32 [4, 3]" in lines
    lines[told["todo"]["line"] - 1] = "    from net import Net\n\n    return Net(4)"
    (desk.folder / "later.txt").rename(desk.folder / "net.py")
    handler.write_text("\n".join(lines) + "\n")
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0] * 4]


def test_a_state_dict_beside_its_class_leaves_nothing_to_do(desk: Desk) -> None:
    desk.run(f"{NET}\ntorch.save({{'epoch': 1, 'model': Net().state_dict()}}, 'checkpoint.pt')")
    desk.write("net.py", NET)
    told = desk.init()
    assert (told["todo"], told["notes"][0]) == (None, "Its class is Net of net.py, by its attributes.")
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0, 6.0]]


def test_safetensors_beside_their_class_too(desk: Desk) -> None:
    desk.run(
        f"{NET}\nfrom safetensors.torch import save_file\nsave_file(Net().state_dict(), 'w.safetensors')"
    )
    desk.write("net.py", NET)
    assert desk.init("--from", "w.safetensors", "--also", "net.py")["todo"] is None
    assert "safetensors" in (desk.folder / "requirements.txt").read_text().splitlines()
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0, 6.0]]


def test_a_pickled_module_of_a_class_that_can_be_imported(desk: Desk) -> None:
    desk.write("net.py", NET)
    desk.run("import torch\nfrom net import Net\ntorch.save(Net(), 'model.pt')")
    assert desk.init()["found"] == "model.pt: a pickled module of the class net.Net"
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0, 6.0]]


def test_a_module_pickled_in_a_notebook_needs_its_class_in_a_file(desk: Desk) -> None:
    desk.run(f"{NET}\ntorch.save(Net(), 'model.pt')")
    refused = desk.machine.hotfire("init", at=desk.folder)
    assert refused.returncode == 1
    assert "the class Net is of `__main__`, which nobody else has" in refused.stderr
    assert sorted(path.name for path in desk.folder.iterdir()) == ["model.pt"]
    desk.write("net.py", NET)
    desk.init("--from", "model.pt", "--also", "net.py")
    desk.deploy()
    assert desk.ask([[1.0, 2.0, 3.0]]) == [[6.0, 6.0]]


@pytest.mark.parametrize("handler", ["inference.py", "deploy/sagemaker/serve.py"])
def test_a_handler_that_is_there_gets_a_frame(desk: Desk, handler: str) -> None:
    desk.write(handler, INFERENCE)
    desk.write("factor.json", "3")
    told = desk.init()
    assert told["found"] == f"{handler}: a handler"
    assert (desk.folder / handler).read_text() == INFERENCE
    desk.deploy()
    assert desk.ask([[1, 2]]) == [[3, 6]]


def test_an_archive_is_unpacked_and_its_handler_taken(desk: Desk) -> None:
    desk.write("code/inference.py", INFERENCE)
    desk.write("factor.json", "4")
    packed = desk.machine.run(["tar", "czf", "../model.tar.gz", "code", "factor.json"], at=desk.folder)
    assert packed.returncode == 0
    for name in ("code/inference.py", "factor.json"):
        (desk.folder / name).unlink()
    (desk.folder / "code").rmdir()
    told = desk.init("--from", str(desk.folder.parent / "model.tar.gz"))
    assert (
        told["found"] == "model.tar.gz, unpacked to model/: a model with the handler model/code/inference.py"
    )
    desk.deploy()
    assert desk.ask([[1, 2]]) == [[4, 8]]
    places = [one["place"] for one in desk.machine.told("pack", "--list", at=desk.folder)["files"]]
    assert sorted(places) == ["code/inference.py", "code/requirements.txt", "factor.json"]


def test_nothing_is_overwritten(desk: Desk) -> None:
    desk.run("import torch\ntorch.save(torch.nn.Linear(3, 2), 'model.pt')")
    desk.write("requirements.txt", "mine\n")
    told = desk.init()
    assert told["kept"] == ["requirements.txt"]
    assert (desk.folder / "requirements.txt").read_text() == "mine\n"
    before = {path: path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()}
    again = desk.machine.hotfire("init", at=desk.folder)
    assert again.returncode == 1
    assert "config.yml is there already: this folder is a project" in again.stderr
    assert {path: path.read_bytes() for path in desk.folder.rglob("*") if path.is_file()} == before


PAGE = (Path(__file__).parents[2] / "docs" / "init.md").read_text()
SECTIONS = [(section.partition("\n")[0], section) for section in PAGE.split("\n## ")[1:]]


@pytest.mark.parametrize("section", [text for _, text in SECTIONS], ids=[title for title, _ in SECTIONS])
def test_the_documentation_does_what_it_says(desk: Desk, section: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    blocks = re.findall(r"```(python|sh)\n(.*?)```", section, re.DOTALL)
    assert {language for language, _ in blocks} == {"python", "sh"}
    for language, text in blocks:
        name = re.match(r"# (\w+\.py)\n", text)
        if name:
            desk.write(name[1], text)
        elif language == "python":
            desk.run(text)
        else:
            done = desk.machine.run(["sh", "-e", "-c", text], at=desk.folder, PATH=path)
            assert done.returncode == 0, done.stdout + done.stderr
