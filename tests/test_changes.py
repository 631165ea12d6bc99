"""Which edits keep the model: each rule with an edit that keeps it, and one beside it that does not."""

import time
from pathlib import Path

import pytest

from hotfire.changes import Decision, Patch, decide

CLEAN = '''\
"""Texts."""
import re

PATTERN = re.compile(r"\\s+")


def normalise(text):
    """One space between words."""
    return PATTERN.sub(" ", text)


def stem(word, least=3):
    return word[:least]


def tokens(text):
    return [stem(word) for word in normalise(text).split()]
'''

SERVE = '''\
"""Serve."""
import json

from net import Net
from textkit.clean import normalise, tokens

MAX_LENGTH = 10
LABELS = ("a", "b")


def build(model_dir):
    return Net(MAX_LENGTH)


def model_fn(model_dir):
    """Load."""
    return build(model_dir)


def input_fn(body, content_type):
    return [cut(text) for text in json.loads(body)]


def cut(text, most=5):
    return text[:most]


def predict_fn(data, model):
    return [(LABELS[model.rank(one)], tokens(one)) for one in data]


def output_fn(prediction, accept):
    return json.dumps(prediction)
'''

NET = '''\
class Net:
    """A net."""

    def __init__(self, size):
        self.size = size

    def rank(self, text):
        return measure(text) % 2


def measure(text):
    return len(text)
'''

TRAIN = """\
from net import Net

EPOCHS = 3


def main():
    Net(EPOCHS)
"""

PROJECT = {
    "serve.py": SERVE,
    "net.py": NET,
    "textkit/__init__.py": "",
    "textkit/clean.py": CLEAN,
    "train.py": TRAIN,
}


def edited(place: str, *changes: tuple[str, str], of: dict[str, str] = PROJECT) -> dict[str, str]:
    """The project with texts of one module replaced."""
    text = of[place]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return {**of, place: text}


def decided(place: str, old: str, new: str) -> Decision:
    return decide(PROJECT, edited(place, (old, new)), "serve.py")


def of_serve(before: str, after: str, **more: str) -> Decision:
    """The decision on two handlers, beside modules that stay."""
    rest = {name.replace("__", "/") + ".py": text for name, text in more.items()}
    return decide({**rest, "serve.py": before}, {**rest, "serve.py": after}, "serve.py")


def head(text: str) -> str:
    return text.removeprefix("full reload: ").removeprefix("kept the model: ")


def test_nothing_to_do_where_nothing_changed() -> None:
    assert decide(PROJECT, dict(PROJECT), "serve.py") == Decision(
        True, "kept the model: nothing that runs changed", ()
    )


def test_a_request_function_is_made_anew() -> None:
    assert decided("serve.py", "json.dumps(prediction)", "json.dumps([prediction])") == Decision(
        True, "kept the model: only output_fn changed", (Patch("serve.py", ("output_fn",)),)
    )


def test_several_modules_are_patched_each_by_its_place() -> None:
    after = edited("textkit/clean.py", ("word[:least]", "word[1:least]"))
    after = edited("serve.py", ("text[:most]", "text[1:most]"), ("data]", "data[:2]]"), of=after)
    assert decide(PROJECT, after, "serve.py") == Decision(
        True,
        "kept the model: only cut, predict_fn and stem (textkit/clean.py) changed",
        (Patch("serve.py", ("cut", "predict_fn")), Patch("textkit/clean.py", ("stem",))),
    )


