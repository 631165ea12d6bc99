"""Rules about what the sources import: whether the image, requirements.txt or the model data has it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from hotfire import tracing
from hotfire.distributions import distribution_of, normalised, providers_of
from hotfire.preflight.finding import Found, Rule, Severity
from hotfire.preflight.subject import CODE, Subject, listed
from hotfire.tracing import Module

_NEW_IN = {"zoneinfo": (3, 9), "graphlib": (3, 9), "tomllib": (3, 11)}
_STILL_THERE = frozenset(
    {
        *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "mailcap", "msilib"),
        *("nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    }
)
"""Modules that newer Pythons than those of most images have no more."""
_GONE_IN = {
    "binhex": (3, 11),
    **dict.fromkeys(("asynchat", "asyncore", "imp", "smtpd"), (3, 12)),
    # In place of distutils there is what setuptools brings.
    **dict.fromkeys(_STILL_THERE - {"distutils"}, (3, 13)),
}

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True, slots=True)
class Import:
    """A module that a source imports. `lazy` ones are imported when a function is called."""

    name: str
    line: int
    lazy: bool

    @property
    def top(self) -> str:
        """The package that it is in."""
        return self.name.partition(".")[0]


def imports(module: Module) -> list[Import]:
    """What a source imports from elsewhere, but for what it can do without.

    It can do without what is imported under `try` with an `except ImportError`, under `if TYPE_CHECKING:`
    and under `if __name__ == "__main__":`.
    """
    return list(_imports(module.tree.body, lazy=False))


def _imports(body: list[ast.AST] | list[ast.stmt], *, lazy: bool) -> Iterator[Import]:
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno, lazy) for alias in names)
            case ast.ImportFrom(module=str(name), level=0):
                yield Import(name, node.lineno, lazy)
            case ast.Try() | ast.TryStar() if _minds_import_error(node):
                yield from _imports([*node.orelse, *node.finalbody], lazy=lazy)
            case ast.If(test=test) if _is_not_run(test):
                yield from _imports(node.orelse, lazy=lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(node.body, lazy=True)
            case _:
                for name in _BODIES:
                    yield from _imports(getattr(node, name, []), lazy=lazy)


def _minds_import_error(node: ast.Try | ast.TryStar) -> bool:
    names = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    caught = (name for handler in node.handlers for name in _caught(handler.type))
    return any(handler.type is None for handler in node.handlers) or bool(names & set(caught))


def _caught(node: ast.expr | None) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from _caught(part)


def _is_not_run(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(left=ast.Name(id="__name__")):
            return True
    return False


def _foreign(subject: Subject) -> Iterator[tuple[Module, Import]]:
    """What is imported of neither the standard library nor the project, once for each source."""
    for module in subject.modules:
        seen: set[str] = set()
        for one in subject.once(module, imports):
            if one.top in seen or one.top in sys.stdlib_module_names or one.top in _STILL_THERE:
                continue
            seen.add(one.top)
            if not tracing.is_own(one.top, subject.folders):
                yield module, one


def _missing(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    judged = _Shelf(subject)
    for module, one in _foreign(subject):
        if not providers_of(one.name).isdisjoint(image.packages) or judged.has(one):
            continue
        name = distribution_of(one.name)
        file = subject.requirements.file
        lacks = f"{subject.title(file)} does not ask for it" if file else "there is no requirements.txt"
        where = "requirements.txt" if file else "a requirements.txt beside the handler"
        message = (
            f"{one.name} is imported{' in a function' if one.lazy else ''}, but {lacks}, and the image "
            f"PyTorch {image.version} is not known to have it{judged.doubt(one)}."
        )
        advice = f"Add the line `{name}` to {where}."
        yield Found(
            message,
            advice,
            module.file,
            one.line,
            _weight(subject, module, one, judged),
        )


def _weight(subject: Subject, module: Module, one: Import, shelf: _Shelf) -> Severity:
    """What is imported in a function of another source than the handler may be for training alone."""
    if shelf.doubt(one) or (one.lazy and module.file != subject.handler):
        return "warning"
    return "error"


class _Shelf:
    """What requirements.txt brings, as far as it can be told here."""

    def __init__(self, subject: Subject) -> None:
        self._requirements = subject.requirements
        self._installed = subject.installed
        names = self._requirements.names
        self._names = self._installed.closure(names) if self._installed else names
        self._known: dict[str, bool] = {}

    def has(self, one: Import) -> bool:
        """Whether one of the packages brings the module."""
        if one.name not in self._known:
            self._known[one.name] = self._brings(one)
        return self._known[one.name]

    def _brings(self, one: Import) -> bool:
        if providers_of(one.name) & self._names:
            return True
        for name in self._requirements.names:
            modules = self._installed.modules(name) if self._installed else None
            if modules is None:
                # It is not installed here: `python-barcode` may well bring `barcode`.
                if normalised(one.top) in name.split("-"):
                    return True
            elif one.top in modules:
                return True
        return False

    def doubt(self, one: Import) -> str:
        """Why it may be there all the same."""
        unknown = [name for name in sorted(self._requirements.names) if self._modules(name) is None]
        unknown += self._requirements.opaque
        return f" (unless {listed(unknown)} brings it)" if unknown else ""

    def _modules(self, name: str) -> frozenset[str] | None:
        known = self._installed.modules(name) if self._installed else None
        return known if known is not None or name not in _ONE_MODULE else frozenset({name})


_ONE_MODULE = frozenset(
    {
        *("numpy", "scipy", "pandas", "pillow", "scikit-learn", "transformers", "tokenizers", "requests"),
        *("torch", "torchvision", "torchaudio", "opencv-python", "opencv-python-headless", "pyyaml"),
        *("tqdm", "matplotlib", "seaborn", "nltk", "spacy", "sentencepiece", "safetensors", "onnxruntime"),
    }
)
"""Packages that are known to bring nothing of another name."""


def _left_out(subject: Subject) -> Iterator[Found]:
    if subject.sizes is None:
        return
    tops = {place.removeprefix(CODE).partition("/")[0].removesuffix(".py") for place in subject.sizes}
    for module in subject.modules:
        for one in subject.once(module, imports):
            if one.top not in tops and tracing.is_own(one.top, subject.folders):
                message = f"{one.top} is imported, and is in the project, but is left out of the model data."
                advice = "Take it in by `!` in .hotfireignore, or do not import it."
                yield Found(message, advice, module.file, one.line, "warning" if one.lazy else "error")


def _standard_library(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    major, minor = (int(number) for number in image.python.split("."))
    for module in subject.modules:
        for one in subject.once(module, imports):
            new, gone = _NEW_IN.get(one.top), _GONE_IN.get(one.top)
            if (new and (major, minor) < new) or (gone and (major, minor) >= gone):
                message = (
                    f"Python {image.python}, which the image PyTorch {image.version} has, has no {one.top}."
                )
                advice = "Import it under `try` with `except ImportError`, or do without."
                yield Found(message, advice, module.file, one.line, "warning" if one.lazy else "error")


RULES = (
    Rule(
        "missing-requirement",
        "error",
        "A module is imported that is in neither the project, requirements.txt nor the image. (A warning if "
        "a requirement that is not installed here might bring it, and in functions of sources other than the "
        "handler. What is under `try` with `except ImportError` is not looked at.)",
        "Add the line that the message names to requirements.txt.",
        _missing,
    ),
    Rule(
        "left-out",
        "error",
        "A module of the project is imported that is left out of the model data.",
        "Take it in by `!` in .hotfireignore.",
        _left_out,
        of_aws=False,
    ),
    Rule(
        "standard-library",
        "error",
        "A module of the standard library is imported that the image's Python does not have.",
        "Do without it, or import it under `try`.",
        _standard_library,
    ),
)
