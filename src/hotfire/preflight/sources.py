"""Rules about what the sources do: the GPU, and files that will not be where they are opened."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hotfire.images import is_gpu
from hotfire.preflight.finding import Found, Rule, Severity
from hotfire.preflight.subject import Subject, calls, dotted
from hotfire.tracing import Module

_GPU_TEXT = re.compile(rb"cuda")
_OPENING_TEXT = re.compile(rb"open\(|load|read_|Path\(|from_file|from_pretrained|listdir|glob")

_OPENERS = frozenset(
    {
        *("open", "io.open", "gzip.open", "torch.load", "torch.jit.load", "np.load", "numpy.load"),
        *("joblib.load", "pickle.load", "load_file", "safe_open", "safetensors.torch.load_file"),
        *("pd.read_csv", "pd.read_json", "pd.read_pickle", "pd.read_parquet", "pd.read_table"),
        *("pandas.read_csv", "pandas.read_json", "pandas.read_pickle", "pandas.read_parquet"),
        *("np.loadtxt", "np.genfromtxt", "cv2.imread", "Image.open", "os.listdir", "os.scandir"),
        *("codecs.open", "zipfile.ZipFile", "tarfile.open", "h5py.File"),
    }
)
_PATH_READERS = frozenset({"open", "read_text", "read_bytes", "iterdir", "glob", "rglob"})
_PATHS = frozenset({"Path", "pathlib.Path"})
_ABSENCE = frozenset({"FileNotFoundError", "OSError", "IOError", "EnvironmentError", "Exception"})
_THERE = ("/opt/", "/tmp", "/dev/", "/proc/", "/sys/", "/etc/", "/usr/", "/var/", "/bin/", "/run/")


def _gpu_code(subject: Subject) -> Iterator[Found]:
    environment = subject.environment
    if environment is None or (not environment.serverless and is_gpu(environment.instance_type or "")):
        return
    kind = "a serverless endpoint" if environment.serverless else environment.instance_type or "local"
    for module in subject.holding(_GPU_TEXT):
        if _is_guarded(module.tree):
            continue
        for node in subject.once(module, calls):
            asked = _asks_for_gpu(node)
            if asked:
                message = f"{asked} needs a GPU, and {kind} has none."
                advice = "Choose by `'cuda' if torch.cuda.is_available() else 'cpu'`, or take a GPU type."
                yield Found(message, advice, module.file, node.lineno)


def _is_guarded(tree: ast.Module) -> bool:
    """Whether the source asks anywhere whether there is a GPU: then it is taken to mind the answer."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("is_available", "device_count")
        for node in ast.walk(tree)
    )


def _asks_for_gpu(node: ast.Call) -> str | None:
    """What a call that needs a GPU looks like."""
    if (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == "cuda"
        and dotted(node.func) != "torch.cuda"
    ):
        return ".cuda()"
    name = dotted(node.func).rpartition(".")[2]
    values = [*node.args] if name in ("to", "device") else []
    values += [keyword.value for keyword in node.keywords if keyword.arg in ("device", "map_location")]
    for value in values:
        if (
            isinstance(value, ast.Constant)
            and isinstance(value.value, str)
            and value.value.startswith("cuda")
        ):
            return f"{value.value!r}"
    return None


def _absolute_paths(subject: Subject) -> Iterator[Found]:
    for module in subject.holding(_OPENING_TEXT):
        for node, text in subject.once(module, _opened):
            if _is_of_this_machine(text, subject.root):
                message = f"{text} is a path of this machine; in the container it will not exist."
                advice = "Open it under `model_dir`, which model_fn gets, and name it under `artifacts`."
                yield Found(message, advice, module.file, node.lineno, _weight(subject, module))


def _is_of_this_machine(text: str, root: Path) -> bool:
    if re.match(r"[A-Za-z]:[\\/]", text):
        return True
    if text.startswith("~"):
        return True
    if not text.startswith("/"):
        return False
    return Path(text).is_relative_to(root) or not text.startswith(_THERE)


