"""Failures that happen for real in small projects, and what is told of each to whoever works on them."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hotfire import examples
from hotfire.errors import LoadFailed
from hotfire.failure import DOUBTS, Failure, Part, Sent, doubts, lines, sent_text
from hotfire.instances.base import Answer, Request, Spec
from hotfire.instances.holders import NoCensus
from hotfire.instances.process import ProcessHost
from hotfire.instances.zygotes import Zygotes

pytestmark = pytest.mark.anyio

MARK = "# here"
HEAD = """\
import json, os, signal, sys, time
import numpy, torch

"""
LOADS = """
def model_fn(model_dir):
    return torch.nn.Linear(2, 1).eval()
"""
PARTS = {
    "model_fn": LOADS,
    "input_fn": "\ndef input_fn(body, content_type):\n    return json.loads(body)\n",
    "predict_fn": "\ndef predict_fn(data, model):\n    return data\n",
    "output_fn": "\ndef output_fn(prediction, accept):\n    return json.dumps(prediction)\n",
}


def handler(*without: str, **parts: str) -> str:
    """A handler that answers with what it is asked, but for the functions that are given or left out."""
    given = {**PARTS, **{name: textwrap.dedent(part) for name, part in parts.items()}}
    return HEAD + "\n".join(text for name, text in given.items() if name not in without)


def defaults(**parts: str) -> str:
    """A handler whose functions are the toolkit's own, but for those given and the loading."""
    return HEAD + "\n".join([LOADS, *(textwrap.dedent(part) for part in parts.values())])


def nothing(tree: Path) -> None:
    """There is no more to the model data."""


def torchscript(tree: Path) -> None:
    import torch

    traced: Any = torch.jit.trace  # which has no types
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        traced(torch.nn.Linear(2, 1).eval(), torch.zeros(1, 2)).save(str(tree / "model.pt"))


def state_dict(tree: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(3, 1).state_dict(), tree / "model.pt")


def of_a_newer_torch(tree: Path) -> None:
    """A TorchScript file that says that it is of a version which no torch knows yet."""
    torchscript(tree)
    old = tree / "old.zip"
    (tree / "model.pt").rename(old)
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(tree / "model.pt", "w") as target:
        for member in source.infolist():
            content = source.read(member)
            name = member.filename
            target.writestr(name, b"999\n" if name.endswith(("/version", "/.format_version")) else content)
    old.unlink()


