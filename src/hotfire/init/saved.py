"""What a saved model is, told by its bytes; torch is not needed, and nothing that it holds is run."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from hotfire.errors import ProjectError
from hotfire.init.inputs import Input, of_layers, of_traced, of_weights
from hotfire.init.pickles import Content, Instance, NotReadable, Reader, Tensor

Kind = Literal["TorchScript", "weights", "module"]

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".jit", ".ts", ".torchscript", ".safetensors")
"""What files of models are called."""

_LARGEST_PICKLE = 256 << 20
_LARGEST_HEADER = 100 << 20
_MAGIC = 0x1950A86A20F9469CFC6C
"""What torch's files began with before they were zip archives."""

_WEIGHTS_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "weights", "net", "module")
_HARMLESS = re.compile(r"collections\.OrderedDict|torch(\.\w+)?|torch\._utils\.\w+|torch\.\w*Storage")
_SAFE_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "BOOL": "bool",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
}

_ADVICE = (
    "Hotfire serves models of PyTorch; with a handler of your own beside it, `hotfire init` takes any file."
)


@dataclass(frozen=True, slots=True)
class Saved:
    """A model in a file.

    Of `weights`, `tensors` are they, under `key` of what the file holds (None: it holds nothing else), all
    with `prefix` before their names. Of a `module`, `class_name` is its class, and `modules` are those of all
    classes in it. `is_plain` says that torch loads it with `weights_only=True`.
    """

    file: Path
    kind: Kind
    inputs: tuple[Input, ...]
    tensors: Mapping[str, Tensor]
    key: str | None = None
    prefix: str = ""
    class_name: str = ""
    modules: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("input",)
    is_plain: bool = True
    is_safetensors: bool = False

    @property
    def input(self) -> Input | None:
        """What it takes first, if that can be told."""
        return self.inputs[0] if self.inputs else None

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        match self.kind:
            case "TorchScript":
                return "TorchScript"
            case "module":
                return f"a pickled module of the class {self.class_name}"
        at = f" under the key {self.key!r}" if self.key is not None else ""
        form = "weights as safetensors" if self.is_safetensors else f"weights, a state_dict{at}"
        return f"{form}, of {len(self.tensors)} tensors"


def recognise(file: Path) -> Saved:
    """What the file is. Raises ProjectError, which says what it looks like."""
    try:
        with file.open("rb") as stream:
            start = stream.read(16)
            stream.seek(0)
            if file.suffix == ".safetensors":
                return _safetensors(file, stream)
            if start.startswith(b"PK"):
                return _zip(file, stream)
            if start[:1] == b"\x80":
                return _legacy(file, stream)
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}") from error
    raise _unknown(file, "neither a file of torch's nor safetensors")


def _zip(file: Path, stream: BinaryIO) -> Saved:
    try:
        with zipfile.ZipFile(stream) as archive:
            root = archive.namelist()[0].partition("/")[0] if archive.namelist() else ""
            if f"{root}/data.pkl" not in archive.namelist():
                raise _unknown(file, _zip_title(archive, root))
            if f"{root}/constants.pkl" in archive.namelist():
                return _torchscript(file, archive, root)
            return _told(file, _pickle(archive, f"{root}/data.pkl"))
    except (zipfile.BadZipFile, NotReadable) as error:
        raise _damaged(file, error) from error


def _zip_title(archive: zipfile.ZipFile, root: str) -> str:
    names = archive.namelist()
    if f"{root}/archive_format" in names:
        return "a program that torch.export saved"
    return "a zip archive that torch did not write"


def _pickle(archive: zipfile.ZipFile, name: str) -> Content:
    if archive.getinfo(name).file_size > _LARGEST_PICKLE:
        raise NotReadable(f"{name} has {archive.getinfo(name).file_size:,} bytes")
    with archive.open(name) as stream:
        return Reader(stream).next()  # type: ignore[arg-type]  # it reads, which is all that is asked of it


def _torchscript(file: Path, archive: zipfile.ZipFile, root: str) -> Saved:
    value = _pickle(archive, f"{root}/data.pkl").value
    traced = f"{root}/traced_inputs.pkl"
    inputs = of_traced(_pickle(archive, traced).value) if traced in archive.namelist() else ()
    arguments = _arguments(archive, root, value)
    if not inputs and len(arguments) == 1:
        inputs = of_layers(value)
    return Saved(file, "TorchScript", inputs, {}, arguments=arguments)


