"""Values in a few words, for people: shapes in place of numbers, the beginning of what is long, no secrets.

Nothing of the handler's is run for it: no `__repr__`, no property. What cannot be told is named by its type.
"""

import datetime
import decimal
import enum
import fractions
import pathlib
import re
import uuid
from typing import Any, Dict, Iterator, List, Tuple

LONGEST = 160
_FIRST, _DEEP = 6, 3
_MASK = "•••"

_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)|secret|credential|authorization|cookie|(?:^|_)auth(?:$|_)|"
    r"(?:^|_|-)(?:api|access|private|signing|encryption)[_-]?key|(?:^|_|-)token$|(?:api|access|auth)token$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bhf_\w{20,}|\bsk-[\w-]{20,}|"
    r"\bxox[abp]-[\w-]{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=Bearer )[\w.~+/-]{8,}|"
    r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END|\Z)"
)
_SECRET_LITERAL = re.compile(
    r"(?P<name>[\w-]+)(?P<between>[\"']?\]?\s*(?::\s*str\s*)?[:=]\s*)[rbfu]?(?P<quote>[\"'])(?:(?!(?P=quote)).)+(?P=quote)",
    re.IGNORECASE,
)
_PLAIN = (
    bool,
    int,
    float,
    complex,
    type(None),
    type(...),
    range,
    slice,
    pathlib.PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
)
_ARRAYS = ("numpy", "torch", "pandas", "scipy", "PIL", "tensorflow", "jax", "jaxlib", "polars", "pyarrow")
"""Packages whose objects may be asked for their shape and dtype."""


def described(value: Any, name: str = "", depth: int = 0) -> str:
    """A value that goes by this name, on one line."""
    try:
        text = _text(value, name, depth)
    except Exception:  # noqa: BLE001  # whatever it does when it is looked at
        text = "<" + type(value).__name__ + ">"
    return cut(text, LONGEST)


def masked(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRET_TEXT.sub(_MASK, text)


def masked_source(line: str) -> str:
    """A line of source without the text that it gives to a name of a secret."""

    def given(match: "re.Match[str]") -> str:
        is_secret = _SECRET_NAME.search(match["name"])
        return match["name"] + match["between"] + repr(_MASK) if is_secret else match[0]

    return masked(_SECRET_LITERAL.sub(given, line))


def cut(text: str, most: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: Any, name: str, depth: int) -> str:
    kind = type(value)
    if isinstance(value, (str, bytes, bytearray)):
        return _MASK if _SECRET_NAME.search(name) and len(value) else _quoted(value)
    if kind in _PLAIN or isinstance(value, pathlib.PurePath):
        return masked(cut(repr(value), LONGEST))
    if isinstance(value, enum.Enum):
        return f"{kind.__name__}.{value._name_}"
    if isinstance(value, BaseException):
        return f"{kind.__name__}({_quoted(str(value))})"
    if kind.__module__.partition(".")[0] in _ARRAYS or _is_tensor(value):
        return _array(value)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return _container(value, depth)
    return _object(value, depth)


def _quoted(value: Any) -> str:
    """Text or bytes, of which no more is looked at than shown."""
    start = value[: LONGEST * 2]
    text = masked(start) if isinstance(start, str) else bytes(start)
    shown = cut(repr(text), LONGEST - 30)
    size = f" ({len(value):,} {'characters' if isinstance(value, str) else 'bytes'})"
    return shown + (size if shown.endswith("…") or len(start) < len(value) else "")


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, (torch.Tensor, torch.nn.Module))


def _array(value: Any) -> str:
    """What is known of an array by its metadata; of a small one what it holds."""
    import torch

    kind = type(value).__name__
    if isinstance(value, torch.nn.Module):
        return _module(value)
    shape = getattr(value, "shape", None) or getattr(value, "size", None)
    if not isinstance(shape, (tuple, list)):
        is_number = hasattr(value, "dtype") and hasattr(value, "item")
        return kind + _numbers(value) if is_number else f"<{kind}>"
    dtype = str(getattr(value, "dtype", "")).replace("torch.", "")
    words = [kind, dtype, str(list(shape)), *_tensors_own(value)]
    return " ".join(word for word in words if word) + _numbers(value)


def _tensors_own(value: Any) -> Iterator[str]:
    import torch

    if isinstance(value, torch.Tensor) and value.device.type != "cpu":
        yield "on " + str(value.device)
    if isinstance(value, torch.Tensor) and value.requires_grad:
        yield "with gradients"


def _numbers(value: Any) -> str:
    """The numbers of an array that has a few."""
    import numpy
    import torch

    if isinstance(value, torch.Tensor):
        if value.device.type != "cpu" or value.layout != torch.strided or value.numel() > _FIRST:
            return ""
        return " " + cut(str(value.detach().tolist()), 60)
    if (
        isinstance(value, (numpy.ndarray, numpy.generic))
        and value.size <= _FIRST
        and value.dtype.kind in "biuf"
    ):
        return " " + cut(str(value.tolist()), 60)
    return ""


def _module(value: Any) -> str:
    parameters = sum(one.numel() for one in value.parameters())
    mode = "training" if value.training else "evaluation"
    return f"{type(value).__name__} of {parameters:,} parameters, in {mode} mode"


def _container(value: Any, depth: int) -> str:
    size = len(value)
    if isinstance(value, dict):
        opening, closing, parts = "{", "}", _pairs(dict.items(value), depth)
    elif isinstance(value, list):
        opening, closing, parts = "[", "]", _items(list.__iter__(value), depth)
    elif isinstance(value, tuple):
        opening, closing, parts = "(", ")" if size != 1 else ",)", _items(tuple.__iter__(value), depth)
    else:
        opening, closing, parts = "{", "}", _items(iter(value), depth)
        if not size:
            return f"{type(value).__name__}()"
    inner = ", ".join(parts) if depth < _DEEP else ("…" if size else "")
    text = opening + inner + closing
    return text if size <= _FIRST else f"{text[:-1]}, …{closing} ({size:,} items)"


def _items(values: Iterator[Any], depth: int) -> List[str]:
    return [described(value, "", depth + 1) for value, _ in zip(values, range(_FIRST))]  # noqa: B905


def _pairs(items: Any, depth: int) -> List[str]:
    pairs: Iterator[Tuple[Tuple[Any, Any], int]] = zip(iter(items), range(_FIRST))  # noqa: B905
    return [
        described(key, "", depth + 1)
        + ": "
        + described(value, key if isinstance(key, str) else "", depth + 1)
        for (key, value), _ in pairs
    ]


def _object(value: Any, depth: int) -> str:
    """Any other object: its type, and of what it holds the first few."""
    kind = type(value).__name__
    try:
        held: Dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        held = {}
    if isinstance(value, type) or callable(value) or not isinstance(held, dict) or depth >= _DEEP - 1:
        return f"<{getattr(value, '__name__', kind) if isinstance(value, type) else kind}>"
    named = [(name, one) for name, one in held.items() if isinstance(name, str) and not name.startswith("_")]
    inner = ", ".join(f"{name}={described(one, name, depth + 1)}" for name, one in named[:_FIRST])
    return f"{kind}({inner}{', …' if len(named) > _FIRST else ''})" if named else f"<{kind}>"