def of_a_notebook(tree: Path) -> None:
    """A model that was pickled with its class, which was defined where the notebook ran."""
    import torch

    main = sys.modules["__main__"]
    net = type("Net", (), {"__module__": "__main__", "__qualname__": "Net"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "Net", net, raising=False)
        torch.save(net(), tree / "model.pt")


@dataclass(frozen=True)
class Case:
    """A handler, the model data beside it, the request, and what must be told.

    The line that is shown is the one that is marked, none if no line of the user's is to blame.
    """

    source: str
    function: str
    error: str
    advice: str
    body: bytes = b"[1, 2]"
    content_type: str = "application/json"
    accept: str = "application/json"
    data: Callable[[Path], None] = nothing
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> int | None:
        found = [number for number, line in enumerate(self.source.splitlines(), 1) if MARK in line]
        return found[0] if found else None


LOADING = {
    "no TorchScript file": Case(
        handler("model_fn"), "default_model_fn", "Exactly one .pth or .pt file", "write `def model_fn"
    ),
    "weights that are no TorchScript": Case(
        handler("model_fn"),
        "default_model_fn",
        "saved using torchscript",
        "torch.jit.script",
        data=state_dict,
    ),
    "keys of a state_dict": Case(
        handler(
            model_fn="""
            def model_fn(model_dir):
                model = torch.nn.Linear(2, 1)
                model.load_state_dict(torch.load(os.path.join(model_dir, "model.pt")))  # here
                return model
            """
        ),
        "model_fn",
        "size mismatch for weight",
        "another shape",
        data=state_dict,
    ),
    "a file of the working folder": Case(
        handler(
            model_fn="""
            def model_fn(model_dir):
                return open("weights/labels.txt").read()  # here
            """
        ),
        "model_fn",
        "No such file or directory: 'weights/labels.txt'",
        "os.path.join(model_dir, 'weights/labels.txt')",
    ),
    "a module that is not required": Case(
        handler().replace(HEAD, f"{HEAD}import sklearn_of_mine  {MARK}\n"),
        "",
        "No module named 'sklearn_of_mine'",
        "requirements.txt",
    ),
    "a mistake in the source": Case(
        handler(input_fn=f"\ndef input_fn(body, content_type)  {MARK}\n    return body\n"),
        "",
        "SyntaxError: expected ':'",
        "",
    ),
    "parameters of model_fn": Case(
        handler(model_fn="\ndef model_fn():\n    return None\n"),
        "model_fn",
        "model_fn takes 0 arguments but 1 were given",
        "def model_fn(model_dir):",
    ),
    "a class of a notebook": Case(
        handler(
            model_fn="""
            def model_fn(model_dir):
                return torch.load(model_dir + "/model.pt", weights_only=False)  # here
            """
        ),
        "model_fn",
        "Can't get attribute 'Net'",
        "the class Net of the training script",
        data=of_a_notebook,
    ),
    "a class of a notebook, loaded safely": Case(
        handler(
            model_fn="""
            def model_fn(model_dir):
                return torch.load(model_dir + "/model.pt")  # here
            """
        ),
        "model_fn",
        "Weights only load failed",
        "the class Net of the training script",
        data=of_a_notebook,
    ),
    "weights of a newer torch": Case(
        handler("model_fn"), "default_model_fn", "", "a newer torch", data=of_a_newer_torch
    ),
}

ASKED = {
    "strings for the default input_fn": Case(
        defaults(), "default_input_fn", "numpy.str_", "def input_fn(body, content_type)", body=b'["text"]'
    ),
    "lists of several lengths for the default input_fn": Case(
        defaults(), "default_input_fn", "inhomogeneous", "def input_fn", body=b"[[1], [1, 2]]"
    ),
    "a content type that is not supported": Case(
        defaults(), "default_input_fn", "text/plain is not supported", "reads JSON", content_type="text/plain"
    ),
    "a content type with a charset": Case(
        defaults(),
        "default_input_fn",
        "charset=utf-8 is not supported",
        "send `application/json` alone",
        content_type="application/json; charset=utf-8",
    ),
    "a content type with a charset for a handler of one's own": Case(
        handler(
            input_fn="""
            def input_fn(body, content_type):
                if content_type != "application/json":
                    raise ValueError(f"unsupported content type: {content_type}")  # here
            """
        ),
        "input_fn",
        "unsupported content type",
        "content_type.split(';')[0]",
        content_type="application/json; charset=utf-8",
    ),
    "an accept that is not supported": Case(
        defaults(),
        "default_output_fn",
        "image/png is not supported",
        "ask for `application/json`",
        accept="image/png",
    ),
    "malformed JSON": Case(
        handler(
            input_fn="""
            def input_fn(body, content_type):
                return json.loads(body)  # here
            """
        ),
        "input_fn",
        "JSONDecodeError: Expecting property name",
        "not JSON at line 1, column 2",
        body=b"{'inputs': 1}",
    ),
    "malformed JSON for the default input_fn": Case(
        defaults(), "default_input_fn", "JSONDecodeError", "not JSON at line 1", body=b"text"
    ),
    "a file of the working folder": Case(
        handler(
            predict_fn="""
            def predict_fn(data, model):
                return open("labels.txt").read()  # here
            """
        ),
        "predict_fn",
        "labels.txt",
        "os.path.join(model_dir, 'labels.txt')",
    ),
    "a tensor on another device": Case(
        handler(
            predict_fn="""
            def predict_fn(data, model):
                return model(torch.tensor([data], dtype=torch.float, device="meta"))  # here
            """
        ),
        "predict_fn",
        "device",
        "different devices",
    ),
    "gradients in the way of numpy": Case(
        handler(
            predict_fn="""
            def predict_fn(data, model):
                return model(torch.zeros(1, 2)).numpy()  # here
            """
        ),
        "predict_fn",
        "requires grad",
        "inference_mode",
    ),
    "parameters of predict_fn": Case(
        handler(predict_fn="\ndef predict_fn(data):\n    return data\n"),
        "predict_fn",
        "predict_fn takes 1 arguments but 2 were given",
        "def predict_fn(data, model):",
    ),
    **{
        f"{kind} in an answer": Case(
            handler(
                output_fn=f"""
                def output_fn(prediction, accept):
                    answer = {{"scores": {value}}}
                    return json.dumps(answer)  # here
                """
            ),
            "output_fn",
            f"Object of type {kind} is not JSON serializable",
            word,
        )
        for kind, value, word in [
            ("Tensor", "torch.ones(2)", "tolist()"),
            ("ndarray", "numpy.ones(2)", "tolist()"),
            ("float32", "numpy.float32(1)", ".item()"),
            ("set", "{1}", "into a list"),
        ]
    },
    "an array as the answer": Case(
        handler(output_fn="\ndef output_fn(prediction, accept):\n    return numpy.ones((2, 3))\n"),
        "",
        "Object of type ndarray is not JSON serializable",
        "tolist()",
    ),
    "a request that is too large": Case(
        handler(), "", "request of 6553501 bytes", "6 MB", body=b"0" * 6_553_501
    ),
    "an answer that is too large": Case(
        handler(output_fn="\ndef output_fn(prediction, accept):\n    return b'x' * 6_553_501\n"),
        "",
        "answer of 6553501 bytes",
        "6 MB",
    ),
    "over the time-out": Case(
        handler(predict_fn="\ndef predict_fn(data, model):\n    signal.pause()\n"),
        "",
        "no answer within 1 s",
        "faster than 1 s",
        variables={"TS_DEFAULT_RESPONSE_TIMEOUT": "1"},
    ),
    "out of memory in torch": Case(
        handler(
            predict_fn="""
            def predict_fn(data, model):
                return torch.empty(1 << 58)  # here
            """
        ),
        "predict_fn",
        "",
        "not enough memory",
    ),
    "out of memory in Python": Case(
        handler(
            predict_fn="""
            def predict_fn(data, model):
                return bytearray(1 << 60)  # here
            """
        ),
        "predict_fn",
        "MemoryError",
        "not enough memory",
    ),
    "killed": Case(
        handler(predict_fn="\ndef predict_fn(data, model):\n    os.kill(os.getpid(), signal.SIGKILL)\n"),
        "",
        "killed by signal 9 (SIGKILL)",
        "memory",
    ),
    "crashed": Case(
        handler(predict_fn="\ndef predict_fn(data, model):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"),
        "",
        "killed by signal 11 (SIGSEGV)",
        "compiled code",
    ),
    "ended by itself": Case(
        handler(predict_fn="\ndef predict_fn(data, model):\n    os._exit(3)\n"),
        "",
        "ended with exit code 3",
        "raise an exception",
    ),
}


class Project:
    """A tree of model data, served by processes of its own."""

    def __init__(self, host: ProcessHost, tree: Path) -> None:
        self._host, self._tree = host, tree

    @asynccontextmanager
    async def served(self, source: str, **variables: str) -> AsyncIterator[Any]:
        (self._tree / "code" / "serve.py").write_text(source)
        environment = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1", **variables}
        spec = Spec("e", self._tree, environment, Path(sys.executable), 60.0)
        instance = self._host.instance(spec, lambda request, line: None)
        try:
            await instance.start()
            yield instance
        finally:
            await instance.stop()

    async def asked(self, case: Case, *, examined: bool = True) -> Answer:
        headers = {"Content-Type": case.content_type, "Accept": case.accept}
        async with self.served(case.source, **case.variables) as instance:
            answer: Answer = await instance.invoke(Request("r", headers, case.body, examined=examined))
        return answer

    def told(self, found: Any, case: Case | None = None) -> Failure:
        """The failure, as it is told with the files of the user's."""
        sent = Sent(case.content_type, case.accept, case.body[:400], len(case.body), "one") if case else None
        return Failure.read(found, {"code/serve.py": self.handler}, sent)

    @property
    def handler(self) -> Path:
        """The user's own file."""
        return Path("/home/me/project/serve.py")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProcessHost]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    host = ProcessHost(Zygotes(environment, NoCensus()), tmp_path_factory.mktemp("instances"))
    yield host
    await host.close()