def test_what_came_and_what_went_is_said() -> None:
    after = edited(
        "serve.py",
        ("[cut(text) for", "[trim(text) for"),
        ("def cut(text, most=5):", "def trim(text):"),
        ("text[:most]", "text.strip()"),
    )
    assert decide(PROJECT, after, "serve.py") == Decision(
        True,
        "kept the model: only input_fn changed, trim is new, cut is gone",
        (Patch("serve.py", ("input_fn", "trim"), ("cut",)),),
    )


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("serve.py", "def cut", "# A comment.\ndef cut"),
        ("serve.py", '"""Serve."""', '"""Serve texts."""'),
        ("serve.py", '    """Load."""\n', ""),
        ("serve.py", "    return text[:most]", '    """Cut."""\n    return text[:most]'),
        ("serve.py", "MAX_LENGTH = 10", "MAX_LENGTH = (\n    10\n)"),
        ("serve.py", "MAX_LENGTH = 10", 'MAX_LENGTH = 10\n"""The longest."""'),
        ("serve.py", 'LABELS = ("a", "b")', "LABELS = ('a', 'b')"),
        ("net.py", '"""A net."""', '"""A small net."""'),
        ("textkit/clean.py", "\ndef stem(word, least=3):\n    return word[:least]\n\n", ""),
    ],
)
def test_form_is_nothing_that_runs(place: str, old: str, new: str) -> None:
    after = edited(place, (old, new))
    if "stem" in old:  # moved to the end
        after[place] += old
    assert decide(PROJECT, after, "serve.py") == Decision(
        True, "kept the model: nothing that runs changed", ()
    )


@pytest.mark.parametrize(
    ("place", "old", "new", "reason"),
    [
        ("serve.py", "= 10", "= 11", "line 7: the constant MAX_LENGTH changed, which model_fn reads"),
        ("serve.py", '("a", "b")', '("a", "c")', "line 8: the constant LABELS changed"),
        ("serve.py", "import json\n", "import json\nimport re\n", "line 3: the import of re is new"),
        ("serve.py", "import normalise, tokens", "import tokens", "line 5: the import of tokens changed"),
        ("serve.py", "return build(model_dir)", "return build('x')", "line 15: model_fn changed"),
        ("serve.py", "Net(MAX_LENGTH)", "Net(3)", "line 11: build changed, which model_fn reaches"),
        ("serve.py", "MAX_LENGTH = 10\n", "", "the constant MAX_LENGTH is gone, which model_fn reads"),
        ("serve.py", "def cut", "print()\ndef cut", "line 24: a statement outside of functions changed"),
        ("serve.py", "def cut", "@trace\ndef cut", "line 25: cut changed, and it is decorated"),
        ("net.py", "= size", "= 2 * size", "line 1: the class Net changed, which model_fn reaches"),
        ("net.py", "len(text)", "len(text) + 1", "line 11: measure changed, which model_fn reaches"),
        ("serve.py", "def output_fn", "def output", "output_fn is gone, and the inference toolkit"),
        ("serve.py", "def cut", "def transform_fn(): 1\ndef cut", "transform_fn is new, and the inference"),
    ],
)
def test_what_loading_runs_stays_as_it_is(place: str, old: str, new: str, reason: str) -> None:
    decision = decided(place, old, new)
    assert (decision.keep, decision.patches) == (False, ())
    assert decision.reason.startswith(f"full reload: {place}")
    assert reason in decision.reason


def test_the_order_of_what_import_runs_counts() -> None:
    before = "A = 1\nB = 2\n"
    assert of_serve(before, "B = 2\nA = 1\n").reason == (
        "full reload: serve.py: the order of the definitions changed"
    )


MODEL = "def model_fn(d):\n    return 1\n"
ASK = "def predict_fn(data, model):\n    return help_(data)\n"
HELP = "def help_(data):\n    return data\n"
HELP_2 = "def help_(data):\n    return data + 1\n"
PLAIN = MODEL + ASK


