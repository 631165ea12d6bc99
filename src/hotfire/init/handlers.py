"""The handler that is written for a saved model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hotfire.errors import ProjectError
from hotfire.init.classes import ModelClass
from hotfire.init.saved import Saved

_MOST_SHOWN = 60
_OWN = frozenset({"torch", "builtins", "collections", "__builtin__", "numpy"})

_FRAME = '''\
"""What the endpoint runs: SageMaker's inference toolkit calls these four functions."""

{imports}


{loading}


def input_fn(body, content_type):
    """{input}"""
    if content_type != "application/json":
        raise UnsupportedFormatError(content_type)
{reading}


def predict_fn(data, model):
    """Ask the model."""
    with torch.inference_mode():
        return model({given})


def output_fn(prediction, accept):
    """The answer as JSON."""
    if "application/json" not in parse_accept(accept):
        raise UnsupportedFormatError(accept)
    return json.dumps(plain(prediction))


def plain(value):
    """Tensors as lists, wherever in the value they are."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {{name: plain(one) for name, one in value.items()}}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value
'''

_IMPORTS = ("import json", "from pathlib import Path")
_THIRD = (
    "import torch",
    "from sagemaker_inference.errors import UnsupportedFormatError",
    "from sagemaker_inference.utils import parse_accept",
)


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler's source, and what its author has to know of it."""

    source: str
    notes: tuple[str, ...] = field(default=())


def handler(saved: Saved, place: str, known: Sequence[ModelClass], root: Path) -> Handler:
    """The handler for a model that lies at `place` in the model data, beside the classes that are known.

    Raises ProjectError for a pickled module whose class cannot be imported.
    """
    match saved.kind:
        case "TorchScript":
            loading = _loading(f'return torch.jit.load({_path(place)}, map_location="cpu").eval()')
            return Handler(_source(saved, loading))
        case "module":
            return _of_module(saved, place, known, root)
    return _of_weights(saved, place, known)


def _of_weights(saved: Saved, place: str, known: Sequence[ModelClass]) -> Handler:
    names = [name.removeprefix(saved.prefix) for name in saved.tensors]
    fitting = [one for one in known if one.fits(names)]
    chosen = fitting[0] if len(fitting) == 1 else None
    own = [f"from {chosen.module} import {chosen.name}"] if chosen else []
    third = ["from safetensors.torch import load_file"] if saved.is_safetensors else []
    lines = [
        "model = build()",
        f"weights = {_read(saved, place)}",
        *([f"weights = weights[{_quoted(saved.key)}]"] if saved.key is not None else []),
        *_without_prefix(saved),
        "model.load_state_dict(weights)",
        "return model.eval()",
    ]
    loading = f"{_builder(saved, place, chosen)}\n\n\n{_loading(*lines)}"
    notes = (f"Its class is {chosen.name} of {chosen.module}.py, by its attributes.",) if chosen else ()
    return Handler(_source(saved, loading, third=third, own=own), notes)


def _read(saved: Saved, place: str) -> str:
    if saved.is_safetensors:
        return f"load_file({_path(place)})"
    return f'torch.load({_path(place)}, map_location="cpu", weights_only={saved.is_plain})'


def _without_prefix(saved: Saved) -> list[str]:
    if not saved.prefix:
        return []
    prefix = _quoted(saved.prefix)
    return [f"weights = {{name[len({prefix}) :]: one for name, one in weights.items()}}"]


def _builder(saved: Saved, place: str, chosen: ModelClass | None) -> str:
    """The function that makes the model without its weights: the one thing that may be left to do."""
    if chosen is not None and not chosen.required:
        return f'def build():\n    """The model, without its weights."""\n    return {chosen.name}()'
    name = _line(Path(place).name)
    example = f"{chosen.name}({', '.join(f'{one}=…' for one in chosen.required)})" if chosen else "Network()"
    what = "give it what it was trained with" if chosen else "its class is not in the file, only its weights"
    tensors = [(_line(one.removeprefix(saved.prefix)), tensor) for one, tensor in saved.tensors.items()]
    width = max(len(one) for one, _ in tensors[:_MOST_SHOWN])
    shown = [
        f"    #   {one:<{width}}  {tensor.dtype} {[*tensor.shape]}" for one, tensor in tensors[:_MOST_SHOWN]
    ]
    more = [f"    #   and {len(tensors) - _MOST_SHOWN} more"] if len(tensors) > _MOST_SHOWN else []
    missing = f"serve.py: build() must return a model for the weights of {name}"
    lines = [
        "def build():",
        '    """The model, without its weights."""',
        f"    # TODO: return the model, such as `return {example}`: {what}.",
        f"    # {name} holds:",
        *shown,
        *more,
        f"    raise NotImplementedError({_quoted(missing)})",
    ]
    return "\n".join(lines)


