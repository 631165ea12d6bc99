"""What an image of one's own carries: as its lock says, or as it will be built."""

from __future__ import annotations

from hotfire import image_lock
from hotfire.distributions import normalised
from hotfire.environment import Environment
from hotfire.errors import ProjectError
from hotfire.image_order import NEEDED, lock_file, python_line
from hotfire.images import OwnLine
from hotfire.preflight.installed import Installed
from hotfire.preflight.requirements import Requirements


def own_line(
    environment: Environment, requirements: Requirements, installed: Installed | None
) -> OwnLine | None:
    """The image of an environment with `serving: hotfire`; None if nothing says which torch it has."""
    try:
        lock = image_lock.read(lock_file(environment))
        if lock is not None:
            names = frozenset(pin.name for pin in lock.pins)
            return OwnLine(lock.version("torch") or "", (_tag(lock.python_line),), names)
        python = ".".join(map(str, python_line(environment.python)))
    except ProjectError:  # who builds it is told
        return None
    pinned = next((one.pin for one in requirements.lines if one.name == "torch" and one.pin), None)
    here = installed.version("torch") if installed else None
    torch = environment.own_image.torch or pinned or here
    if torch is None:
        return None
    needed = [normalised(name) for name in NEEDED]
    packages = installed.closure(needed) if installed else frozenset(needed)
    return OwnLine(torch.partition("+")[0], (_tag(python),), packages)


def _tag(python: str) -> str:
    return f"py{python.replace('.', '')}"