@pytest.mark.parametrize(
    ("keeps", "reloads"),
    [
        # Who else uses the function.
        ("", "TABLE = {'help': help_}\n"),
        ("def other(x):\n    return 1\n", "def other(x=help_):\n    return 1\n"),
        ("def use():\n    return help_\n", "def use():\n    return help_\nuse()\n"),
        ("class A:\n    helps = 1\n", "class A:\n    help_ = staticmethod(help_)\n"),
        ("class A:\n    def f(a):\n        a.help_()\n", "class A:\n    def f(a):\n        help_(1)\n"),
        ("if __name__ == '__main__':\n    help_(1)\n", "if __name__ != '__main__':\n    help_(1)\n"),
        ("later = lambda: 1\n", "later = lambda: help_(1)\n"),
        ("import functools\n", "import functools\npart = functools.partial(help_, 1)\n"),
        ("TEXT = 'help_'\n", "TEXT = 'serve.help_'\n"),
        ("__all__ = ['help_']\n", "__all__ = [help_.__name__]\n"),
        ("def warm(d, m):\n    help_(1)\n", "def model_warmup_fn(d, m):\n    help_(1)\n"),
        # Decorators.
        (
            "import torch\n@torch.no_grad()\ndef other(x):\n    return help_(x)\n",
            "import torch\n@torch.jit.script\ndef other(x):\n    return help_(x)\n",
        ),
        (
            "from functools import lru_cache as c\n@c(None)\ndef other(x):\n    return help_(x)\n",
            "from functoolz import lru_cache as c\n@c(None)\ndef other(x):\n    return help_(x)\n",
        ),
        # What names may be bound by.
        ("def f():\n    help_ = 1\n", "def f():\n    global help_\n    help_ = 1\n"),
        ("", "help_ = help_\n"),
        ("", "del help_\n"),
        ("", "def help_(data):\n    return 0\n"),
        ("", "if True:\n    def help_(data):\n        return 0\n"),
        ("", "for help_ in ():\n    pass\n"),
        ("", "try:\n    from fast import help_\nexcept ImportError:\n    pass\n"),
        # Ways that no source shows.
        ("import re\nA = re.compile('a')\n", "A = compile('1', 'f', 'eval')\n"),
        ("def f(m):\n    m.eval()\n", "def f(m):\n    eval(m)\n"),
        ("import importlib.metadata\nV = importlib.metadata.version('x')\n", "import importlib\n"
         "V = importlib.import_module('x')\n"),
        ("import sys\nA = sys.argv\n", "import sys\nsys.path.append('x')\n"),
        ("from sys import argv as a\nA = a\n", "from sys import modules as a\nA = a\n"),
        ("def f():\n    return vars(f)\n", "NAMES = dir()\n"),
        ("def f():\n    return globals\n".replace("globals", "locals"), "def f():\n    return globals()\n"),
        ("import inspect\nA = inspect.signature(len)\n", "import inspect\nA = inspect.getsource(len)\n"),
        ("import os\nA = os.path.dirname(__file__)\n", "A = open(__file__).read()\n"),
        ("from pathlib import Path\nA = Path(__file__).parent\n", "from pathlib import Path\n"
         "A = Path(__file__).read_text()\n"),
        ("def f(x):\n    return x.__name__\n", "def f(x):\n    return x.__globals__\n"),
    ],
)  # fmt: skip
def test_nobody_else_may_have_the_function(keeps: str, reloads: str) -> None:
    for extra, keep in ((keeps, True), (reloads, False)):
        decision = of_serve(HELP + PLAIN + extra, HELP_2 + PLAIN + extra)
        assert (decision.keep, extra) == (keep, extra), decision.reason


def test_an_import_of_all_names_after_a_function_may_replace_it() -> None:
    star = "from math import *\n"
    assert not of_serve(HELP + PLAIN + star, HELP_2 + PLAIN + star).keep
    assert of_serve(star + HELP + PLAIN, star + HELP_2 + PLAIN).keep


