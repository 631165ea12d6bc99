"""Which edit of a project may be made in a loaded model's functions, without running `model_fn` again."""

from hotfire.changes.decision import Decision, Patch, decide
from hotfire.changes.project import Sources

__all__ = ["Decision", "Patch", "Sources", "decide"]
