"""What handlers were seen to import, and zygotes that have imported it before."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hotfire.instances.base import Request, Spec
from hotfire.instances.holders import NoCensus
from hotfire.instances.preloads import Preloads
from hotfire.instances.process import ProcessHost, ProcessInstance
from hotfire.instances.zygotes import ZygoteKey, Zygotes

HANDLER = """\
import sys
had = "jsonschema" in sys.modules
import jsonschema

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return str(had)
"""
STARTS_A_THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


def test_modules_are_imported_in_the_order_in_which_the_handler_did(tmp_path: Path) -> None:
    preloads = Preloads(tmp_path / "imports.json")
    assert preloads.learn("p", ["b", "a"]) is True
    assert preloads.learn("p", ["a", "c"]) is True
    assert preloads.learn("p", ["c"]) is False
    assert preloads.of("p") == ("b", "a", "c")


def test_what_is_learned_outlives_the_region(tmp_path: Path) -> None:
    Preloads(tmp_path / "imports.json").learn("p", ["a"])
    assert Preloads(tmp_path / "imports.json").of("p") == ("a",)


def test_what_is_left_out_stays_out(tmp_path: Path) -> None:
    preloads = Preloads(tmp_path / "imports.json")
    preloads.learn("p", ["a", "b"])
    preloads.leave_out(["a"], "it starts a thread")
    preloads.learn("p", ["a"])
    assert Preloads(tmp_path / "imports.json").of("p") == ("b",)


@pytest.mark.parametrize("text", ["", "[]", '{"p": 1}', '{"p": {"modules": 1, "left_out": {}}}'])
def test_a_file_that_is_not_understood_costs_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "imports.json").write_text(text)
    assert Preloads(tmp_path / "imports.json").of("p") == ()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def preloads() -> Preloads:
    return Preloads()


@pytest.fixture
async def zygotes(preloads: Preloads, tmp_path: Path) -> AsyncIterator[Zygotes]:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "starts_a_thread.py").write_text(STARTS_A_THREAD)
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(modules)}
    zygotes = Zygotes(variables, NoCensus(), preloads)
    yield zygotes
    zygotes.close()


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    handler = tmp_path / "tree" / "code" / "serve.py"
    handler.parent.mkdir(parents=True)
    (tmp_path / "tree" / "model.pt").touch()
    handler.write_text(HANDLER)
    environment = {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    return Spec("i", tmp_path / "tree", environment, Path(sys.executable), 60.0, project="p")


async def served(host: ProcessHost, spec: Spec, printed: list[str]) -> str:
    instance: ProcessInstance = host.instance(spec, lambda _, line: printed.append(line))
    try:
        await instance.start()
        answer = await instance.invoke(Request("r", {"Content-Type": "text/csv"}, b""))
        return answer.body.decode()
    finally:
        await instance.stop()


@pytest.mark.anyio
async def test_the_next_load_finds_what_the_first_has_imported(
    zygotes: Zygotes, preloads: Preloads, spec: Spec, tmp_path: Path
) -> None:
    host = ProcessHost(zygotes, tmp_path / "instances")
    assert await served(host, spec, []) == "False"
    assert "jsonschema" in preloads.of("p")
    assert not any(name.startswith(("serve", "inference")) for name in preloads.of("p"))
    await (await zygotes.learned(ZygoteKey.of(spec.python, {}), "p")).ready()
    full = await zygotes.get(ZygoteKey(spec.python, (), preloads.of("p")))
    await full.ready()
    assert await served(host, spec, []) == "True"


@pytest.mark.anyio
async def test_who_learns_nothing_imports_for_itself(
    zygotes: Zygotes, preloads: Preloads, spec: Spec, tmp_path: Path
) -> None:
    plain = Spec("i", spec.model_dir, spec.environment, spec.python, 60.0)
    await served(ProcessHost(zygotes, tmp_path / "instances"), plain, [])
    assert preloads.of("") == ()


@pytest.mark.anyio
async def test_a_module_that_starts_a_thread_is_left_out_and_said(
    zygotes: Zygotes, preloads: Preloads, spec: Spec, tmp_path: Path
) -> None:
    preloads.learn("p", ["starts_a_thread"])
    printed: list[str] = []
    await served(ProcessHost(zygotes, tmp_path / "instances"), spec, printed)
    assert "hotfire: starts_a_thread cannot be preloaded: it starts a thread" in printed
    assert "starts_a_thread" not in preloads.of("p")


@pytest.mark.anyio
async def test_what_a_child_did_not_come_up_after_is_left_out(zygotes: Zygotes, preloads: Preloads) -> None:
    preloads.learn("p", ["json.tool"])
    zygotes.distrust(await zygotes.get(ZygoteKey(Path(sys.executable), (), ("json.tool",))))
    assert preloads.of("p") == ()
