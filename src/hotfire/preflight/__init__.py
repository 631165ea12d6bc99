"""What would fail in production, found before it gets there: rules over a project or an archive."""

from hotfire.preflight.finding import SEVERITIES, Finding, Rule, require
from hotfire.preflight.handler import ARGUMENTS, check

__all__ = ["ARGUMENTS", "SEVERITIES", "Finding", "Rule", "check", "require"]
