"""Rules about the handler's own source, by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hotfire import tracing
from hotfire.image_recipe import STREAM_VARIABLE
from hotfire.images import RAY, OwnLine
from hotfire.preflight.finding import Finding, Found, Rule
from hotfire.preflight.image_choice import python_by
from hotfire.preflight.subject import Subject

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
_NEWEST_SYNTAX = (3, 12)
"""The syntax of the newest image: what is valid here, is valid there."""


def check(handler: Path, places: Collection[str] | None = None) -> list[Finding]:
    """What is wrong with a handler alone, in the order of its lines.

    `places` are those of the model data, by which the toolkit loads a model if there is no `model_fn`;
    None if they are not known.
    """
    modules = tuple(tracing.modules(handler, ()))
    subject = Subject(handler, handler.parent, modules, ())
    if places is not None:
        subject = replace(subject, sizes=dict.fromkeys(places, 0))
    found = [finding for rule in RULES if not rule.of_aws for finding in rule.findings(subject)]
    return sorted(found, key=lambda finding: finding.line or 0)


def _unreadable(subject: Subject) -> Iterator[Found]:
    if subject.origin is not None:
        return  # of an archive without a handler, its layout is to blame
    try:
        subject.handler.read_bytes()
    except OSError as error:
        advice = "Mend `entry_point` in config.yml, or the file's permissions."
        yield Found(f"It cannot be read: {error.strerror}.", advice, subject.handler)


def _syntax(subject: Subject) -> Iterator[Found]:
    for module in subject.modules:
        # A source with a mistake has an empty tree there; only such a one is parsed again.
        if not module.tree.body:
            yield from _mistakes(module.file)


def _mistakes(file: Path, version: tuple[int, int] | None = None) -> Iterator[Found]:
    advice = "Mend the source; nothing was deployed."
    try:
        ast.parse(file.read_bytes(), file.name, feature_version=version)
    except SyntaxError as error:
        column = f", column {error.offset}" if error.offset else ""
        source = f": {error.text.strip()}" if error.text else ""
        message = f"Syntax error{column}: {error.msg}{source}"
        yield Found(message, advice, file, error.lineno)
    except ValueError as error:
        yield Found(f"This is not Python source: {error}.", advice, file)
    except OSError:
        return  # of the handler, another rule says so


def _older_python(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    major, minor = (int(number) for number in image.python.split("."))
    if (major, minor) >= _NEWEST_SYNTAX:
        return
    for module in subject.modules:
        for found in _mistakes(module.file, (major, minor)) if module.tree.body else ():
            message = f"For Python {image.python}, that of the image {image.version}: {found.message}."
            advice = f"Write it as that Python takes it, or choose a newer one by {python_by(image)}."
            yield Found(message, advice, found.file, found.line)


def _names(subject: Subject) -> dict[str, ast.stmt]:
    return dict(_bound(subject.modules[0].tree.body)) if subject.modules else {}


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


def _transform_beside(subject: Subject) -> Iterator[Found]:
    names = _names(subject)
    beside = [name for name in _REPLACED_BY_TRANSFORM if name in names]
    if "transform_fn" in names and beside:
        listed = " and ".join(f"{name} (line {names[name].lineno})" for name in beside)
        line = names["transform_fn"].lineno
        message = f"transform_fn (line {line}) stands beside {listed}; the inference toolkit takes either."
        advice = f"Keep transform_fn alone, or {', '.join(_REPLACED_BY_TRANSFORM)} without it."
        yield Found(message, advice, subject.handler, line)


def _parameters(subject: Subject) -> Iterator[Found]:
    names = _names(subject)
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
            yield Found(message, advice, subject.handler, statement.lineno)


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


def _no_model(subject: Subject) -> Iterator[Found]:
    names = _names(subject)
    is_parsed = bool(subject.modules and subject.modules[0].tree.body)
    if not is_parsed or subject.sizes is None or {"model_fn", "*"} & set(names):
        return
    at_root = sorted(place for place in subject.sizes if "/" not in place)
    weights = [place for place in at_root if Path(place).suffix in (".pt", ".pth")]
    if "model.pt" in weights or len(weights) == 1:
        return
    held = f"there are {', '.join(weights)}" if weights else "there is none"
    message = (
        f"There is no model_fn; without it the model folder must hold just one .pt or .pth file: {held}."
    )
    yield Found(message, "Write `def model_fn(model_dir):` that returns the model.", subject.handler)


def _streams(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    for name in ("predict_fn", "output_fn", "transform_fn"):
        statement = _names(subject).get(name)
        if not isinstance(statement, _FUNCTIONS) or not (part := _first_yield(statement)):
            continue
        if image == RAY:
            message = f"{name} is a generator, whose parts the Ray Serve image sends all at once, at the end."
            advice = "Serve by an image that streams (`image:`) where each part is to come when it is made."
            yield Found(message, advice, subject.handler, part.lineno, "information")
            continue
        if isinstance(image, OwnLine):
            yield from _unless_it_streams(subject, name, part.lineno)
            continue
        message = (
            f"{name} is a generator, and the image {image.version} cannot stream: its server "
            "sends whole answers only."
        )
        advice = "Return the whole answer, or serve by an image that streams (`image:`)."
        yield Found(message, advice, subject.handler, part.lineno)


def _unless_it_streams(subject: Subject, name: str, line: int) -> Iterator[Found]:
    """An image of one's own streams if it is told to."""
    if subject.environment is None or not subject.environment.container_env.get(STREAM_VARIABLE):
        message = f"{name} is a generator, and the image sends whole answers unless it is told to stream."
        advice = f'Say `container_env: {{{STREAM_VARIABLE}: "true"}}`, or return the whole answer.'
        yield Found(message, advice, subject.handler, line)


def _first_yield(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.expr | None:
    """The first `yield` of a function itself, not of one inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda, ast.ClassDef, ast.GeneratorExp)):
            waiting.extend(ast.iter_child_nodes(node))
    return None


RULES = (
    Rule(
        "unreadable",
        "error",
        "The handler's file cannot be read.",
        "Mend `entry_point`, or the file's permissions.",
        _unreadable,
        of_aws=False,
    ),
    Rule(
        "syntax",
        "error",
        "The handler, or a source of the project that it imports, is not valid Python.",
        "Mend the line that is named.",
        _syntax,
        of_aws=False,
    ),
    Rule(
        "python-syntax",
        "error",
        "A source is valid here, but not for the older Python of the image.",
        "Write it as that Python takes it, or choose a newer one by `framework_version`; with `serving: "
        "hotfire`, by `own_image.base`.",
        _older_python,
    ),
    Rule(
        "transform-fn",
        "error",
        "transform_fn stands beside input_fn, predict_fn or output_fn, which it excludes.",
        "Keep transform_fn alone, or the three without it.",
        _transform_beside,
        of_aws=False,
    ),
    Rule(
        "parameters",
        "error",
        "A function of the handler cannot be called with what the inference toolkit passes to it.",
        "Give it the parameters that the message names.",
        _parameters,
        of_aws=False,
    ),
    Rule(
        "model-fn",
        "error",
        "There is no model_fn, and not just one .pt or .pth file that could be loaded without it.",
        "Write `def model_fn(model_dir):`.",
        _no_model,
        of_aws=False,
    ),
    Rule(
        "generator",
        "error",
        "predict_fn, output_fn or transform_fn is a generator, and the image cannot stream.",
        "Return the whole answer, or serve by an image that streams.",
        _streams,
    ),
)
