"""What a model answered, input by input, in the form in which people read it."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotfire.app_inputs import kind_of_bytes
from hotfire.app_schema import App, Output, Shown, member
from hotfire.bodies import value_of
from hotfire.comparison import LABEL_KEYS, probabilities

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
"""What is shown as an image: formats in which nothing can be hidden that runs."""

_MOST_BARS = 10
_MOST_MORE_BARS = 200
_MOST_TEXT = 20_000
_MOST_ROWS, _MOST_COLUMNS, _MOST_CELL = 50, 20, 300
_MOST_LABEL = 500
_MOST_IMAGE = 4_000_000
_MOST_RESULTS = 100
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Bar:
    """A label with its number: `share` of the bar's length in percent, `words` as people read it."""

    label: str
    share: float
    words: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer. What it shows depends on its kind; `left` is how much of that is left out.

    Of `LABEL` the `bars`, of `TABLE` the `head` and `rows`, else the `text`, of `IMAGE` a data address.
    """

    kind: Shown
    label: str = ""
    text: str = ""
    bars: Sequence[Bar] = ()
    more_bars: Sequence[Bar] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What was answered to one input, which `caption` tells from the others."""

    caption: str
    parts: Sequence[Part]


def results(app: App, body: bytes, content_type: str, captions: Sequence[str]) -> list[Result]:
    """A good answer to inputs with these captions; one result without a caption if it is not told apart."""
    media = content_type.partition(";")[0].strip().lower()
    if media.startswith("image/"):
        image = _image(body, media)
        return [Result("", [image])] if image is not None else []
    value = value_of(content_type, body)
    if isinstance(value, dict) and not _is_text(body):
        return []
    answers = app.answers_of(value, len(captions))
    if answers is None:
        answers, captions = [value], [""]
    pairs = list(zip(captions if len(captions) > 1 else [""], answers, strict=True))[:_MOST_RESULTS]
    found = [Result(caption, _parts(app.outputs, answer)) for caption, answer in pairs]
    # What can be shown as JSON alone is shown as it came.
    is_bare = len(found) == 1 and not app.outputs and found[0].parts[0].kind is Shown.JSON
    return [] if is_bare else found


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def headline(found: Sequence[Result]) -> str:
    """A few words on the answers: the most probable label, or the beginning of a text."""
    words = []
    for result in found[:3]:
        for part in result.parts[:1]:
            if part.bars:
                words.append(f"{part.bars[0].label[:80]} {part.bars[0].words}")
            elif part.kind is Shown.TEXT:
                words.append(part.text[:120])
    return "; ".join(words)


def _parts(outputs: Sequence[Output], answer: Any) -> list[Part]:
    if not outputs:
        return [_guessed(answer)]
    return [_declared(output, member(answer, output.at)) for output in outputs]


def _declared(output: Output, value: Any) -> Part:
    """A part as `app:` wants it; as JSON where it cannot be so."""
    return replace(_MAKERS[output.kind](value) or _json(value), label=output.label)


def _guessed(value: Any) -> Part:
    """A part by its looks."""
    if isinstance(value, str | int | float | bool):
        return _base64_image(value) or _text(value)
    found = _bars(value) if _is_probable(value) else None
    return found or _only_text(value) or _table(value) or _json(value)


def _is_probable(value: Any) -> bool:
    """Whether the numbers in it are probabilities, rather than just numbers by names."""
    found = probabilities(value)
    if not found or not all(0 <= number <= 1 + _SLACK for number in found.values()):
        return False
    if len(found) > 1:
        return True
    # One number by a name may be anything.
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    return isinstance(inner, dict) and any(key in inner for key in LABEL_KEYS)


def _bars(value: Any) -> Part | None:
    found = probabilities(value)
    if not found:
        label = value if isinstance(value, str) else None
        return Part(Shown.TEXT, text=label) if label is not None else None
    numbers = {label: number for label, number in found.items() if not math.isnan(number)}
    ranked = sorted(numbers.items(), key=lambda pair: -pair[1])
    longest = max((abs(number) for number in numbers.values()), default=1.0) or 1.0
    are_shares = all(0 <= number <= 1 + _SLACK for number in numbers.values())
    bars = [_bar(label, number, 1.0 if are_shares else longest, are_shares) for label, number in ranked]
    rest = bars[_MOST_BARS:]
    more = rest[:_MOST_MORE_BARS] if len(rest) > 2 else ()
    shown = bars[:_MOST_BARS] if more else bars
    return Part(Shown.LABEL, bars=shown, more_bars=more, left=max(len(rest) - _MOST_MORE_BARS, 0))


def _bar(label: str, number: float, longest: float, is_share: bool) -> Bar:
    share = 0.0 if math.isinf(longest) else max(min(number / longest, 1.0), 0.0) * 100
    words = f"{number * 100:.1f} %" if is_share else f"{number:.4g}"
    return Bar(_short(label), round(share, 2), words)


def _only_text(value: Any) -> Part | None:
    """The one text of an object, as `{"generated_text": "…"}` has it."""
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(inner, dict) and len(inner) == 1:
        (inner,) = inner.values()
        if isinstance(inner, str):
            return _base64_image(inner) or _text(inner)
    return None


def _text(value: Any) -> Part:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Part(Shown.TEXT, text=text[:_MOST_TEXT], left=max(len(text) - _MOST_TEXT, 0))


def _json(value: Any) -> Part:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return Part(Shown.JSON, text=text[:_MOST_TEXT], left=max(len(text) - _MOST_TEXT, 0))


def _table(value: Any) -> Part | None:
    """Rows of cells: a list of flat objects or of flat lists, or one flat object by its members."""
    if isinstance(value, dict) and value and all(map(_is_plain, value.values())):
        return _rows((), [[str(name), item] for name, item in value.items()])
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(row, dict) and row and all(map(_is_plain, row.values())) for row in value):
        head = list(dict.fromkeys(str(key) for row in value for key in row))
        return _rows(head, [[row.get(key, "") for key in head] for row in value])
    if all(isinstance(row, list) and row and all(map(_is_plain, row)) for row in value):
        return _rows((), value)
    return None


def _rows(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Part:
    shown = [[_cell(cell) for cell in row[:_MOST_COLUMNS]] for row in rows[:_MOST_ROWS]]
    names = [_short(name, _MOST_CELL) for name in head[:_MOST_COLUMNS]]
    return Part(Shown.TABLE, head=names, rows=shown, left=max(len(rows) - _MOST_ROWS, 0))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _short(text, _MOST_CELL)


def _short(text: str, most: int = _MOST_LABEL) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _base64_image(value: Any) -> Part | None:
    """An image in base64, told by its first bytes."""
    if not isinstance(value, str) or len(value) < 20 or len(value) > _MOST_IMAGE * 2:
        return None
    rest = value.partition(",")[2] if value.startswith("data:image/") else value
    try:
        data = base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError):
        return None
    return _image(data, kind_of_bytes(data))


def _image(data: bytes, media: str) -> Part | None:
    if media not in IMAGES or len(data) > _MOST_IMAGE:
        return None
    return Part(Shown.IMAGE, text=f"data:{media};base64,{base64.b64encode(data).decode()}")


_MAKERS: Mapping[Shown, Callable[[Any], Part | None]] = {
    Shown.LABEL: _bars,
    Shown.TEXT: _text,
    Shown.TABLE: _table,
    Shown.IMAGE: _base64_image,
    Shown.JSON: _json,
}