@pytest.mark.parametrize(
    ("before", "after", "keep"),
    [
        ("def help_(data): return 1", "def help_(data, more=2): return 1", True),
        ("def help_(data, more=1): return 1", "def help_(data, more=(2, 'x', None)): return 1", True),
        ("def help_(data, *, more=1): return 1", "def help_(data, *, more=[-2]): return 1", True),
        ("def help_(data, more=1): return 1", "def help_(data, more=LIMIT): return 1", False),
        ("def help_(data, more=LIMIT): return 1", "def help_(data, more=LIMIT): return 2", False),
        ("def help_(data): return 1", "def help_(data): yield 1", True),
        ("def help_(data): return 1", "async def help_(data): return 1", True),
        ("def help_(data): return 1", "def help_(data): return (lambda: 1)()", True),
        (
            "def help_(data): return 1",
            "def help_(data):\n    def inner(): return 1\n    return inner()",
            True,
        ),
        ("def help_(data): return 1", "def help_(data):\n    import re\n    return re", True),
        ("def help_(data): return 1", "def help_(data):\n    import other\n    return other", False),
        ("def help_(data): return 1", "def help_(data: int) -> str: return 1", True),
        ("def help_(data): return 1", "def help_(data: 'What') -> list[str]: return 1", True),
        ("def help_(data): return 1", "def help_(data: int | None): return 1", False),
        ("def help_(data): return 1", "def help_(data: What): return 1", False),
        ("def help_(data): return 1", "def help_(data: torch.Tensor): return 1", False),
        ("def help_(data): return 1", "def help_(data): return LIMIT", True),
        ("def help_(data): return 1", "help_ = lambda data: 1", False),
        ("def help_(data): return 1", "class help_: pass", False),
        ("def help_(data): return 1", "if True:\n    def help_(data): return 1", False),
        ("def help_(data): return 1", "def help_(data):\n    global COUNT\n    COUNT = 1", True),
        ("def help_(data): return 1", "def help_(data):\n    global LIMIT\n    LIMIT = 1", False),
    ],
)
def test_what_a_changed_function_may_be(before: str, after: str, keep: bool) -> None:
    rest = "\nLIMIT = 3\nCOUNT = 0\ndef model_fn(d):\n    return LIMIT\n" + ASK
    decision = of_serve(before + rest, after + rest, other="")
    assert decision.keep == keep, decision.reason


def test_a_function_with_type_parameters_is_made_by_more_than_its_code() -> None:
    # Before Python 3.12 it is a syntax error, with which nothing is kept either.
    before = "def help_[T](data: T): return 1\n" + PLAIN
    assert not of_serve(before, before.replace("return 1", "return 2", 1)).keep


@pytest.mark.parametrize(
    ("annotation", "frame", "keep"),
    [
        ("What", "from __future__ import annotations\n", True),
        ("Any", "from typing import Any\n", True),
        ("Sequence[Any]", "from typing import Any\nfrom collections.abc import Sequence\n", True),
        ("Texts", "class Texts: pass\n", True),
        ("Texts[int]", "class Texts: pass\n", False),
        ("torch.Tensor", "import torch\ndef used(x: torch.Tensor): pass\n", True),
        ("torch.Tensor", "import torch\n", False),
        ("Texts", "Texts = list\n", False),
    ],
)
def test_a_new_annotation_must_surely_be_there(annotation: str, frame: str, keep: bool) -> None:
    after = HELP.replace("(data)", f"(data: {annotation})")
    decision = of_serve(frame + HELP + PLAIN, frame + after + PLAIN)
    assert decision.keep == keep, decision.reason


def test_an_annotation_whose_name_is_gone_cannot_be_made_again() -> None:
    frame = "from typing import Any\n" + HELP.replace("(data)", "(data: Any)") + PLAIN
    for end, keep in (("", True), ("del Any\n", False), ("Any = 1\n", False)):
        before = frame + end
        assert of_serve(before, before.replace("return data", "return 1", 1)).keep == keep


def test_an_annotation_is_evaluated_where_it_stands() -> None:
    helper = "def help_(data: Texts):\n    return data\n"
    cls = "class Texts: pass\n"
    assert not of_serve(cls + helper + PLAIN, helper + cls + PLAIN).keep
    assert of_serve(cls + helper + PLAIN, cls + PLAIN + helper).keep


@pytest.mark.parametrize("name", ["predict_fn", "help_"])
def test_only_a_helper_may_become_a_generator(name: str) -> None:
    before = HELP + PLAIN
    after = before.replace(
        "return help_(data)" if name == "predict_fn" else "return data\n",
        "yield help_(data)" if name == "predict_fn" else "yield data\n",
    )
    assert of_serve(before, after).keep == (name == "help_")


