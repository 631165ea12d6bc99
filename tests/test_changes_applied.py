"""The proof of `hotfire.changes`: a process that takes a patch answers as one that loads the new sources.

Every constant, statement and function of a project full of traps is changed in turn. Where it is decided
that the model may be kept, a process that has loaded the old project takes the patch as a worker does, and
must answer, or fail, as a fresh process does.
"""

import ast
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfire.changes import Decision, decide

Project = dict[str, str]

PROJECT: Project = {
    "serve.py": '''\
"""A handler that depends on itself in every way."""
import functools
import json
import textkit.words as words
from textkit import index, lazily
from textkit.clean import normalise, tidy as tidy_up
from textkit.stars import *
from net import Net

LIMIT = 4
SEEN = []
COUNT = 0


def shorten(text, most=4, *, end="."):
    return text[:most] + end


def describe(text: str) -> str:
    """What the table says."""
    return f"<{text}>"


TABLE = {"describe": describe, "first": words.first("b a")}


def build(size):
    return Net(size + len(shortest()))


def shortest():
    return min(["aa", "b"], key=len)


def model_fn(model_dir):
    """Load."""
    net = build(LIMIT)
    net.table = index.build(["a b", "c"])
    SEEN.append(len(SEEN))
    return net


def input_fn(body, content_type):
    return [normalise(one) for one in json.loads(body)]


def numbers(data):
    for one in data:
        yield len(one)


@functools.lru_cache(maxsize=None)
def cached(number):
    return double(number) + 1


def double(number):
    return number * 2


def predict_fn(data, model):
    global COUNT
    COUNT += 1
    later = lambda text: shorten(text, LIMIT - 1)
    return {
        "count": COUNT,
        "texts": [later(tidy_up(one)) for one in data],
        "told": [TABLE["describe"](one) for one in data],
        "ranks": [model.rank(one) for one in data],
        "numbers": sorted(numbers(data), key=order),
        "cached": [cached(len(one)) for one in data],
        "last": [words.last(one) for one in data],
        "lazy": lazily(data),
        "starred": starred(3),
        "table": sorted(model.table),
        "seen": SEEN,
    }


def order(number, sign=-1):
    return sign * number


def output_fn(prediction, accept):
    from textkit.late import finish
    return json.dumps(finish(prediction), sort_keys=True)


if __name__ == "__main__":
    print(predict_fn(["a"], model_fn(".")))
''',
    "net.py": '''\
from textkit.words import first


class Net:
    """A net."""

    bias = 1

    def __init__(self, size):
        self.size = size
        self.warm = measure("warm")

    def rank(self, text):
        return (weigh(text) + self.bias + self.warm) % self.size


def measure(text):
    return len(first(text))


def weigh(text):
    return len(text)
''',
    "textkit/__init__.py": '''\
from . import clean as _clean


def lazily(data):
    from .late import lazy
    return [lazy(_clean.normalise(one)) for one in data]
''',
    "textkit/clean.py": '''\
import re

SPACES = re.compile(r"\\s+")
BUILT = []


def normalise(text):
    return SPACES.sub(" ", text).strip(edge())


def edge():
    return "- "


def tidy(text, least=1):
    return " ".join(word for word in text.split() if len(word) > least)


def note(what):
    BUILT.append(what)
    return what


note("clean")
''',
    "textkit/words.py": '''\
from textkit.clean import note


def first(text):
    return split(text)[0]


def last(text):
    return (ends(text) or [""])[-1]


def ends(text):
    return text.split()


def split(text):
    return sorted(text.split()) or [""]


WORD = note("words")
''',
    "textkit/index.py": '''\
from textkit import clean


def build(texts):
    return {key(one) for text in texts for one in text.split()}


def key(word):
    return clean.edge() + word


def search(table, word):
    return key(word) in table
''',
    "textkit/late.py": '''\
SUFFIX = "!"


def lazy(text):
    return text + SUFFIX


def finish(prediction):
    return {**prediction, "late": rounded(1.25)}


def rounded(number, places=1):
    return round(number, places)
''',
    "textkit/stars.py": '''\
__all__ = ["starred"]


def starred(number):
    return number + hidden()


def hidden():
    return 1
''',
}  # fmt: skip

