"""Edits to a handler that is loaded."""

import importlib
import inspect
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from hotfire_worker import edits

BEFORE = """\
    import functools

    def kept(function):
        @functools.wraps(function)
        def inner(*given):
            return function(*given)
        return inner

    class Model:
        @property
        def name(self):
            raise ValueError("name")

        @staticmethod
        def size():
            raise ValueError("size")

    @kept
    def wrapped():
        raise ValueError("wrapped")

    def clean(text, case="lower"):
        return text.lower()

    def fail():
        raise ValueError("fail")

    def gone():
        return 1
    """

Load = Callable[..., ModuleType]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A handler's folder on the module path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def load(code: Path, name: str, source: str) -> ModuleType:
    (code / f"{name}.py").write_text(textwrap.dedent(source))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def edit(code: Path, name: str, source: str, names: list[str], removed: list[str] | None = None) -> None:
    text = textwrap.dedent(source)
    (code / f"{name}.py").write_text(text)
    given = {"file": str(code / f"{name}.py"), "source": text, "names": names, "removed": removed or []}
    edits.apply([given])


def line_of_failure(call: Callable[[], Any]) -> int | None:
    try:
        call()
    except ValueError as error:
        return traceback.extract_tb(error.__traceback__)[-1].lineno
    raise AssertionError("it did not fail")


def test_a_function_keeps_its_identity_for_who_imported_it(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    user = load(code, "edited_user", "from edited_text import clean\n")
    edit(code, "edited_text", BEFORE.replace("text.lower()", "text.upper()"), ["clean"])
    assert user.clean("a") == "A"
    assert user.clean is text.clean


def test_defaults_are_those_of_the_new_source(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    edit(code, "edited_text", BEFORE.replace('case="lower"', 'case="upper", *, strip=True'), ["clean"])
    assert str(inspect.signature(text.clean)) == "(text, case='upper', *, strip=True)"


def test_a_new_function_is_there_for_the_changed_ones(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    after = (
        BEFORE.replace("text.lower()", "shout(text)") + "\n    def shout(text):\n        return text + '!'\n"
    )
    edit(code, "edited_text", after, ["clean", "shout"])
    assert text.clean("a") == "a!"


def test_a_removed_function_is_gone(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    edit(code, "edited_text", BEFORE.replace("def gone():\n        return 1", ""), [], ["gone"])
    assert not hasattr(text, "gone")


@pytest.mark.parametrize(
    "call",
    [
        lambda text: text.fail(),
        lambda text: text.wrapped(),
        lambda text: text.Model().name,
        lambda text: text.Model.size(),
    ],
    ids=["function", "wrapped", "property", "static method"],
)
def test_what_did_not_change_knows_its_new_line(code: Path, call: Callable[[ModuleType], Any]) -> None:
    text = load(code, "edited_text", BEFORE)
    before = line_of_failure(lambda: call(text))
    edit(code, "edited_text", "    # one\n    # two\n" + BEFORE, [])
    assert line_of_failure(lambda: call(text)) == (before or 0) + 2


def test_a_changed_function_knows_its_line(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    after = BEFORE.replace('raise ValueError("fail")', 'x = 1\n        raise ValueError("fail")')
    edit(code, "edited_text", after, ["fail"])
    line = line_of_failure(text.fail) or 0
    assert (code / "edited_text.py").read_text().splitlines()[line - 1].strip() == 'raise ValueError("fail")'


def test_the_last_of_several_edits_counts(code: Path) -> None:
    text = load(code, "edited_text", BEFORE)
    edit(code, "edited_text", BEFORE.replace("text.lower()", "text.upper()"), ["clean"])
    edit(code, "edited_text", BEFORE.replace("text.lower()", "text * 2"), ["clean"])
    assert text.clean("a") == "aa"


def test_postponed_annotations_stay_postponed(code: Path) -> None:
    source = "from __future__ import annotations\n\ndef clean(text: Absent) -> Absent:\n    return text\n"
    text = load(code, "edited_later", source)
    edit(code, "edited_later", source.replace("return text", "return text * 2"), ["clean"])
    assert text.clean("a") == "aa"


def test_a_module_that_nobody_imported_is_read_later(code: Path) -> None:
    edit(code, "edited_unread", "def clean(text):\n    return 2\n", ["clean"])
    assert "edited_unread" not in sys.modules
    assert load(code, "edited_unread", "def clean(text):\n    return 3\n").clean("") == 3


def test_what_a_decorator_has_wrapped_is_made_anew_within(code: Path) -> None:
    source = (
        "import torch\n\n@torch.no_grad()\ndef predict(x, more=1):\n    return x * more, x.requires_grad\n"
    )
    text = load(code, "edited_wrapped", source)
    user = load(code, "edited_wrapper", "from edited_wrapped import predict\n")
    edit(
        code,
        "edited_wrapped",
        source.replace("x * more", "x + more").replace("more=1", "more=2"),
        ["predict"],
    )
    assert user.predict is text.predict
    assert user.predict(torch.ones(1, requires_grad=True))[0].tolist() == [3.0]
    assert not user.predict(torch.ones(1, requires_grad=True))[0].requires_grad