@pytest.mark.parametrize(
    ("new", "frame", "reason"),
    [
        ("def more(): pass\n", "", ""),
        ("def len(x): pass\n", "", "len is new, and Python has a function of that name"),
        ("def json(x): pass\n", "import json\n", "json changed, and it is bound more than once"),
        ("def more(): pass\n", "more = 1\n", "more changed, and it is bound more than once"),
        ("def more(): pass\n", "from other import *\n", "an `import *` may bring the name too"),
        ("def more(): pass\n", "try:\n    more\nexcept NameError:\n    pass\n", "an import uses that name"),
        ("def __getattr__(name): pass\n", "", "a name that Python treats as its own"),
        ("@cache\ndef more(): pass\n", "", "more is new, and is decorated"),
        ("def more(a=[1][0]): pass\n", "", "has a default that is computed"),
        ("class More: pass\n", "", "the class More is new"),
        ("more = 1\n", "", "the variable more is new"),
    ],
)
def test_what_may_be_new(new: str, frame: str, reason: str) -> None:
    decision = of_serve(frame + HELP + PLAIN, frame + HELP + PLAIN + new)
    assert decision.keep == (not reason)
    assert reason in decision.reason


def test_a_new_function_must_not_be_looked_for_already() -> None:
    other = "try:\n    from serve import more\nexcept ImportError:\n    more = None\n"
    before = "import other\n" + HELP + PLAIN
    assert "another module imports it" in of_serve(before, before + "def more(): pass\n", other=other).reason
    assert of_serve(before, before + "def mere(): pass\n", other=other).keep


def test_a_module_whose_names_another_imports_all_of_gets_none() -> None:
    before = "import other\n" + HELP + PLAIN
    decision = of_serve(before, before + "def more(): pass\n", other="from serve import *\n")
    assert decision.reason.endswith("more is new, and another module imports all names")
    assert of_serve(before, before.replace(HELP, HELP_2), other="from serve import *\n").keep


def test_a_removed_function_must_not_be_imported() -> None:
    before = "import other\n" + MODEL + "def predict_fn(d, m): return 1\n" + HELP
    after = before.replace(HELP, "")
    assert (
        "help_ is gone, and another module imports it"
        in of_serve(before, after, other="from serve import help_\n").reason
    )
    assert of_serve(before, after, other="").keep


def of_textkit(serve: str, *, change: str = "return 2", clean: str = "", **more: str) -> Decision:
    """The decision on `clean` of textkit/clean.py, beside a handler that uses it somehow."""
    text = clean + "def clean(text):\n    return 1\n\ndef other(text):\n    return 2\n"
    rest = {name.replace("__", "/") + ".py": source for name, source in more.items()}
    before = {"textkit/__init__.py": "", **rest, "serve.py": serve, "textkit/clean.py": text}
    return decide(before, {**before, "textkit/clean.py": text.replace("return 1", change)}, "serve.py")


WAYS = [
    ("from textkit.clean import clean", "clean(1)"),
    ("from textkit.clean import clean as c", "c(1)"),
    ("from textkit.clean import *", "clean(1)"),
    ("import textkit.clean", "textkit.clean.clean(1)"),
    ("import textkit.clean as c", "c.clean(1)"),
    ("from textkit import clean", "clean.clean(1)"),
    ("from textkit import clean as c", "c.clean(1)"),
]


@pytest.mark.parametrize(("line", "call"), WAYS)
def test_a_function_of_another_module_is_followed_however_it_is_imported(line: str, call: str) -> None:
    requests = f"{line}\ndef predict_fn(d, m):\n    return {call}\n"
    loading = f"{line}\ndef model_fn(d):\n    return {call}\n"
    at_import = f"{line}\nX = {call}\n{requests}"
    inside = f"def predict_fn(d, m):\n    {line}\n    return {call}\n".replace("*", "clean")
    assert of_textkit(requests).reason == "kept the model: only clean (textkit/clean.py) changed"
    assert of_textkit(inside).keep
    assert "clean changed, which model_fn reaches" in of_textkit(loading).reason
    assert "clean changed, which is used at import" in of_textkit(at_import).reason


