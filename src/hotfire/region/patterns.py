"""Patterns of AWS's service models, which are Java's, as Python reads them.

Python's `re` has no Unicode properties. Where a pattern names one (`\\p{L}`), each non-ASCII character of
the text is replaced by a stand-in for its general category, and the property by ASCII's members of the
category and that stand-in: exact, and no table of half a million characters is built.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_STAND_INS = {"L": "\ue000", "M": "\ue001", "N": "\ue002", "P": "\ue003", "S": "\ue004", "Z": "\ue005"}
_OTHER = "\ue006"  # controls, private use and what is not assigned: in none of the properties above
_POSIX = {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e", "Alnum": "a-zA-Z0-9"}  # ASCII only, as in Java
_LINE_ENDS = r"\n\r\u0085\u2028\u2029"

_TOKEN = re.compile(
    r"""
    \\p\{(?P<property>\w+)\}
  | \\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})
  | (?P<end>\\z)
  | (?P<escape>\\.)
  | (?P<anchor>\$)(?:[*+?]|\{[0-9,]+\})?
  | (?P<open>\[\^?)
  | (?P<close>\])
  | (?P<dot>\.)
  | (?P<hyphen>-)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Pattern:
    """One of a service model's patterns; `fits` asks whether it matches the whole of a text."""

    __slots__ = ("_by_category", "regex", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._by_category = re.search(rf"\\p\{{[{''.join(_STAND_INS)}]\}}", source) is not None
        self.regex = re.compile(_translated(source), re.ASCII)

    def fits(self, text: str) -> bool:
        if self._by_category and not text.isascii():
            text = "".join(char if char.isascii() else _stand_in(char) for char in text)
        return self.regex.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def pattern(source: str) -> Pattern:
    """The pattern of a service model, compiled when it is first needed."""
    return Pattern(source)


def _stand_in(char: str) -> str:
    return _STAND_INS.get(unicodedata.category(char)[0], _OTHER)


def _translated(source: str) -> str:
    out: list[str] = []
    in_class = False
    for match in _TOKEN.finditer(source):
        kind, text = match.lastgroup, match[0]
        if kind == "open" and not in_class:
            in_class = True
        elif kind == "close" and in_class:
            in_class = False
        elif kind == "hyphen" and in_class and out[-1] in (r"\w", r"\d", r"\s"):
            text = r"\-"  # a set cannot begin a range: Java takes the hyphen for itself
        else:
            text = _token(match, in_class)
        out.append(text)
    return "".join(out)


def _token(match: re.Match[str], in_class: bool) -> str:
    """What a token that does not open or close a character class is in Python."""
    match match.lastgroup:
        case "property":
            members = _property(match["property"])
            return members if in_class else f"[{members}]"
        case "low":  # a pair of surrogates is one character
            pair = bytes.fromhex(match["high"] + match["low"])
            return f"\\U{ord(pair.decode('utf-16-be')):08x}"
        case "end":
            return r"\Z"
        case "anchor" if not in_class:
            return "$"  # it has no width: to repeat it changes nothing, and Python will not
        case "dot" if not in_class:
            return f"[^{_LINE_ENDS}]"
        case _:
            return match[0]


def _property(name: str) -> str:
    if name in _POSIX:
        return _POSIX[name]
    ascii_members = (chr(code) for code in range(128) if unicodedata.category(chr(code))[0] == name)
    return "".join(f"\\x{ord(char):02x}" for char in ascii_members) + _STAND_INS[name]
