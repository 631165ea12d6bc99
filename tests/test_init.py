"""What a saved model is, told by real files of torch's; and what is written around it."""

import ast
import json
import pickle
import subprocess
import sys
import tarfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hotfire.cli.root import run
from hotfire.environment import load
from hotfire.errors import ProjectError
from hotfire.init import draft, write
from hotfire.init.inputs import Input
from hotfire.init.pickles import Tensor
from hotfire.init.saved import Saved, recognise


class Words(nn.Module):
    """Embeds words: its input are whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.out(self.embed(words).mean(dim=1))


class Two(nn.Module):
    """Takes two arguments."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


def script(model: nn.Module, file: Path, traced_with: tuple[torch.Tensor, ...] = ()) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torches would have one use torch.export
        made = torch.jit.trace(model, traced_with) if traced_with else torch.jit.script(model)
        torch.jit.save(made, str(file))


def saved(value: Any, file: Path, **options: Any) -> Saved:
    torch.save(value, file, **options)
    return recognise(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


def test_torchscript_tells_with_what_it_was_traced(file: Path) -> None:
    script(nn.Linear(3, 2), file, (torch.zeros(5, 3),))
    found = recognise(file)
    assert (found.kind, found.inputs) == ("TorchScript", (Input((5, 3), "float32", is_known=True),))


def test_torchscript_that_was_not_traced_tells_its_first_layer(file: Path) -> None:
    script(Words(), file)
    found = recognise(file)
    assert (found.input, found.arguments) == (Input((1, 4), "int64"), ("words",))


def test_torchscript_tells_how_many_arguments_it_takes(file: Path) -> None:
    script(Two(), file, (torch.zeros(2), torch.zeros(1, 2, dtype=torch.int64)))
    found = recognise(file)
    assert found.arguments == ("left", "right")
    assert [one.shape for one in found.inputs] == [(2,), (1, 2)]
    script(Two(), file)
    assert (recognise(file).arguments, recognise(file).inputs) == (("left", "right"), ())


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize(
    ("value", "key", "prefix", "is_plain"),
    [
        (Words().state_dict(), None, "", True),
        (dict(Words().state_dict()), None, "", True),
        ({"epoch": 1, "model_state_dict": Words().state_dict(), "loss": 0.5}, "model_state_dict", "", True),
        ({"optimizer": {"state": {}}, "mine": Words().state_dict()}, "mine", "", True),
        (nn.DataParallel(Words()).state_dict(), None, "module.", True),
        (
            {
                "pytorch-lightning_version": "2.5",
                "state_dict": OrderedDict(("net." + name, one) for name, one in Words().state_dict().items()),
            },
            "state_dict",
            "net.",
            True,
        ),
        ({"model": Words().state_dict(), "where": Path("x")}, "model", "", False),
        ({**Words().state_dict(), "_extra_state": None}, None, "", True),
    ],
)
def test_weights_are_found_wherever_they_are(
    file: Path, value: Any, key: str | None, prefix: str, is_plain: bool, new_format: bool
) -> None:
    found = saved(value, file, _use_new_zipfile_serialization=new_format)
    assert (found.kind, found.key, found.prefix, found.is_plain) == ("weights", key, prefix, is_plain)
    assert {name.removeprefix(prefix): one for name, one in found.tensors.items()} == {
        "embed.weight": Tensor("float32", (10, 3)),
        "out.weight": Tensor("float32", (2, 3)),
        "out.bias": Tensor("float32", (2,)),
    }


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickled_module_is_named_and_not_made(file: Path, new_format: bool) -> None:
    found = saved(Words(), file, _use_new_zipfile_serialization=new_format)
    assert found.kind == "module"
    assert found.class_name == f"{__name__}.Words"
    assert set(found.modules) == {__name__, "torch.nn.modules.sparse", "torch.nn.modules.linear"}


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    for new_format in (True, False):
        file = tmp_path / f"{new_format}.pt"
        torch.save({"weights": Trap()}, file, _use_new_zipfile_serialization=new_format)
        with pytest.raises(ProjectError, match="no model and no weights"):
            recognise(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), Input((1, 12), "float32")),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), Input((1, 3, 32, 32), "float32")),
        (nn.Sequential(nn.Conv1d(3, 4, 3)).half(), Input((1, 3, 32), "float16")),
        (nn.LSTM(6, 2), Input((1, 4, 6), "float32")),
        (nn.Sequential(nn.EmbeddingBag(7, 2)), Input((1, 4), "int64")),
        (nn.Sequential(nn.Dropout(), nn.ReLU()), None),
    ],
)
def test_the_first_layer_tells_the_input(file: Path, model: nn.Module, expected: Input | None) -> None:
    assert saved(model, file).input == expected