@pytest.mark.parametrize(("function", "keep"), [("predict_fn(d, m)", True), ("model_fn(d)", False)])
def test_relative_imports_and_modules_between_are_followed(function: str, keep: bool) -> None:
    ask = "def output_fn(p, a):\n    return go(p)\n"
    before = {
        "textkit/__init__.py": "from .between import go\n",
        "textkit/between.py": "from . import clean\nfrom .clean import clean as c\ndef go(t): return c(t)\n",
        "textkit/clean.py": "def clean(text):\n    return 1\n",
        "serve.py": f"from textkit import go\ndef {function}:\n    return go(d)\n{ask}",
    }
    after = {**before, "textkit/clean.py": "def clean(text):\n    return 2\n"}
    assert decide(before, after, "serve.py").keep == keep


@pytest.mark.parametrize(
    ("use", "keep"),
    [
        ("kit.other(1)", True),
        ("kit", False),
        ("getattr(kit, 'other')", False),
        ("[kit]", False),
        ("kit.__dict__", False),
        ("vars(kit)", False),
        ("kit.__name__", False),
        ("setattr(kit, 'clean', None)", False),
    ],
)
def test_a_module_as_a_value_may_be_used_for_anything(use: str, keep: bool) -> None:
    ask = "import textkit.clean as kit\ndef predict_fn(d, m):\n    return kit.clean(d)\n"
    decision = of_textkit(f"{ask}def model_fn(d):\n    return {use}\n")
    assert decision.keep == keep, decision.reason
    # Requests come after the function was made anew, so they may do as they like.
    assert of_textkit(f"{ask}def input_fn(b, c):\n    return {use}\n").keep


def test_a_function_that_loading_replaces_is_left_alone() -> None:
    ask = "import textkit.clean as kit\ndef predict_fn(d, m):\n    return kit.clean(d)\n"
    assert not of_textkit(f"{ask}kit.clean = print\n").keep


@pytest.mark.parametrize(
    ("load", "keep"),
    [
        ("torch.load('m', weights_only=True)", True),
        ("torch.load('m')", False),
        ("torch.load('m', weights_only=False)", False),
        ("torch.jit.load('m')", True),
        ("json.load(d)", True),
        ("pickle.load(d)", False),
        ("joblib.load(d)", False),
        ("np.load(d)", True),
        ("np.load(d, allow_pickle=True)", False),
        ("Kit.load(d)", True),
        ("d.load()", False),
    ],
)
def test_what_is_unpickled_may_call_what_cannot_be_seen(load: str, keep: bool) -> None:
    imports = "import torch, json, pickle, joblib\nimport numpy as np\nfrom kit import Kit\n"
    serve = f"{imports}from textkit.clean import clean\ndef predict_fn(d, m):\n    return clean(d)\n"
    serve += f"def model_fn(d):\n    return {load}\n"
    kit = "class Kit:\n    def load(x): return 1\n"
    assert of_textkit(serve, kit=kit).keep == keep
    # The handler's own functions and what nothing imports.
    rest = {"textkit/__init__.py": "", "textkit/clean.py": "def clean(t): return t\n", "kit.py": kit}
    before = {**rest, "serve.py": serve, "train.py": "A = 1\n"}
    assert decide(before, {**before, "serve.py": serve.replace("clean(d)", "clean(d, 1)")}, "serve.py").keep
    assert decide(before, {**before, "train.py": "A = 2\n"}, "serve.py").keep == keep


def test_a_changed_function_that_nobody_is_seen_to_call_may_be_called_by_data() -> None:
    decision = of_textkit("import textkit.clean\n")
    assert decision.reason == (
        "full reload: textkit/clean.py line 1: clean changed, and it cannot be seen who calls it"
    )


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        ("textkit/new.py", "A = 1\n", ""),
        ("textkit/new.py", "not Python at all", "textkit/new.py line 1: syntax error: "),
        ("new.py", "A = 1\n", "new.py is new, and other packages may have a module of its name"),
        ("json.py", "A = 1\n", "json.py is new, and other packages may have a module of its name"),
        ("other/new.py", "", "other/new.py is new"),
        ("other/__init__.py", "", "other/__init__.py is new"),
        ("textkit/clean/__init__.py", "", "textkit/clean/__init__.py is new"),
    ],
)
def test_a_module_that_nobody_imports_may_come_and_go_inside_a_package(
    place: str, text: str, reason: str
) -> None:
    decision = decide(PROJECT, {**PROJECT, place: text}, "serve.py")
    assert decision.keep == (not reason)
    assert reason in decision.reason
    if not reason.endswith("error: "):
        back = decide({**PROJECT, place: text}, PROJECT, "serve.py")
        assert back.keep == (not reason)


