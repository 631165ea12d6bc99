"""What would fail in production, found in the handler's source before it gets there."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hotfire.errors import HandlerError

ARGUMENTS = {
    "pre_model_fn": ("model_dir",),
    "model_fn": ("model_dir",),
    "model_warmup_fn": ("model_dir", "model"),
    "input_fn": ("input_data", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "input_data", "content_type", "accept"),
}
"""What the inference toolkit passes to each function; one parameter more gets the context."""

_REPLACED_BY_TRANSFORM = ("input_fn", "predict_fn", "output_fn")
_HARMLESS_DECORATORS = frozenset({"no_grad", "inference_mode", "enable_grad", "cache", "lru_cache"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be. `line` counts from 1; None is the file as a whole."""

    rule: str
    severity: Literal["error", "warning"]
    message: str
    advice: str
    file: Path
    line: int | None = None

    @property
    def place(self) -> str:
        """`file:line`, as editors take it."""
        return f"{self.file}:{self.line}" if self.line else str(self.file)


def check(handler: Path, places: Collection[str] | None = None) -> list[Finding]:
    """What is wrong with the handler, in the order of its lines.

    `places` are those of the model data, by which the toolkit loads a model if there is no `model_fn`;
    None if they are not known.
    """
    try:
        tree = ast.parse(handler.read_bytes(), handler.name)
    except (SyntaxError, ValueError) as error:
        return [_syntax(handler, error)]
    except OSError as error:
        advice = "Mend `entry_point` in config.yml, or the file's permissions."
        return [Finding("unreadable", "error", f"It cannot be read: {error.strerror}.", advice, handler)]
    names = dict(_bound(tree.body))
    findings = [*_transform_beside(handler, names), *_parameters(handler, names)]
    if places is not None and not {"model_fn", "*"} & set(names):
        findings += _no_model(handler, places)
    return sorted(findings, key=lambda finding: finding.line or 0)


def require(findings: Sequence[Finding]) -> None:
    """Raise HandlerError if any of the findings is an error."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        text = "\n".join(f"{error.place}: {error.message}" for error in errors)
        raise HandlerError(text, errors[0].advice)


def _syntax(handler: Path, error: SyntaxError | ValueError) -> Finding:
    advice = "Mend the source; nothing was deployed."
    if not isinstance(error, SyntaxError):
        return Finding("syntax", "error", f"This is not Python source: {error}.", advice, handler)
    column = f", column {error.offset}" if error.offset else ""
    source = f": {error.text.strip()}" if error.text else ""
    message = f"Syntax error{column}: {error.msg}{source}"
    return Finding("syntax", "error", message, advice, handler, error.lineno)


def _bound(body: Sequence[ast.AST]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that the module's statements bind; `*` for an import of all that another one has."""
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, statement
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name, statement) for alias in names)
            case _:
                if isinstance(statement, ast.stmt):
                    yield from ((name, statement) for name in _assigned(statement))
                for field in ("body", "orelse", "handlers", "finalbody", "cases"):
                    yield from _bound(getattr(statement, field, []))


def _assigned(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets=targets):
            for target in targets:
                yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name


def _transform_beside(handler: Path, names: dict[str, ast.stmt]) -> Iterator[Finding]:
    beside = [name for name in _REPLACED_BY_TRANSFORM if name in names]
    if "transform_fn" in names and beside:
        listed = " and ".join(f"{name} (line {names[name].lineno})" for name in beside)
        line = names["transform_fn"].lineno
        message = f"transform_fn (line {line}) stands beside {listed}; the inference toolkit takes either."
        advice = f"Keep transform_fn alone, or {', '.join(_REPLACED_BY_TRANSFORM)} without it."
        yield Finding("transform-fn", "error", message, advice, handler, line)


def _parameters(handler: Path, names: dict[str, ast.stmt]) -> Iterator[Finding]:
    for name, arguments in ARGUMENTS.items():
        statement = names.get(name)
        if not isinstance(statement, _FUNCTIONS) or not all(map(_is_harmless, statement.decorator_list)):
            continue  # what a decorator or another module makes of it is not to be seen here
        if not _takes(statement.args, len(arguments)):
            given = _count(statement.args)
            message = (
                f"{name} has {given} parameter{'' if given == 1 else 's'}; "
                f"the inference toolkit calls it with {len(arguments)}, or one more for the context."
            )
            advice = f"Write `def {name}({', '.join(arguments)}):`, or add `context` as its last parameter."
            yield Finding("parameters", "error", message, advice, handler, statement.lineno)


def _count(arguments: ast.arguments) -> int:
    """The number of parameters as `inspect.signature` has it, by which the toolkit goes."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional + len(arguments.kwonlyargs) + bool(arguments.vararg) + bool(arguments.kwarg)


def _takes(arguments: ast.arguments, count: int) -> bool:
    """Whether the toolkit can call it: by its count of parameters, and then by position."""
    given = _count(arguments)
    if given not in (count, count + 1):
        return False
    positional = len(arguments.posonlyargs) + len(arguments.args)
    at_least = positional - len(arguments.defaults)
    at_most = given if arguments.vararg else positional
    return at_least <= given <= at_most and None not in arguments.kw_defaults


def _is_harmless(decorator: ast.expr) -> bool:
    """Whether a decorator keeps the parameters, as torch's do."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _HARMLESS_DECORATORS
    return False


def _no_model(handler: Path, places: Collection[str]) -> Iterator[Finding]:
    at_root = sorted(place for place in places if "/" not in place)
    weights = [place for place in at_root if Path(place).suffix in (".pt", ".pth")]
    if "model.pt" in weights or len(weights) == 1:
        return
    held = f"there are {', '.join(weights)}" if weights else "there is none"
    message = (
        f"There is no model_fn; without it the model folder must hold just one .pt or .pth file: {held}."
    )
    advice = "Write `def model_fn(model_dir):` that returns the model."
    yield Finding("model-fn", "error", message, advice, handler)