def test_the_first_weights_tell_the_input(file: Path) -> None:
    assert saved(nn.Sequential(nn.Conv2d(1, 4, 3)).half().state_dict(), file).input == Input(
        (1, 1, 32, 32), "float32"
    )
    assert saved(Words().state_dict(), file).input == Input((1, 4), "int64")
    assert saved(nn.GRU(5, 2).state_dict(), file).input == Input((1, 4, 5), "float32")


def test_safetensors_are_read_by_their_header(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"a.weight": torch.zeros(2, 3, dtype=torch.bfloat16)}, file, {"format": "pt"})
    found = recognise(file)
    assert (found.tensors, found.is_safetensors) == ({"a.weight": Tensor("bfloat16", (2, 3))}, True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.pt", b"", "neither a file of torch's nor safetensors"),
        ("m.pt", b"hello", "neither a file of torch's nor safetensors"),
        ("m.pt", b"PK\x03\x04broken", "is damaged or cut short"),
        ("m.pt", b"\x80\x02broken", "is damaged or cut short"),
        ("m.pt", pickle.dumps([1]), "a pickle that torch did not write"),
        ("m.safetensors", b"\xff" * 20, "is damaged or cut short"),
        ("m.safetensors", (2).to_bytes(8, "little") + b"[]", "is damaged or cut short"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProjectError, match=message):
        recognise(tmp_path / name)


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(file: Path) -> None:
    for new_format in (True, False):
        torch.save(Words(), file, _use_new_zipfile_serialization=new_format)
        whole = file.read_bytes()
        # The header of an old file is whole, and its numbers are not looked at.
        for end in range(1, 600, 37):
            file.write_bytes(whole[:end])
            with pytest.raises(ProjectError):
                recognise(file)


def test_a_tensor_is_no_model(file: Path) -> None:
    with pytest.raises(ProjectError, match="torch saved a single tensor, no model and no weights"):
        saved(torch.zeros(3), file)


def test_the_command_needs_no_torch(tmp_path: Path) -> None:
    torch.save(Words().state_dict(), tmp_path / "m.pt")
    program = "import sys; from hotfire.cli.root import run; run(['init']); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.fixture
def init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs the command in a folder `here`; what it says with `--json`."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def init(*arguments: str, code: int = 0) -> Any:
        assert run(["init", *arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return init


def test_the_frame_is_a_project(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "my weights.pt")
    told = init()
    assert told["written"] == ["config.yml", "serve.py", "requirements.txt", "examples/first.json"]
    environment = load()
    assert (environment.model_name, environment.handler().name) == ("here", "serve.py")
    assert environment.artifacts == (Path.cwd() / "my weights.pt",)
    assert environment.is_local


def test_the_todo_is_named_by_its_line(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "weights.pt")
    todo = init()["todo"]
    line = Path("serve.py").read_text().splitlines()[todo["line"] - 1]
    assert line.strip() == f"# TODO: {todo['text']}"


def test_many_weights_are_not_all_shown(init: Callable[..., Any]) -> None:
    torch.save({f"layer{number}.weight": torch.zeros(1) for number in range(200)}, "weights.pt")
    init()
    text = Path("serve.py").read_text()
    assert "    #   layer59.weight  float32 [1]\n    #   and 140 more\n" in text


NET = """\
from torch import nn
class Other: pass
class Net(nn.Module):
    def __init__(self{more}):
        super().__init__()
        self.embed = self.out = None
"""


def test_a_class_that_takes_arguments_is_named_in_the_todo(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "weights.pt")
    Path("net.py").write_text(NET.format(more=", size, depth=2, *, width"))
    assert init()["todo"]["text"].startswith("return the model, such as `return Net(size=…, width=…)`")
    assert "from net import Net" in Path("serve.py").read_text()


def test_a_program_beside_the_model_is_not_imported_for_its_class(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "weights.pt")
    Path("train.py").write_text(NET.format(more="") + "\nprint('training')\n")
    assert init()["todo"] is not None


def test_but_it_is_if_it_is_named(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "weights.pt")
    Path("train.py").write_text(NET.format(more="") + "\nprint('training')\n")
    assert init("--also", "train.py")["todo"] is None


def test_what_else_belongs_to_the_model_goes_along(init: Callable[..., Any]) -> None:
    torch.save(Words().state_dict(), "weights.pt")
    Path("labels.json").write_text("[]")
    init("--from", "weights.pt", "--also", "labels.json")
    assert [path.name for path in load().artifacts] == ["weights.pt", "labels.json"]


def test_a_model_elsewhere_stays_there(init: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(Words().state_dict(), tmp_path / "weights.pt")
    init("--from", str(tmp_path / "weights.pt"))
    assert load().artifacts == (tmp_path / "weights.pt",)


def test_requirements_are_what_the_handler_imports_and_the_image_lacks(init: Callable[..., Any]) -> None:
    Path("inference.py").write_text("import os, torch, numpy, mine\nfrom sentence_transformers import x\n")
    Path("mine.py").write_text("def f():\n    import polars\n")
    init()
    lines = Path("requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["polars", "sentence-transformers"]


def test_files_that_are_there_are_kept_and_named(init: Callable[..., Any]) -> None:
    Path("inference.py").write_text("def model_fn(d): return 1\n")
    Path("requirements.txt").write_text("mine\n")
    Path("examples").mkdir()
    Path("examples/mine.json").write_text('{"request": {"body": 1}}')
    told = init()
    assert (told["written"], told["kept"]) == (["config.yml"], ["requirements.txt", "examples/"])


def test_a_handler_that_names_its_model_needs_no_list(init: Callable[..., Any]) -> None:
    script(nn.Linear(3, 2), Path("model.pt"), (torch.zeros(5, 3),))
    Path("labels.json").write_text("[]")
    lines = ["import os", "def model_fn(d):", "    A = os.path.join(d, 'model.pt')"]
    Path("serve.py").write_text("\n".join([*lines, "    B = os.path.join(d, 'labels.json')"]))
    init()
    assert load().artifacts == ()


def test_a_model_that_the_handler_does_not_name_is_listed(init: Callable[..., Any]) -> None:
    script(nn.Linear(3, 2), Path("model.pt"), (torch.zeros(5, 3),))
    Path("labels.json").write_text("[]")
    Path("serve.py").write_text("def input_fn(b, c): return open('labels.json')\n")
    init()
    assert [path.name for path in load().artifacts] == ["model.pt", "labels.json"]


def packed(target: Path, files: dict[str, bytes]) -> None:
    source = target.with_suffix(".d")
    with tarfile.open(target, "w:gz") as tar:
        for name, content in files.items():
            file = source / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            tar.add(file, name)


def test_an_archive_without_a_handler_gets_one(init: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(Words(), tmp_path / "w.pt")
    packed(Path("model.tar.gz"), {"w.pt": (tmp_path / "w.pt").read_bytes(), "labels.txt": b"a"})
    (Path.cwd() / "model.tar.d").rename(tmp_path / "gone")
    told = init()
    assert told["found"].startswith("model.tar.gz, unpacked to model/: model/w.pt: a pickled module")
    assert load().artifacts == (Path.cwd() / "model",)
    assert '"w.pt"' in Path("serve.py").read_text()


@pytest.mark.parametrize(
    "content", [{"a.txt": b""}, {"a.pt": b"no"}, {"code/x.py": b""}], ids=["none", "unknown", "no handler"]
)
def test_an_archive_without_a_model_is_not_left_unpacked(
    init: Callable[..., Any], tmp_path: Path, content: dict[str, bytes]
) -> None:
    packed(tmp_path / "model.tar.gz", content)
    told = init("--from", str(tmp_path / "model.tar.gz"), code=1)
    assert told["error"]["message"].startswith("model.tar.gz holds no model that is known")
    assert list(Path.cwd().iterdir()) == []


def test_an_archive_is_not_left_unpacked_either_if_its_model_is_of_a_notebook(
    init: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Words, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Words", Words, raising=False)
    torch.save(Words(), tmp_path / "w.pt")
    packed(tmp_path / "model.tar.gz", {"w.pt": (tmp_path / "w.pt").read_bytes()})
    told = init("--from", str(tmp_path / "model.tar.gz"), code=1)
    assert "the class Words is of `__main__`" in told["error"]["message"]
    assert "Copy the class to words.py" in told["error"]["advice"]
    assert list(Path.cwd().iterdir()) == []


def test_of_several_models_one_is_to_be_named(init: Callable[..., Any]) -> None:
    for name in ("a.pt", "b.pt"):
        torch.save(Words(), name)
    assert init(code=1)["error"]["message"].endswith("holds several models: a.pt, b.pt")


def test_without_a_model_it_says_what_it_looked_for(init: Callable[..., Any]) -> None:
    assert "no handler, no model.tar.gz, and no file as torch saves it" in init(code=1)["error"]["message"]


@pytest.mark.parametrize("arguments", [["--from", "no.pt"], ["--from", "m.pt", "--also", "no.txt"]])
def test_what_is_named_must_be_there(init: Callable[..., Any], arguments: list[str]) -> None:
    torch.save(Words(), "m.pt")
    assert init(*arguments, code=1)["error"]["message"].startswith("There is no no.")
    assert [path.name for path in Path.cwd().iterdir()] == ["m.pt"]


def test_a_source_must_lie_in_the_folder(init: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(Words(), "m.pt")
    (tmp_path / "net.py").write_text("")
    told = init("--from", "m.pt", "--also", str(tmp_path / "net.py"), code=1)
    assert "Copy it here" in told["error"]["advice"]


@pytest.mark.parametrize("config", ["config.yml", "deploy/sagemaker/config.yml"])
def test_a_project_is_left_alone(init: Callable[..., Any], config: str) -> None:
    Path(config).parent.mkdir(parents=True, exist_ok=True)
    Path(config).write_text("mine")
    torch.save(Words().state_dict(), "m.pt")
    told = init(code=1)
    assert told["error"]["message"] == f"{config} is there already: this folder is a project"
    assert not Path("serve.py").exists()


def test_if_one_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    torch.save(Words().state_dict(), tmp_path / "m.pt")
    made = draft(tmp_path, "name")
    (tmp_path / "requirements.txt").write_text("came meanwhile")
    with pytest.raises(FileExistsError):
        write(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pt", "requirements.txt"]


@pytest.mark.parametrize("name", ["2024", "true", "a-b"])
def test_a_name_is_text_in_the_configuration(tmp_path: Path, name: str) -> None:
    torch.save(Words().state_dict(), tmp_path / "m.pt")
    write(draft(tmp_path, name))
    assert load(start=tmp_path).model_name == name


@pytest.mark.parametrize("name", ["a b.pt", "é.pt", "1.pt", "a:b, c.pt", "#.pt", '"q".pt'])
def test_any_file_name_is_text_in_the_configuration(tmp_path: Path, name: str) -> None:
    torch.save(Words(), tmp_path / name)
    write(draft(tmp_path, "name"))
    assert load(start=tmp_path).artifacts == (tmp_path / name,)
    compile((tmp_path / "serve.py").read_text(), "serve.py", "exec")


@pytest.mark.parametrize("new_format", [True, False])
def test_no_name_in_a_file_becomes_code(tmp_path: Path, new_format: bool) -> None:
    evil = 'a\n\u2028\x0c\nraise SystemExit(\'sprung\')\n""".weight'
    value = {f'key"]\n{evil}': {evil: torch.zeros(1), "a.b": torch.zeros(2)}}
    torch.save(value, tmp_path / 'm"q.pt', _use_new_zipfile_serialization=new_format)
    write(draft(tmp_path, "name"))
    tree = ast.parse((tmp_path / "serve.py").read_text())
    assert {type(node).__name__ for node in tree.body} == {"Expr", "Import", "ImportFrom", "FunctionDef"}
    assert "SystemExit" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_no_name_of_a_class_becomes_code(file: Path) -> None:
    torch.save(Words(), file, _use_new_zipfile_serialization=False)
    name = f"{__name__}\nWords".encode()
    assert name in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(name, f"{__name__}\nWo;ds".encode()))
    with pytest.raises(ProjectError, match="is no name"):
        recognise(file)