def test_a_new_module_that_is_imported_loads_anew() -> None:
    after = edited("serve.py", ("    return text[:most]", "    from textkit.new import A\n    return A"))
    decision = decide(PROJECT, {**after, "textkit/new.py": "A = 1\n"}, "serve.py")
    assert decision.reason == "full reload: textkit/new.py is imported now"


def test_a_module_that_is_gone_while_it_is_imported_loads_anew() -> None:
    after = {place: text for place, text in PROJECT.items() if place != "textkit/clean.py"}
    assert head(decide(PROJECT, after, "serve.py").reason) == "textkit/clean.py is gone, which is imported"


def test_without_a_handler_nothing_can_be_kept() -> None:
    after = {place: text for place, text in PROJECT.items() if place != "serve.py"}
    assert head(decide(PROJECT, after, "serve.py").reason) == "there is no serve.py"


def test_what_nothing_imports_may_change() -> None:
    assert decided("train.py", "EPOCHS = 3", "EPOCHS = 4").keep


@pytest.mark.parametrize(
    ("place", "old", "new", "line"),
    [("serve.py", "text[:most]", "text[:most", 25), ("train.py", "def main():", "def main(:", 6)],
)
def test_a_syntax_error_is_named_by_its_line(place: str, old: str, new: str, line: int) -> None:
    broken = edited(place, (old, new))
    decision = decide(PROJECT, broken, "serve.py")
    assert not decision.keep
    assert decision.reason.startswith(f"full reload: {place} line {line}: syntax error: ")
    # Mended again: what is not imported did no harm.
    assert decide(broken, PROJECT, "serve.py").keep == (place == "train.py")


@pytest.mark.parametrize("text", ["\0", "(" * 3000, "x = '\\ud800'\nif", "\ufeffif"])
def test_no_text_is_too_odd(text: str) -> None:
    assert not decide(PROJECT, {**PROJECT, "serve.py": text}, "serve.py").keep


def test_form_feeds_line_ends_and_marks_do_not_confuse_the_lines() -> None:
    odd = "\ufeff" + SERVE.replace("\n\n\ndef cut", '\n\n\n\x0cdef cut').replace("\n", "\r\n")  # fmt: skip
    odd = odd.replace('"""Load."""', '"""Load\u2028."""')
    assert decide(PROJECT, {**PROJECT, "serve.py": odd}, "serve.py").keep
    changed = {**PROJECT, "serve.py": odd.replace("text[:most]", "text[1:most]")}
    assert decide(PROJECT, changed, "serve.py").patches == (Patch("serve.py", ("cut",)),)


def test_statements_that_share_a_line_are_one() -> None:
    before = "A = 1; B = 2\n" + HELP + PLAIN
    assert of_serve(before, before.replace("A = 1; B", "A = 1;  B")).keep
    assert not of_serve(before, before.replace("B = 2", "B = 3")).keep


TYPING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import B\n"


@pytest.mark.parametrize(
    ("before", "keep"),
    [
        (TYPING, True),
        ("import typing as t\nif t.TYPE_CHECKING:\n    from a import B\n", True),
        (TYPING + "else:\n    B = None\n", False),
        ("TYPE_CHECKING = True\nif TYPE_CHECKING:\n    from a import B\n", False),
        ("if __name__ == '__main__':\n    from a import B\n", True),
        ("if __name__ == '__main__':\n    from a import B\nelse:\n    B = None\n", False),
        ("DEBUG = 0\nif DEBUG:\n    from a import B\n", False),
    ],
)
def test_a_block_that_never_runs_may_change(before: str, keep: bool) -> None:
    after = before.replace("from a import B", "from a import C as B")
    assert of_serve(before + HELP + PLAIN, after + HELP + PLAIN).keep == keep


