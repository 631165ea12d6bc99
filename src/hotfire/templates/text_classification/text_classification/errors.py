"""What the user can mend, told in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """An option, file or row that cannot be used: the message says which, and what to do."""


@contextmanager
def reported() -> Iterator[None]:
    """Around a script's `main`: a user's error is one line and exit 1, Ctrl-C is exit 130."""
    script = Path(sys.argv[0]).name
    try:
        yield
    except UserError as error:
        sys.exit(f"{script}: {error}")
    except KeyboardInterrupt:
        print(f"\n{script}: stopped", file=sys.stderr)
        sys.exit(130)
