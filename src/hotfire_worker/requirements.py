"""What `code/requirements.txt` asks for and this Python does not have."""

import importlib.metadata
import os
import re
import sys
from typing import List

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def unmet(model_dir: str, advice: str) -> str:
    """One sentence on what is missing, which ends in the advice; empty if nothing is.

    What pip alone understands is passed over.
    """
    wanting = [
        line for line in _lines(os.path.join(model_dir, "code", "requirements.txt")) if not _is_met(line)
    ]
    if not wanting:
        return ""
    what = f"code/requirements.txt asks for {', '.join(wanting)}, which {sys.executable} does not have"
    return f"{what}: {advice}"


def _lines(file: str) -> List[str]:
    try:
        with open(file, encoding="utf-8") as stream:
            lines = [line.partition(" #")[0].strip() for line in stream]
    except (OSError, UnicodeDecodeError):
        return []
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def _is_met(line: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return _is_there(line)
    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        return True  # a path or an address
    if wanted.url or (wanted.marker and not wanted.marker.evaluate()):
        return True
    try:
        return wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def _is_there(line: str) -> bool:
    """Whether the distribution is there at all: more cannot be told without `packaging`."""
    name = _NAME.match(line)
    if name is None or ";" in line or "@" in line or "/" in line:
        return True
    try:
        importlib.metadata.version(name.group())
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
