"""Rules about the versions in requirements.txt.

What can be known without asking PyPI: the Pythons for which the lines of torch, numpy, pandas, scipy and
scikit-learn were published, and what the packages that are installed here say of themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hotfire.images import OwnLine
from hotfire.preflight.finding import Found, Rule
from hotfire.preflight.image_choice import python_by, torch_by
from hotfire.preflight.requirements import Requirement
from hotfire.preflight.subject import Subject

_PYTHONS: dict[str, dict[tuple[int, int], tuple[int, int]]] = {
    "torch": {
        **dict.fromkeys([(1, 9)], (6, 9)),
        **dict.fromkeys([(1, 10)], (6, 9)),
        **dict.fromkeys([(1, 11), (1, 12)], (7, 10)),
        **dict.fromkeys([(1, 13)], (7, 11)),
        **dict.fromkeys([(2, 0), (2, 1)], (8, 11)),
        **dict.fromkeys([(2, 2), (2, 3), (2, 4)], (8, 12)),
        **dict.fromkeys([(2, 5), (2, 6), (2, 7), (2, 8)], (9, 13)),
        **dict.fromkeys([(2, 9)], (10, 14)),
    },
    "numpy": {
        **dict.fromkeys([(1, 19)], (6, 9)),
        **dict.fromkeys([(1, 20)], (7, 9)),
        **dict.fromkeys([(1, 21)], (7, 10)),
        **dict.fromkeys([(1, 22)], (8, 10)),
        **dict.fromkeys([(1, 23), (1, 24)], (8, 11)),
        **dict.fromkeys([(1, 25)], (9, 11)),
        **dict.fromkeys([(1, 26), (2, 0)], (9, 12)),
        **dict.fromkeys([(2, 1), (2, 2)], (10, 13)),
        **dict.fromkeys([(2, 3)], (11, 14)),
    },
    "pandas": {
        **dict.fromkeys([(1, 3)], (7, 10)),
        **dict.fromkeys([(1, 4)], (8, 10)),
        **dict.fromkeys([(1, 5), (2, 0)], (8, 11)),
        **dict.fromkeys([(2, 1)], (9, 12)),
        **dict.fromkeys([(2, 2)], (9, 13)),
    },
    "scipy": {
        **dict.fromkeys([(1, 7)], (7, 10)),
        **dict.fromkeys([(1, 8)], (8, 10)),
        **dict.fromkeys([(1, 9), (1, 10)], (8, 11)),
        **dict.fromkeys([(1, 11), (1, 12), (1, 13)], (9, 12)),
        **dict.fromkeys([(1, 14), (1, 15)], (10, 13)),
    },
    "scikit-learn": {
        **dict.fromkeys([(1, 0)], (7, 10)),
        **dict.fromkeys([(1, 1), (1, 2)], (8, 11)),
        **dict.fromkeys([(1, 3)], (8, 12)),
        **dict.fromkeys([(1, 4)], (9, 12)),
        **dict.fromkeys([(1, 5), (1, 6)], (9, 13)),
    },
}
"""The lines of a package, and the first and last Python 3 that it was published for."""

_OPERATOR = re.compile(r"(~=|===?|!=|<=|>=|<|>)\s*([0-9][0-9.]*)(\.\*)?")


def _pins(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    python = _numbers(image.python)
    for one in subject.requirements.lines:
        said = None if one.marker else _said_of_python(subject, one, python)
        if said:
            message = (
                f"{one.name}{one.versions} cannot be installed on the image's Python {image.python}: {said}."
            )
            advice = f"Ask for a newer version, or choose an image with its Python by {python_by(image)}."
            yield Found(message, advice, one.file, one.line)


def _said_of_python(subject: Subject, one: Requirement, python: tuple[int, ...]) -> str | None:
    """Why a pinned version is not for this Python; None if it is, or if that is not known."""
    if one.pin is None:
        return None
    major_minor = (*_numbers(one.pin), 0)[:2]
    known = _PYTHONS.get(one.name, {}).get((major_minor[0], major_minor[1]))
    if known and not known[0] <= python[1] <= known[1]:
        line = ".".join(map(str, major_minor))
        return f"{one.name} {line} was published for Python 3.{known[0]} to 3.{known[1]}"
    installed = subject.installed
    if installed is not None and installed.version(one.name) == one.pin:
        wanted = installed.python_requires(one.name)
        if wanted and not allows(wanted, python):
            return f"it says that it needs Python {wanted}"
    return None


def allows(versions: str, python: tuple[int, ...]) -> bool:
    """Whether a `Requires-Python` such as `>=3.9,<4,!=3.10.*` lets a Python in, by its first two numbers."""
    return all(_fits(match, python[:2]) for match in _OPERATOR.finditer(versions))


def _fits(match: re.Match[str], python: tuple[int, ...]) -> bool:
    operator, given, star = match[1], _numbers(match[2]), match[3]
    two = (*given, 0)[:2]
    if operator in ("!=", "==", "==="):
        # Of one patch release nothing can be said of the whole line.
        is_line = bool(star) or len(given) < 3
        same = python[: len(given)] == given[:2]
        return not (is_line and same) if operator == "!=" else same
    if operator == "~=":
        return python >= two and python[0] == given[0]
    if operator in (">=", ">"):
        return python >= two
    below = python < two or len(given) > 2
    return below and python <= two if operator == "<" else python <= two


def _torch(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None or isinstance(image, OwnLine):  # which is built with the torch that is asked for
        return
    for one in subject.requirements.lines:
        if one.name != "torch" or one.marker:
            continue
        if one.pin and _numbers(one.pin)[:2] != _numbers(image.torch)[:2]:
            message = f"torch{one.versions} replaces the image's torch {image.torch} at each start."
            advice = (
                "Leave the line out: its download is large, and the image's torchvision and CUDA are for its "
                f"own torch. Or choose an image with that torch, where there is one, by {torch_by(image)}."
            )
            yield Found(message, advice, one.file, one.line)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:3])


RULES = (
    Rule(
        "pins",
        "error",
        "A pinned version that was not published for the image's Python. (Known without asking PyPI: the "
        "lines of torch, numpy, pandas, scipy and scikit-learn, and what is installed here says of itself.)",
        "Ask for another version, or take an image with that Python.",
        _pins,
    ),
    Rule(
        "torch-pin",
        "warning",
        "requirements.txt replaces the image's torch by another.",
        "Leave the line out, or choose an image with that torch by `framework_version`; of `serving: ray` "
        "there is one image alone.",
        _torch,
    ),
)