def _arguments(archive: zipfile.ZipFile, root: str, value: Any) -> tuple[str, ...]:
    """The names of what its `forward` takes, as its source has them."""
    class_name = getattr(value, "class_name", "")
    module, _, name = class_name.rpartition(".")
    try:
        body = ast.parse(archive.read(f"{root}/code/{module.replace('.', '/')}.py")).body
    except (KeyError, SyntaxError, ValueError):
        return ("input",)
    classes = [one for one in body if isinstance(one, ast.ClassDef) and one.name == name]
    for one in (inner for found in classes for inner in found.body):
        if isinstance(one, ast.FunctionDef) and one.name == "forward":
            return tuple(argument.arg for argument in one.args.args[1:])
    return ("input",)


def _legacy(file: Path, stream: BinaryIO) -> Saved:
    reader = Reader(stream)
    try:
        if reader.next().value != _MAGIC:
            raise _unknown(file, "a pickle that torch did not write")
        reader.next()
        reader.next()
        return _told(file, reader.next())
    except NotReadable as error:
        raise _damaged(file, error) from error


def _safetensors(file: Path, stream: BinaryIO) -> Saved:
    length = int.from_bytes(stream.read(8), "little")
    try:
        if not 2 <= length <= _LARGEST_HEADER:
            raise ValueError("its header has an impossible length")
        header = json.loads(stream.read(length))
        tensors = {
            name: Tensor(_SAFE_DTYPES.get(one["dtype"], "unknown"), tuple(map(int, one["shape"])))
            for name, one in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(file, error) from error
    return Saved(file, "weights", of_weights(tensors), tensors, is_safetensors=True)


def _told(file: Path, content: Content) -> Saved:
    """What torch.save wrote."""
    value, names = content.value, content.names
    if isinstance(value, Instance):
        modules = tuple(dict.fromkeys(name.rpartition(".")[0] for name in names if _is_of_classes(name)))
        return Saved(
            file, "module", of_layers(value), {}, class_name=value.class_name, modules=modules, is_plain=False
        )
    key, tensors = _weights(value)
    if not tensors:
        raise _unknown(file, f"torch saved {_title(value)}, no model and no weights")
    prefix = _prefix(tensors, value)
    is_plain = all(_HARMLESS.fullmatch(name) for name in names)
    return Saved(file, "weights", of_weights(tensors), tensors, key, prefix, is_plain=is_plain)


def _is_of_classes(name: str) -> bool:
    return not (_HARMLESS.fullmatch(name) or name.startswith(("builtins.", "torch._utils.", "__builtin__.")))


def _weights(value: Any) -> tuple[str | None, Mapping[str, Tensor]]:
    """The weights in what was saved, and the key under which they are."""
    if not isinstance(value, Mapping):
        return None, {}
    own = _tensors(value)
    if own:
        return None, own
    inner = {key: _tensors(one) for key, one in value.items() if isinstance(key, str)}
    keys = [*(key for key in _WEIGHTS_KEYS if inner.get(key)), *(key for key in inner if inner[key])]
    return (keys[0], inner[keys[0]]) if keys else (None, {})


def _tensors(value: Any) -> Mapping[str, Tensor]:
    """The value if it is a state_dict, else nothing."""
    if not isinstance(value, Mapping) or not value:
        return {}
    found = {key: one for key, one in value.items() if isinstance(key, str) and isinstance(one, Tensor)}
    # A module may add values of its own to its state_dict.
    return found if len(found) > len(value) / 2 else {}


def _prefix(tensors: Mapping[str, Tensor], value: Any) -> str:
    """What a wrapper has put before each name: DataParallel, or Lightning's module around the model."""
    heads = {name.partition(".")[0] for name in tensors}
    is_lightning = isinstance(value, Mapping) and "pytorch-lightning_version" in value
    if len(heads) == 1 and (heads == {"module"} or is_lightning):
        return f"{heads.pop()}."
    return ""


def _title(value: Any) -> str:
    if isinstance(value, Tensor):
        return "a single tensor"
    return f"a {type(value).__name__}"


def _unknown(file: Path, what: str) -> ProjectError:
    return ProjectError(f"{file} is no model that Hotfire can load by itself: {what}", _ADVICE)


def _damaged(file: Path, error: Exception) -> ProjectError:
    return ProjectError(f"{file} is damaged or cut short: {error}", "Save or copy it again.")
