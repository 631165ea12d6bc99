"""What one answer says that another does not: values compared, and the label at the top of an answer."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

TOLERANCE = 1e-4
"""How far numbers may be apart, absolutely or relative to the larger, and still be the same."""


def is_tolerance(value: float) -> bool:
    """Whether numbers can be so far apart: not where none, or all, would be the same."""
    return 0 <= value <= sys.float_info.max


PROBABILITY_KEYS = ("probabilities", "scores", "predictions", "probability", "score", "outputs", "results")
"""The members under which an answer's probabilities are sought, in this order."""

LABEL_KEYS = ("label", "class", "name", "labels", "classes", "names")
"""The members that name what a probability is of."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ. `path` is empty for the whole value, else like `[0].scores.b`.

    `change` is by how much a number grew; None if either is not a finite number.
    """

    path: str
    kind: Literal["changed", "missing", "new"]
    expected: Any = None
    got: Any = None
    change: float | None = None

    def __str__(self) -> str:
        place = self.path or "the answer"
        if self.kind == "missing":
            return f"{place} is missing, expected {shown(self.expected)}"
        if self.kind == "new":
            return f"{place} is new: {shown(self.got)}"
        by = "" if self.change is None else f" ({self.change:+.4g})"
        return f"{place} was {shown(self.expected)}, now {shown(self.got)}{by}"


def compare(expected: Any, got: Any, tolerance: float = TOLERANCE, path: str = "") -> Iterator[Difference]:
    """Where two JSON values differ. The order of keys does not matter; a NaN is the same as another.

    Two whole numbers are compared exactly, a fraction with any within `tolerance`; `true` is no number.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        yield from _compare_members(expected, got, tolerance, f"{path}." if path else "")
    elif isinstance(expected, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(expected, got, strict=False)):
            yield from compare(one, other, tolerance, f"{path}[{index}]")
        for index in range(len(got), len(expected)):
            yield Difference(f"{path}[{index}]", "missing", expected=expected[index])
        for index in range(len(expected), len(got)):
            yield Difference(f"{path}[{index}]", "new", got=got[index])
    elif not _same(expected, got, tolerance):
        yield Difference(path, "changed", expected, got, _change(expected, got))


def top_labels(value: Any) -> list[str] | None:
    """The label with the highest probability for each of an answer's inputs, or None if none can be found.

    The inputs are the items of the answer, or of the list under one of `PROBABILITY_KEYS`; of each
    the probabilities are found as `probabilities` says.
    """
    items = value if isinstance(value, list) else next(_under_keys(value, list), None)
    if not items:
        return None
    tops = [_top(item) for item in items]
    return None if None in tops else [top for top in tops if top is not None]


def top_label(value: Any) -> str | None:
    """The label with the highest probability in an answer for one input, or None if none can be found."""
    whole = _top(value)
    if whole is not None:
        return whole
    tops = top_labels(value)
    return tops[0] if tops and len(tops) == 1 else None


def probabilities(value: Any) -> dict[str, float] | None:
    """The probability of each label in an answer for one input. Found are, in this order:

    - labels with their numbers: `{"a": 0.9, "b": 0.1}`;
    - numbers alone, whose labels are their places: `[0.9, 0.1]`;
    - objects that hold a label and a number: `[{"label": "a", "score": 0.9}, …]`, or one of them;
    - a list of labels beside one of numbers: `{"labels": ["a", "b"], "scores": [0.9, 0.1]}`;
    - any of these under one of `PROBABILITY_KEYS`.
    """
    if isinstance(value, dict):
        return _of_object(value)
    if not isinstance(value, list) or not value:
        return None
    if all(_is_number(item) for item in value):
        return {str(index): _fraction(item) for index, item in enumerate(value)}
    pairs = [_labelled(item) for item in value]
    return None if None in pairs else dict(pair for pair in pairs if pair is not None)


def shown(value: Any, limit: int = 80) -> str:
    """A JSON value in a message, cut if it is long."""
    text = f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _compare_members(expected: Any, got: Any, tolerance: float, prefix: str) -> Iterator[Difference]:
    for key, value in expected.items():
        if key in got:
            yield from compare(value, got[key], tolerance, prefix + key)
        else:
            yield Difference(prefix + key, "missing", expected=value)
    for key in got:
        if key not in expected:
            yield Difference(prefix + key, "new", got=got[key])


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if not (_is_number(expected) and _is_number(got)):
        return type(expected) is type(got) and bool(expected == got)
    if isinstance(expected, int) and isinstance(got, int):
        return expected == got
    one, other = _fraction(expected), _fraction(got)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def _change(expected: Any, got: Any) -> float | None:
    if not (_is_number(expected) and _is_number(got)):
        return None
    change = _fraction(got) - _fraction(expected)
    return change if math.isfinite(change) else None


def _fraction(number: float) -> float:
    """A number as a float: infinity for a whole one that no float can hold."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _top(value: Any) -> str | None:
    found = probabilities(value)
    numbers = {label: number for label, number in (found or {}).items() if not math.isnan(number)}
    return max(numbers, key=lambda label: numbers[label]) if numbers else None


def _of_object(value: Mapping[str, Any]) -> dict[str, float] | None:
    pair = _labelled(value)
    if pair is not None:
        return dict([pair])
    if value and all(_is_number(item) for item in value.values()):
        return {label: _fraction(item) for label, item in value.items()}
    numbers = next(_under_keys(value, list), None)
    labels = next((value[key] for key in LABEL_KEYS if isinstance(value.get(key), list)), None)
    if labels and numbers and len(labels) == len(numbers) and all(_is_number(item) for item in numbers):
        return {str(label): _fraction(item) for label, item in zip(labels, numbers, strict=True)}
    found = (probabilities(item) for item in _under_keys(value, dict | list))
    return next((one for one in found if one), None)


def _labelled(value: Any) -> tuple[str, float] | None:
    """The label and the number of `{"label": "a", "score": 0.9}`."""
    if not isinstance(value, dict):
        return None
    label = next((value[key] for key in LABEL_KEYS if isinstance(value.get(key), str | int)), None)
    number = next((value[key] for key in PROBABILITY_KEYS if _is_number(value.get(key))), None)
    return None if label is None or number is None else (str(label), _fraction(number))


def _under_keys(value: Any, kind: Any) -> Iterator[Any]:
    """The members of `kind` that may hold probabilities."""
    if isinstance(value, dict):
        yield from (value[key] for key in PROBABILITY_KEYS if isinstance(value.get(key), kind))