@pytest.fixture
def project(host: ProcessHost, tmp_path: Path) -> Project:
    (tmp_path / "tree" / "code").mkdir(parents=True)
    (tmp_path / "tree" / "labels").touch()
    return Project(host, tmp_path / "tree")


def judge(failure: Failure, case: Case, handler: Path) -> None:
    assert failure.function == case.function
    text = "\n".join(f"{kind}: {message}" for kind, message in failure.errors)
    assert case.error in text
    assert case.advice in (failure.advice or "")
    if case.line is not None:
        assert failure.focus is not None
        assert (failure.focus.file, failure.focus.line) == (handler, case.line)
        assert any(part is Part.LINE and MARK in line for part, line in lines(failure, handler.parent, 120))
    assert [line for _, line in lines(failure, handler.parent, 74) if len(line) > 74] == []


@pytest.mark.parametrize("name", LOADING)
async def test_a_load_that_fails_is_told(project: Project, tmp_path: Path, name: str) -> None:
    case = LOADING[name]
    case.data(tmp_path / "tree")
    with pytest.raises(LoadFailed) as raised:
        await project.asked(case)
    judge(project.told(raised.value.findings), case, project.handler)


@pytest.mark.parametrize("name", ASKED)
async def test_a_request_that_fails_is_told(project: Project, name: str) -> None:
    case = ASKED[name]
    answer = await project.asked(case)
    assert answer.status >= 400
    assert answer.findings is not None
    judge(project.told(answer.findings["failure"], case), case, project.handler)