SERVER = '''\
"""Loads projects and answers, each in a process of its own."""
import importlib, json, os, sys
from hotfire_worker.edits import apply

BODIES = ['["the  cat sat -", "a"]', '[]', '["on the mat today"]', '[1]', 'x']


def write(folder, sources):
    for place, text in sources.items():
        os.makedirs(os.path.dirname(os.path.join(folder, place)), exist_ok=True)
        with open(os.path.join(folder, place), "w") as file:
            file.write(text)


def told(error):
    return [type(error).__name__, str(error)]


def answers(job):
    sys.path.insert(0, job["folder"])
    write(job["folder"], job["sources"])
    try:
        serve = importlib.import_module("serve")
        model = serve.model_fn(".")
    except Exception as error:
        return ["not loaded", *told(error)]
    functions = [serve.input_fn, serve.predict_fn, serve.output_fn]
    if "newer" in job:
        write(job["folder"], job["newer"])
        importlib.invalidate_caches()
        apply(job["edits"])
    return [answer(body, model, *functions) for body in BODIES]


def answer(body, model, input_fn, predict_fn, output_fn):
    try:
        return output_fn(predict_fn(input_fn(body, "application/json"), model), "application/json")
    except Exception as error:
        return told(error)


sys.dont_write_bytecode = True
for line in sys.stdin:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(answers(json.loads(line))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        print(pipe.read().decode().replace(json.loads(line)["folder"], "here") or '"died"')
    os.wait()
'''

NEW = (
    "def helper(x):\n    return x\n",
    "def len(x):\n    return 3\n",
    "def normalise(x):\n    return 'n'\n",
    "def shorten(x, *more, **others):\n    return 's'\n",
    "def starred(x):\n    return 's'\n",
    "LIMIT = 2\n",
    "import json as words\n",
    "from textkit.words import first as normalise\n",
    "double = shorten = lambda *a, **b: 'x'\n",
    "edge = 5\n",
    "del clean\n",
    "SEEN = None\n",
)


SAMPLE = 200


def constants(text: str) -> Iterator[str]:
    """The source with each of its constants changed in turn."""
    for index, _ in enumerate(list_of_constants(ast.parse(text))):
        tree = ast.parse(text)
        node = list_of_constants(tree)[index]
        node.value = node.value + 1 if isinstance(node.value, int) else f"{node.value}x"
        yield ast.unparse(tree)


def list_of_constants(tree: ast.Module) -> list[ast.Constant]:
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) in (int, str)
    ]


def statements(text: str) -> Iterator[str]:
    """The source with each statement of its top level gone, twice, moved, decorated; and with new ones."""
    body = ast.parse(text).body
    for index, node in enumerate(body):
        rest = [*body[:index], *body[index + 1 :]]
        yield unparsed(rest)
        yield unparsed([*body, node])
        yield unparsed([node, *rest])
        yield unparsed([*rest, node])
        for new in NEW:
            yield unparsed([*body[:index], *ast.parse(new).body, *body[index:]])
        if isinstance(node, ast.FunctionDef):
            yield from functions(body, index, node)


def functions(body: list[ast.stmt], index: int, node: ast.FunctionDef) -> Iterator[str]:
    """The source with one function in other forms."""
    written = ast.unparse(node)
    lines = written.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("def "))
    definition, inside = lines[start], lines[start + 1 :]
    forms = [
        [*lines[:start], definition, "    print", *inside],
        [*lines[:start], definition, '    "Documented."', *inside],
        [*lines[:start], definition, "    return 7"],
        [*lines[:start], definition, "    return LIMIT"],
        [*lines[:start], definition, "    return helper()", "def helper():", "    return 9"],
        [*lines[:start], definition, "    if 0:", "        yield 1", *inside],
        [*lines[:start], definition, "    global LIMIT, SEEN", "    LIMIT = SEEN = 1", *inside],
        [*lines[:start], definition, "    from textkit.words import ends", "    return ends('a b')"],
        ["@staticmethod", *lines],
        ["if True:", *(f"    {line}" for line in lines)],
        ["try:", *(f"    {line}" for line in lines), "finally:", "    pass"],
        [*lines[:start], definition.replace("(", "(extra=1, *, ", 1).replace(", )", ", e=2)"), *inside],
        [*lines[:start], definition.replace(")", ", extra=(1, 2))", 1), *inside],
        [*lines[:start], definition.replace(")", ", extra=[LIMIT])", 1), *inside],
        [*lines[:start], definition.replace(")", ", extra: Nothing=1)", 1), *inside],
    ]
    for form in forms:
        try:
            new = ast.parse("\n".join(form)).body
        except SyntaxError:
            continue
        yield unparsed([*body[:index], *new, *body[index + 1 :]])


