"""Write docs/api.md from the operations of the region; `--check` only says whether it is up to date."""

from __future__ import annotations

import asyncio
import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from botocore.loaders import Loader
from botocore.model import ServiceModel

from hotfire.address import Exposure, Key
from hotfire.server.app import Operations, Region

FILE = Path(__file__).parent.parent / "docs" / "api.md"
HEAD = """\
# API

What the local region has of AWS's services. Requests are read and checked, and answers written, by AWS's own
service models, as botocore has them. What means nothing on one machine, such as networks and encryption keys,
is kept and told, and does nothing.

An operation that is not on this page is refused as AWS refuses one that it does not know:
`UnknownOperationException` with status 400 where the operation is named in a header, with 404 where it is a
path, `InvalidAction` with 400 where it is a field of a form, `NotImplemented` with 501 by S3. So is every
operation of a service that is not on this page. The region's log (`region.log` in `HOTFIRE_HOME`) says which
it was.
"""


def page() -> str:
    """The page as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_page(Path(folder)))


async def _page(home: Path) -> str:
    region = Region(home, Key("", ""), Exposure(), 1, Path(sys.executable), {})
    try:
        services = {**{name: had for name, (_, had) in region.services.items()}, "s3": region.objects}
        return "\n".join([HEAD, *(_section(name, had) for name, had in services.items())])
    finally:
        await region.close()


def _section(name: str, had: Operations) -> str:
    model = ServiceModel(Loader().load_service_model(name, "service-2"), name)
    title = model.metadata.get("serviceFullName", name)
    return "\n".join([f"## {title} (`{name}`)\n", "| operation | |", "| --- | --- |", *_rows(model, had), ""])


def _rows(model: ServiceModel, had: Operations) -> Iterator[str]:
    for name, operation in had.operations.items():
        if name in model.operation_names:
            text = inspect.getdoc(operation)
            assert text, f"{name} has no docstring"
            yield f"| `{name}` | {' '.join(text.partition(chr(10) * 2)[0].split())} |"


def main() -> None:
    if sys.argv[1:] != ["--check"]:
        FILE.write_text(page())
    elif FILE.read_text() != page():
        sys.exit("docs/api.md is not what the region has: run scripts/document_api.py")


if __name__ == "__main__":
    main()