def _relative_paths(subject: Subject) -> Iterator[Found]:
    places = subject.sizes
    if places is None:
        return
    folders = {parent for place in places for parent in _parents(place)}
    for module in subject.holding(_OPENING_TEXT):
        for node, text in subject.once(module, _opened):
            place = os.path.normpath(text)
            if text.startswith(("/", "~", ".hotfire")) or re.match(r"[A-Za-z]:[\\/]", text) or "://" in text:
                continue
            if place in places or place in folders or not _exists(subject.root / text):
                continue
            message = f"{text} is in the project, but not in the model data; there, it will not exist."
            advice = "Name it under `artifacts`, and open it under `model_dir`, which model_fn gets."
            yield Found(message, advice, module.file, node.lineno, _weight(subject, module))


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 -- a literal may be too long for a name, of which Path raises


def _weight(subject: Subject, module: Module) -> Severity:
    """In the handler it is run; in another source it may be a part that only training runs."""
    return "error" if module.file == subject.handler and not subject.is_local else "warning"


def _parents(place: str) -> Iterator[str]:
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


def _opened(module: Module) -> list[tuple[ast.Call, str]]:
    """Each path that is written out where a file is opened to be read."""
    skipped: list[tuple[int, int]] = []
    opened: list[tuple[ast.Call, str]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            path = _path_of(node)
            if path and not _writes(node):
                opened.append((node, path))
        elif isinstance(node, ast.If | ast.Try):
            skipped += _skipped(node)
    return [
        (node, path)
        for node, path in opened
        if not any(first <= node.lineno <= last for first, last in skipped)
    ]


def _path_of(node: ast.Call) -> str | None:
    name = dotted(node.func)
    if name in _OPENERS and node.args:
        return _literal(node.args[0])
    if isinstance(node.func, ast.Attribute) and node.func.attr in _PATH_READERS:
        return _literal(node.func.value)
    return None


def _literal(node: ast.expr) -> str | None:
    """The text of a literal, or of `Path("…")`, or of one in an `open` inside."""
    match node:
        case ast.Constant(value=str(text)) if text and "\n" not in text:
            return text
        case ast.Call(func=function, args=[ast.Constant(value=str(text))]) if dotted(function) in _PATHS:
            return text
    return None


def _writes(node: ast.Call) -> bool:
    """Whether a mode is given by which the file is made."""
    modes = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and re.fullmatch(r"[wax]b?t?\+?", mode.value)
        for mode in modes
    )


def _skipped(node: ast.If | ast.Try) -> Iterator[tuple[int, int]]:
    """Lines that no server runs (`if __name__ == "__main__":`), or that mind a file that is not there."""
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            yield node.lineno, node.end_lineno or node.lineno
        case ast.Try(body=body, handlers=handlers) if any(map(_minds_absence, handlers)):
            yield body[0].lineno, body[-1].end_lineno or body[-1].lineno


def _minds_absence(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or dotted(one) in _ABSENCE for one in caught)


RULES = (
    Rule(
        "gpu-code",
        "error",
        "A source asks for a GPU without asking whether there is one, and the instance type has none.",
        "Choose the device by `torch.cuda.is_available()`, or take a GPU instance type.",
        _gpu_code,
    ),
    Rule(
        "absolute-path",
        "error",
        "A file is opened by a path of this machine. (A warning in sources other than the handler.)",
        "Open it under `model_dir`, and name it under `artifacts`.",
        _absolute_paths,
    ),
    Rule(
        "relative-path",
        "error",
        "A file of the project is opened that is not in the model data. (A warning in sources other than "
        "the handler, and in a local environment.)",
        "Name it under `artifacts`, and open it under `model_dir`.",
        _relative_paths,
        of_aws=False,
    ),
)
