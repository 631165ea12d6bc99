"""Edits: a loaded handler's functions take the code of newer sources, and the model stays as it is.

Which edits may be made so is decided by whoever sends them (`hotfire.changes`). A function keeps its
identity: whoever imported it, the toolkit among them, calls the new code.
"""

import ast
import os
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, Dict, Iterator, List, Mapping, Tuple

Edit = Mapping[str, Any]
"""`file`: where the module lies; `source`: its new text; `names`: the module's functions that are new
or changed; `removed`: those that are gone."""

_Path = Tuple[str, ...]
_DEEPEST = 10
"""So many decorators of one function are looked through."""


def apply(edits: List[Edit]) -> None:
    """Make the edits, the first one first. A module that is not loaded yet will be read from its file."""
    for edit in edits:
        for module in _loaded(edit["file"]):
            _renew(module, edit)


def _loaded(file: str) -> List[ModuleType]:
    # There are thousands of modules, and a look at the disk for each would take longer than all the rest.
    name, real = os.path.basename(file), os.path.realpath(file)
    found = []
    for module in list(sys.modules.values()):
        place = getattr(module, "__file__", None) or ""
        if isinstance(module, ModuleType) and os.path.basename(place) == name:
            found.append((module, os.path.realpath(place)))
    return [module for module, place in found if place == real]


def _renew(module: ModuleType, edit: Edit) -> None:
    namespace = module.__dict__
    tree = ast.parse(edit["source"], namespace["__file__"])
    made = _made(tree, edit["names"], namespace)
    for name in edit["removed"]:
        namespace.pop(name, None)
    for name, new in made.items():
        old = namespace.get(name)
        if not (isinstance(old, FunctionType) and _become(old, new)):
            namespace[name] = new
    _move(namespace, compile(tree, namespace["__file__"], "exec", dont_inherit=True))


def _made(tree: ast.Module, names: List[str], namespace: Dict[str, Any]) -> Dict[str, FunctionType]:
    """The functions of these names, made by the new source in the module's namespace, not yet bound there."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    body: List[ast.stmt] = [
        *future,
        *(node for node in tree.body if isinstance(node, kinds) and node.name in names),
    ]
    scratch: Dict[str, Any] = {}
    code = compile(ast.Module(body, []), namespace["__file__"], "exec", dont_inherit=True)
    exec(code, namespace, scratch)
    return {name: scratch[name] for name in names}


def _become(old: FunctionType, new: FunctionType) -> bool:
    """Let a function, or the one that decorators have wrapped, be the new one; whether it can be."""
    (*above, old), (*above_new, new) = _unwrapped(old), _unwrapped(new)
    if len(above) != len(above_new) or old.__code__.co_freevars or new.__code__.co_freevars:
        return False
    old.__code__ = new.__code__
    old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
    for one in (*above, old):
        one.__annotations__, one.__doc__ = new.__annotations__, new.__doc__
    return True


def _unwrapped(function: FunctionType) -> List[FunctionType]:
    """A function, what it wraps, and so on."""
    found = [function]
    while isinstance(getattr(found[-1], "__wrapped__", None), FunctionType) and len(found) < _DEEPEST:
        found.append(found[-1].__wrapped__)  # type: ignore[attr-defined]
    return found


def _move(namespace: Dict[str, Any], code: CodeType) -> None:
    """Let the functions that did not change know their new lines, by which tracebacks and debuggers go."""
    compiled: Dict[_Path, List[CodeType]] = {}
    for path, one in _codes(code, ()):
        compiled.setdefault(path, []).append(one)
    for path, function in _functions(namespace, namespace, ()):
        found = [one for one in compiled.get(path, []) if _is_same(one, function.__code__)]
        if len(found) == 1:
            function.__code__ = found[0]


def _is_same(one: CodeType, other: CodeType) -> bool:
    """Whether they do the same and differ in their lines at most."""
    return (one.co_code, one.co_names, one.co_varnames, one.co_freevars) == (
        other.co_code,
        other.co_names,
        other.co_varnames,
        other.co_freevars,
    )


def _codes(code: CodeType, path: _Path) -> Iterator[Tuple[_Path, CodeType]]:
    """The code of functions and of the functions in classes, by their names from the module on."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = (*path, constant.co_name)
            yield inner, constant
            yield from _codes(constant, inner)


def _functions(
    namespace: Mapping[str, Any], module: Mapping[str, Any], path: _Path
) -> Iterator[Tuple[_Path, FunctionType]]:
    """The functions that a module defines, and those of its classes."""
    for name, value in list(namespace.items()):
        if isinstance(value, type) and value.__module__ == module["__name__"] and name == value.__name__:
            yield from _functions(vars(value), module, (*path, name))
            continue
        for function in _within(value):
            if function.__globals__ is module and function.__code__.co_name == name:
                yield (*path, name), function


def _within(value: Any) -> Iterator[FunctionType]:
    """The functions that a definition may have become: a property, a static method, one that wraps it."""
    if isinstance(value, property):
        accessors = (value.fget, value.fset, value.fdel)
        yield from (one for one in accessors if isinstance(one, FunctionType))
        return
    value = getattr(value, "__func__", value)
    if isinstance(value, FunctionType):
        yield from _unwrapped(value)
