"""What a pickle holds, without any of the classes that it names: nothing of it is run."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

_DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Bool": "bool",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError),
    *(ImportError, MemoryError, RecursionError, OverflowError),
)


class NotReadable(Exception):
    """A pickle that is damaged, or of a kind that is not known."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's type and shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a tensor's numbers are."""

    dtype: str


class Instance:
    """An object of a class that the pickle names."""

    class_name: ClassVar[str] = ""

    def __new__(cls, *_: Any, **__: Any) -> Instance:
        """Made of anything."""
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, *_: Any) -> None:
        """An object that is a dictionary too."""

    def __call__(self, *arguments: Any, **_: Any) -> Instance:
        """What stands for a function makes something that stands for its result."""
        return Instance(*arguments)

    def append(self, *_: Any) -> None:
        """An object that is a list too."""

    extend = append

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, slots=True)
class Content:
    """What a pickle makes, and the full names of all that it asks for of modules."""

    value: Any
    names: tuple[str, ...]


class Reader(pickle.Unpickler):
    """Reads one pickle after the other from a stream, with stand-ins for every class and function."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")
        self._names: dict[str, None] = {}

    def next(self) -> Content:
        """The next pickle. Raises NotReadable."""
        try:
            value = self.load()
        except _DAMAGED as error:
            raise NotReadable(str(error)) from error
        return Content(value, tuple(self._names))

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, by the name."""
        full = f"{module}.{name}"
        if not all(part.isidentifier() for part in full.split(".")):
            raise pickle.UnpicklingError(f"{full!r} is no name")
        self._names[full] = None
        known = _KNOWN.get(full)
        return known if known is not None else type(name, (Instance,), {"class_name": full})

    def persistent_load(self, pid: Any) -> Any:
        """The type of a tensor's numbers, of which only the place is in the pickle; or a class as it is."""
        if isinstance(pid, tuple) and pid[:1] == ("module",):
            return pid[1]
        kind = getattr(pid[1], "class_name", "") if isinstance(pid, tuple) and len(pid) > 1 else ""
        return Storage(_DTYPES.get(kind.rpartition(".")[2].removesuffix("Storage"), ""))


def walk(value: Any) -> Iterator[Instance]:
    """The objects inside of an object, itself first, in the order in which they were set."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Instance):
            yield one
            one = one.state
        if isinstance(one, Mapping):
            waiting.extend(reversed([*one.values()]))
        elif isinstance(one, list | tuple):
            waiting.extend(reversed(one))


def _tensor(storage: Any, _offset: Any, shape: Any, *_: Any) -> Tensor:
    return Tensor(storage.dtype if isinstance(storage, Storage) else "", tuple(map(int, shape)))


def _typed_tensor(_storage: Any, _offset: Any, shape: Any, *rest: Any) -> Tensor:
    """A tensor of a storage without a type: the type comes last."""
    dtype = next((one.class_name for one in rest if isinstance(one, type) and issubclass(one, Instance)), "")
    return Tensor(dtype.rpartition(".")[2], tuple(map(int, shape)))


def _first(value: Any, *_: Any) -> Any:
    return value


_KNOWN: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
}