def unparsed(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.Module(body, []))


def edits() -> list[Project]:
    """The project after each edit."""
    return [
        {**PROJECT, place: text}
        for place, source in PROJECT.items()
        for text in itertools.chain(constants(source), statements(source))
    ]


def together(first: Project, second: Project) -> Project:
    """The project after two edits."""
    return {**first, **{place: text for place, text in second.items() if text != PROJECT[place]}}


def ask(jobs: list[dict[str, object]], folder: Path) -> list[object]:
    """What the processes that the jobs describe answer."""
    program = folder / "server.py"
    program.write_text(SERVER)
    lines = "".join(
        json.dumps({**job, "folder": str(folder / str(index))}) + "\n" for index, job in enumerate(jobs)
    )
    done = subprocess.run(
        [sys.executable, str(program)], input=lines, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


Kept = list[tuple[Project, Decision]]


@pytest.fixture(scope="module")
def decisions() -> Kept:
    """Each edit with what is decided on it, then some pairs of those that keep the model."""
    chance = random.Random(4)
    single = [(after, decide(PROJECT, after, "serve.py")) for after in edits()]
    kept = [after for after, decision in single if decision.keep]
    pairs = [together(*chance.sample(kept, 2)) for _ in range(60)]
    return [*single, *((after, decide(PROJECT, after, "serve.py")) for after in pairs)]


@pytest.fixture(scope="module")
def kept(decisions: Kept) -> Kept:
    """Edits by which the model is said to be kept, chosen by chance, the same ones each time."""
    every = [(after, decision) for after, decision in decisions if decision.keep]
    return random.Random(5).sample(every, SAMPLE)


@pytest.fixture(scope="module")
def fresh(kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What processes answer that load the edited projects."""
    return ask([{"sources": after} for after, _ in kept], tmp_path_factory.mktemp("fresh"))


def patched(after: Project, decision: Decision, folder: Path) -> dict[str, object]:
    """The job of a process that loads the old project and takes the patch."""
    made = [
        {
            "file": str(folder / patch.place),
            "source": after[patch.place],
            "names": list(patch.names),
            "removed": list(patch.removed),
        }
        for patch in decision.patches
    ]
    return {"sources": PROJECT, "newer": after, "edits": made}


def test_a_patched_process_answers_as_a_fresh_one(kept: Kept, fresh: list[object], tmp_path: Path) -> None:
    jobs = [patched(*one, tmp_path / str(index)) for index, one in enumerate(kept)]
    changed = ask(jobs, tmp_path)
    wrong = [
        (decision.reason, was, is_now)
        for (_, decision), was, is_now in zip(kept, changed, fresh, strict=True)
        if was != is_now
    ]
    assert wrong == []


def test_most_edits_that_keep_the_model_change_its_answers(fresh: list[object], tmp_path: Path) -> None:
    [before] = ask([{"sources": PROJECT}], tmp_path)
    assert sum(one != before for one in fresh) > SAMPLE / 3


def test_what_requests_alone_use_is_patched_and_nothing_else(decisions: Kept) -> None:
    names = {name for _, decision in decisions for patch in decision.patches for name in patch.names}
    asked = {"predict_fn", "input_fn", "output_fn", "shorten", "numbers", "double", "order"}
    elsewhere = {"tidy", "last", "ends", "lazily", "lazy", "finish", "rounded", "starred", "hidden"}
    assert asked | elsewhere <= names
    loading = {
        "model_fn",
        "build",
        "shortest",
        "normalise",
        "edge",
        "note",
        "first",
        "split",
        "measure",
        "weigh",
    }
    handed_on = {"describe", "cached", "key"}
    # NEW brings functions of these names to modules that have none.
    brought = {"normalise", "len"}
    assert (loading | handed_on) & names <= brought


def test_both_decisions_are_made_often(decisions: Kept) -> None:
    kept = sum(decision.keep for _, decision in decisions)
    assert (kept > 200, len(decisions) - kept > 500) == (True, True)