async def test_a_load_that_kills_its_process_is_told(project: Project) -> None:
    source = handler(model_fn="\ndef model_fn(model_dir):\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(LoadFailed) as raised:
        await project.asked(Case(source, "", "", ""))
    assert "memory" in (Failure.of(raised.value.message).advice or "")


async def test_names_in_a_comprehension_are_told(project: Project) -> None:
    source = handler(
        predict_fn="\ndef predict_fn(data, model):\n    return [1 / (one - 1) for one in data]\n"
    )
    answer = await project.asked(Case(source, "", "", ""))
    values = project.told((answer.findings or {})["failure"]).values or {}
    assert values["one"] == "1"
    assert all(name.isidentifier() for name in values)


async def test_objects_that_cannot_be_looked_at_do_no_harm(project: Project) -> None:
    source = handler(
        predict_fn="""
        class Vicious(dict):
            def __repr__(self):
                raise RuntimeError

            __getattribute__ = values = items = __len__ = __iter__ = __repr__

        def predict_fn(data, model):
            vicious, plain = Vicious(), 1
            raise ValueError(plain)
        """
    )
    answer = await project.asked(Case(source, "", "", ""))
    assert (project.told((answer.findings or {})["failure"]).values or {})["plain"] == "1"


async def test_a_client_is_answered_the_same_whether_or_not_somebody_looks_on(project: Project) -> None:
    case = ASKED["malformed JSON"]
    looked_on, alone = await project.asked(case), await project.asked(case, examined=False)
    assert (looked_on.status, looked_on.headers) == (alone.status, alone.headers)
    instances = re.compile(rb"/instances\S*/\d+/")
    assert instances.sub(b"", looked_on.body) == instances.sub(b"", alone.body)
    assert alone.findings is None


async def test_no_frame_of_ours_is_in_a_traceback(project: Project) -> None:
    answer = await project.asked(ASKED["malformed JSON"])
    assert b"hotfire_worker" not in answer.body
    failure = project.told((answer.findings or {})["failure"])
    assert not any("hotfire" in str(frame.file) for frame in failure.frames)


async def test_what_names_stand_for_is_told_of_the_users_line(project: Project) -> None:
    source = handler(
        predict_fn="""
        def predict_fn(data, model):
            hidden = torch.zeros(2, 3)
            scores = numpy.ones((4, 5), dtype="float32")
            text = "a long text " * 1000
            password = "hunter2"
            settings = {"api_key": "abcdef", "size": 3}
            link = "https://me:hunter2@example.com/"
            return hidden @ scores
        """
    )
    answer = await project.asked(Case(source, "", "", ""))
    values = project.told((answer.findings or {})["failure"]).values or {}
    assert values["hidden"] == "Tensor float32 [2, 3] [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]"
    assert values["scores"] == "ndarray float32 [4, 5]"
    assert values["text"].endswith("(12,000 characters)")
    assert values["model"] == "Linear of 3 parameters, in evaluation mode"
    assert values["password"] == "•••"
    assert values["settings"] == "{'api_key': •••, 'size': 3}"
    assert "hunter2" not in values["link"]
    assert list(values)[:2] == ["hidden", "scores"]  # those of the line come first


async def test_a_secret_in_the_source_is_not_shown(project: Project) -> None:
    source = handler(
        predict_fn="""
        def predict_fn(data, model):
            api_key = "abcdef"
            raise ValueError("Bearer abcdefghijkl")
        """
    )
    answer = await project.asked(Case(source, "", "", ""))
    shown = "\n".join(line for _, line in lines(project.told((answer.findings or {})["failure"]), Path("/")))
    assert "abcdef" not in shown


async def test_a_failure_in_a_library_is_told_by_the_users_line(project: Project, tmp_path: Path) -> None:
    (tmp_path / "tree" / "code" / "nets.py").write_text(
        "import torch\n\nclass Net(torch.nn.Module):\n    def forward(self, data):\n"
        "        return torch.nn.functional.linear(data, torch.ones(5, 7))\n"
    )
    source = handler(
        model_fn="\ndef model_fn(model_dir):\n    from nets import Net\n    return Net().eval()\n",
        predict_fn="\ndef predict_fn(data, model):\n    return model(torch.ones(1, 2))\n",
    )
    answer = await project.asked(Case(source, "", "", ""))
    failure = project.told((answer.findings or {})["failure"])
    assert failure.function == "predict_fn"
    assert [(frame.file.name, frame.function) for frame in failure.frames if frame.own] == [
        ("serve.py", "predict_fn"),
        ("nets.py", "forward"),
    ]
    assert failure.focus is not None
    assert failure.focus.line == 5


DOUBTED = {
    "a model in training mode": (
        handler(model_fn="\ndef model_fn(model_dir):\n    return torch.nn.Dropout()\n"),
        ["training"],
    ),
    "a model in training mode, in an object": (
        handler(
            model_fn="""
            class Classifier:
                def __init__(self):
                    self.net = torch.nn.Dropout()

            def model_fn(model_dir):
                return Classifier()
            """
        ),
        ["training"],
    ),
    "gradients": (
        handler(
            predict_fn="\ndef predict_fn(data, model):\n    return {'scores': model(torch.ones(1, 2))}\n",
            output_fn="\ndef output_fn(prediction, accept):\n    return '1'\n",
        ),
        ["gradients"],
    ),
    "NaN": (
        handler(predict_fn="\ndef predict_fn(data, model):\n    return [float('nan')]\n"),
        ["not-json"],
    ),
    "an answer over SageMaker's limit": (
        handler(output_fn="\ndef output_fn(prediction, accept):\n    return '1' * 6_291_457\n"),
        ["large-answer"],
    ),
    "nothing": (
        handler(
            predict_fn="""
            def predict_fn(data, model):
                with torch.inference_mode():
                    return model(torch.ones(1, 2)).tolist() + ["NaN"]
            """
        ),
        [],
    ),
    "the default functions, which do all that": (
        HEAD + "def model_fn(model_dir):\n    return torch.nn.Sequential(torch.nn.Linear(2, 1))\n",
        [],
    ),
}


@pytest.mark.parametrize("name", DOUBTED)
async def test_what_may_be_wrong_with_an_answer_is_told(project: Project, name: str) -> None:
    source, expected = DOUBTED[name]
    answer = await project.asked(Case(source, "", "", ""))
    assert answer.status == 200, answer.body
    given = examples.Answer(answer.status, answer.headers.get("content-type", ""), answer.body)
    assert list(doubts(answer.findings, given)) == expected
    assert set(expected) <= set(DOUBTS)


def test_a_request_over_the_limit_of_sagemaker_is_doubted() -> None:
    given = examples.Answer(200, "application/json", b"1")
    assert doubts(None, given, 6_291_457) == ("large-request",)


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ("caf\u00e9".encode()[:-1], "caf"),
        (b"\x93NUMPY\xff", r"b'\x93NUMPY\xff'"),
        (b'{"a":\n 1}', '{"a": 1}'),
    ],
)
def test_a_request_is_told_by_how_it_begins(start: bytes, shown: str) -> None:
    sent = Sent("text/csv", "", start, 2000)
    assert sent_text(sent) == f"text/csv · 2,000 bytes · {shown}"


def test_what_was_printed_of_the_reason_goes_before_what_is_known() -> None:
    failure = Failure.of("no answer within 60 s")
    told = failure.because("ModuleNotFoundError: No module named 'nosuchthing'")
    assert told.headline == "ModuleNotFoundError: No module named 'nosuchthing'"
    assert (told.advice or "").startswith("Add the line `nosuchthing`")
    assert failure.because("") == failure
