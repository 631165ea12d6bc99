"""Write docs/preflight.md out of the rules themselves: `python scripts/document_rules.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hotfire.preflight import Rule
from hotfire.preflight.measured import RULES as MEASURED
from hotfire.preflight.rules import STATIC

INTRODUCTION = """\
# Preflight

`hotfire check` says what would fail in production, before it gets there: in the project, in that of the
folder that is named, or in a `model.tar.gz`. The same rules run in every deploy, before any call: errors stop
it, warnings are shown. It exits 1 if there are errors.

```
hotfire check                        for the environment `local`
hotfire check --env production       for AWS
hotfire check build/model.tar.gz     an archive
hotfire check --measure              asks the endpoint of the local region, too
```

Where an environment is local, what is about AWS is *information*: it does not fail here, and a deploy to this
machine does not look for it. The rules about an image hold for AWS's PyTorch inference images: that of
`framework_version`, the newest if none is given, and for its Ray Serve image with `serving: ray`. With an
`image` of your own they find nothing.

What an image carries is known from its published Dockerfile. Nothing is asked of PyPI.

A rule that does not fit is silenced in `config.yml`, with the reason, which `hotfire check --all` shows:

```yaml
    preflight:
      ignore:
        image-patches: our own security team rebuilds the image
```
"""

BEFORE_STATIC = """\
## Rules that read

They read sources, requirements, model data and `config.yml`; nothing is run.
"""

BEFORE_MEASURED = """\
## Rules that measure

With `--measure`, and in a deploy to AWS where the local region serves what is to be deployed: the examples
are sent to it, and its processes are looked at.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, BEFORE_STATIC, "\n".join(_table(STATIC)), BEFORE_MEASURED]
    return "\n".join([*parts, *_table(MEASURED)]).rstrip("\n") + "\n"


def _table(rules: tuple[Rule, ...]) -> Iterator[str]:
    yield "| rule | is | finds | way out |"
    yield "| --- | --- | --- | --- |"
    for rule in rules:
        about = f"{rule.severity}, about AWS" if rule.of_aws else rule.severity
        yield f"| `{rule.name}` | {about} | {rule.finds} | {rule.way_out} |"
    yield ""


if __name__ == "__main__":
    file = Path(__file__).parent.parent / "docs" / "preflight.md"
    file.write_text(page())
