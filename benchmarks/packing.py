"""Packing weights against `tar -czf`: how many times as fast, and how much larger the archive is.

Random bytes are the worst case: nothing can be saved on them. Each pair packs the same file by both, one
after the other, the order changing from pair to pair. Ours counts all that `hotfire pack` does with model
data: hashing it for the first time, packing it, and proving that what was packed is what was hashed.

    python benchmarks/packing.py [--megabytes 1024] [--pairs 10] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from report import Report, Row, parser

from hotfire.archive import pack
from hotfire.hashes import HashCache
from hotfire.sources import Sources, collect


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=1024, help="size of the weights (1024)")
    options.add_argument("--pairs", type=int, default=10, help="how often both are measured (10)")
    options.add_argument(
        "--folder", type=Path, help="where to work; needs three times the size of the weights"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as top:
        project = Path(top, "project")
        project.mkdir()
        (project / "serve.py").write_text("def model_fn(model_dir): ...\n")
        _write_random(project / "weights.bin", given.megabytes)
        pairs = []
        for number in range(given.pairs):
            pairs.append(_pair(Path(top), project, ours_first=number % 2 == 0))
            print(f"pair {number + 1}: {pairs[-1]}", flush=True)
    report = Report(f"Packing {given.megabytes} MB of random weights")
    report.add(Row("hotfire", [pair["hotfire_s"] for pair in pairs], "s"))
    report.add(Row("tar -czf", [pair["tar_s"] for pair in pairs], "s"))
    report.add(Row("times as fast", [pair["tar_s"] / pair["hotfire_s"] for pair in pairs], "x", at_least=5))
    sizes = [pair["hotfire_bytes"] / pair["tar_bytes"] for pair in pairs]
    report.add(Row("size of the archive", sizes, "x", at_most=1.01))
    report.finish(given.json)


def _write_random(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))


def _pair(top: Path, project: Path, *, ours_first: bool) -> dict[str, float]:
    steps: list[tuple[str, Callable[[Path, Path], None]]] = [("hotfire", _by_hotfire), ("tar", _by_tar)]
    result: dict[str, float] = {}
    for name, step in steps if ours_first else steps[::-1]:
        target = top / name / "model.tar.gz"
        target.parent.mkdir()
        os.sync()  # no writer pays for what the one before left in memory
        started = time.perf_counter()
        step(project, target)
        result[f"{name}_s"] = time.perf_counter() - started
        result[f"{name}_bytes"] = target.stat().st_size
        shutil.rmtree(target.parent)
    return result


def _by_hotfire(project: Path, target: Path) -> None:
    sources = Sources(project, project / "serve.py", artifacts=(project / "weights.bin",))
    pack(collect(sources, HashCache(target.with_name("hashes.json"))), target)


def _by_tar(project: Path, target: Path) -> None:
    subprocess.run(["tar", "-czf", target, "-C", project, "weights.bin", "serve.py"], check=True)


if __name__ == "__main__":
    main()