@pytest.mark.parametrize(
    ("source", "keep"),
    [
        ('def model_fn(d):\n    """One."""\n', True),
        ('class A:\n    """One."""\n', True),
        ('class A(nn.Module):\n    """One."""\n', True),
        ('class A(nn.Module):\n    def forward(self):\n        """One."""\n', True),
        ('class A(BaseModel):\n    """One."""\n', False),
        ('@register\nclass A:\n    """One."""\n', False),
        ('@register\ndef f(x):\n    """One."""\n', False),
        ('def f(x):\n    """One."""\nTOOLS = [f]\n', False),
        ('def model_fn(d):\n    """One."""\nprint(model_fn.__doc__)\n', False),
    ],
)
def test_a_docstring_counts_where_it_may_be_read(source: str, keep: bool) -> None:
    assert of_serve(source, source.replace("One", "Two")).keep == keep


def test_files_that_are_no_sources_always_count() -> None:
    decision = decide(PROJECT, PROJECT, "serve.py", ["model.pt", "data/a.csv"])
    assert decision == Decision(False, "full reload: data/a.csv and model.pt changed")
    many = decide(PROJECT, PROJECT, "serve.py", {f"{index}.csv" for index in range(9)})
    assert many.reason == "full reload: 0.csv, 1.csv, 2.csv and 6 more changed"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("classifier.predict(texts)", "classifier.predict(texts[:1])", "only predict_fn changed"),
        ("row[0] if", "row[-1] if", "only _text changed"),
        ("[:80]", "[:9]", "only _shown changed"),
        ("Classifier.load", "Classifier.lode", "serve.py line 18: model_fn changed"),
    ],
)
def test_the_template_keeps_its_model_where_requests_alone_are_concerned(
    repository: Path, old: str, new: str, reason: str
) -> None:
    root = repository / "src" / "hotfire" / "templates" / "text_classification"
    sources = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}
    after = edited("serve.py", (old, new), of=sources)
    assert head(decide(sources, after, "serve.py").reason) == reason


def test_a_file_among_the_sources_that_is_none_always_counts() -> None:
    before = {**PROJECT, "labels.json": "[1]"}
    after = {**before, "labels.json": "[2]"}
    assert decide(before, after, "serve.py").reason == "full reload: labels.json changed"


def test_twenty_modules_are_decided_on_in_milliseconds() -> None:
    functions = "\n\n".join(
        f"def f{n}(x):\n    y = x + {n}\n    return [y for _ in range(3)]" for n in range(30)
    )
    sources = {f"kit/m{n}.py": f"import math\nfrom kit.m{n + 1} import f1\n{functions}\n" for n in range(19)}
    sources["kit/m19.py"] = functions
    sources["serve.py"] = f"from kit.m0 import f0\n{functions}\ndef predict_fn(d, m):\n    return f2(d)\n"
    times = []
    for edit in range(9):
        after = edited("serve.py", ("return f2(d)", f"return f2(d + {edit})"), of=sources)
        begun = time.perf_counter()
        assert decide(sources, after, "serve.py").keep
        times.append(time.perf_counter() - begun)
    # Many times what it takes, so that a busy machine does not fail it; parsed anew it takes longer by far.
    assert sorted(times)[4] < 0.1


NO_GRAD = "import torch\n" + MODEL + "@torch.no_grad()\n" + ASK


@pytest.mark.parametrize(
    ("old", "new", "keep"),
    [
        ("return help_(data)", "return data", True),
        ("@torch.no_grad()", "@torch.inference_mode()", False),
        ("@torch.no_grad()", "@torch.enable_grad()", False),
        ("return help_(data)", "yield help_(data)", False),
        ("@torch.no_grad()\n", "", False),
    ],
)
def test_what_torch_wraps_to_switch_gradients_may_change_within(old: str, new: str, keep: bool) -> None:
    before = NO_GRAD + HELP
    assert of_serve(before, before.replace(old, new)).keep is keep
