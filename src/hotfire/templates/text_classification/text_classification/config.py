"""Where things are kept, and how the scripts log."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = ROOT / "experiments"
LOGS = ROOT / "logs"
TENSORBOARD = LOGS / "tensorboard"

_LOG_BYTES = 1_000_000
_OLD_LOGS = 4


def set_up_logging(file: Path) -> None:
    """Plain lines on the terminal, and the same with the time in `file`.

    A file that is full becomes `file.1`, and so on up to `file.4`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    screen = logging.StreamHandler(sys.stdout)
    screen.setFormatter(logging.Formatter("%(message)s"))
    kept = RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=_OLD_LOGS, encoding="utf-8")
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger(__package__)
    package.handlers = [screen, kept]
    package.setLevel(logging.INFO)
    package.propagate = False