def _of_module(saved: Saved, place: str, known: Sequence[ModelClass], root: Path) -> Handler:
    own = [name for name in saved.modules if name.partition(".")[0] not in _OWN | {"__main__"}]
    imports = [f"import {name}" for name in own if _is_here(root, name)]
    away = dict.fromkeys(name.partition(".")[0] for name in own if not _is_here(root, name))
    at_main: list[str] = []
    if "__main__" in saved.modules:
        chosen = _of_notebook(saved, known)
        imports.append(f"from {chosen.module} import {chosen.name}")
        at_main = [f"# {_line(Path(place).name)} was saved in a notebook, where its class was in `__main__`."]
        at_main += [f"__main__.{chosen.name} = {chosen.name}", "", ""]
    reading = f'torch.load({_path(place)}, map_location="cpu", weights_only=False)'
    loading = "\n".join(at_main) + _loading(f"return {reading}.eval()")
    first = ["import __main__"] if at_main else []
    notes = tuple(
        f"It needs {one}, which is not in this folder: if it is yours, copy it here." for one in away
    )
    needed = [f"import {one}  # noqa: F401  # the model is of its classes" for one in away]
    marked = [f"{one}  # noqa: F401  # the model is of its classes" for one in imports if one[:6] == "import"]
    kept = [one for one in imports if one[:6] != "import"]
    source = _source(saved, loading, first=first, third=needed, own=[*marked, *kept])
    return Handler(source, notes)


def _of_notebook(saved: Saved, known: Sequence[ModelClass]) -> ModelClass:
    """The class of a model that was saved where it was defined. Raises ProjectError if it is nowhere else."""
    name = saved.class_name.rpartition(".")[2]
    found = [one for one in known if one.name == name]
    if saved.class_name.startswith("__main__.") and found:
        return found[0]
    what = f"the class {name}" if saved.class_name.startswith("__main__.") else "one of its classes"
    file = f"{name.lower()}.py"
    raise ProjectError(
        f"{saved.file} was saved in a notebook or a script: {what} is of `__main__`, which nobody else has",
        f"Copy the class to {file} here and run `hotfire init --from {saved.file} --also {file}`; or save it "
        "in the notebook by `torch.jit.script(model).save(…)`, which needs no class.",
    )


def _is_here(root: Path, module: str) -> bool:
    top = root / module.partition(".")[0]
    return top.is_dir() or top.with_suffix(".py").is_file()


def _path(place: str) -> str:
    return f"Path(model_dir, {_quoted(place)})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _line(text: str) -> str:
    """The text as a comment can hold it: a file's names may hold anything, line ends and code too."""
    return text if text.isprintable() else repr(text)


def _loading(*lines: str) -> str:
    head = ["def model_fn(model_dir):", '    """Load the model, once for each worker."""']
    return "\n".join([*head, *(f"    {line}" for line in lines)])


def _source(
    saved: Saved,
    loading: str,
    *,
    first: Sequence[str] = (),
    third: Sequence[str] = (),
    own: Sequence[str] = (),
) -> str:
    groups = (
        [*first, *_IMPORTS],
        sorted([*_THIRD, *third], key=lambda line: (line.startswith("from"), line)),
        own,
    )
    several = len(saved.arguments) > 1
    return _FRAME.format(
        imports="\n\n".join("\n".join(group) for group in groups if group),
        loading=loading,
        input=_told(saved),
        reading=_reading(saved, several=several),
        given="*data" if several else "data",
    )


def _told(saved: Saved) -> str:
    if len(saved.arguments) > 1:
        return f"A request's JSON, a list of what the model takes: {', '.join(saved.arguments)}."
    if saved.input is None:
        return "A request's JSON as a tensor."
    shape = ", ".join(map(str, saved.input.shape))
    return f"A request's JSON, such as numbers of the shape [{shape}], as a tensor."


def _reading(saved: Saved, *, several: bool) -> str:
    if several:
        return "    return [torch.tensor(one) if isinstance(one, list) else one for one in json.loads(body)]"
    dtype = f", dtype=torch.{saved.input.dtype}" if saved.input and saved.input.dtype else ""
    return f"    return torch.tensor(json.loads(body){dtype})"
