"""Secrets in what is recorded of a request: known by a header's name or by their own looks."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
"""What stands for a secret."""

_NAMES = re.compile(
    r"auth(?!or(?!i))|cookie|token(?!s)|secret|passw|credential|signature|(?:api|access|private|master)[-_]?key",
    re.IGNORECASE,
)
"""Headers whose whole value is one. Of tokens in the plural only the number is told, as in `max_tokens`."""

_VALUES = re.compile(
    r"""
    (?P<kept>
        \b(?:bearer|basic|digest|negotiate)\s{1,8}
      | (?<![\w-])[\w-]{0,60}  # all is bounded: a long word must not take its square of time
        (?:auth(?!or)|cookie|token(?!s)|secret|passw|credential|signature|(?:api|access|private)[-_]?key)
        [\w-]{0,60}["']?\s{0,8}[=:]\s{0,8}["']?
    )
    [^\s"',;&]+
  | \b(?:AKIA|ASIA|HOTFIRE)[A-Z0-9]{12,}\b
  | \beyJ[\w-]{5,}\.[\w-]+\.[\w-]*
  | \b(?:sk|pk|rk|ghp|gho|ghs|hf|hfk|xox[abprs]|glpat|github_pat|hotfire)[-_][A-Za-z0-9_-]{16,}
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What gives itself away in any value: schemes and names that announce one, keys of known forms."""


def mask_text(text: str) -> str:
    """A text without the secrets in it that give themselves away."""
    return _VALUES.sub(lambda found: (found["kept"] or "") + MASK, text)


def masked(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers with a mask in the place of each secret."""
    return {name: MASK if value and _NAMES.search(name) else mask_text(value) for name, value in headers}


def is_masked(value: str) -> bool:
    """Whether something was taken out of it."""
    return MASK in value
