"""Packing weights against `tar -czf`: how many times as fast, and how much larger the archive is.

Random bytes are the worst case: nothing can be saved on them. Each pair packs the same file by both, one
after the other, the order changing from pair to pair. Ours counts all that `hotfire pack` does with model
data: hashing it for the first time, packing it, and proving that what was packed is what was hashed.

    python benchmarks/packing.py [--megabytes 1024] [--pairs 10] [--folder DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hotfire.archive import pack
from hotfire.hashes import HashCache
from hotfire.sources import Sources, collect


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as top:
        project = Path(top, "project")
        project.mkdir()
        (project / "serve.py").write_text("def model_fn(model_dir): ...\n")
        _write_random(project / "weights.bin", options.megabytes)
        pairs = []
        for number in range(options.pairs):
            pair = _pair(Path(top), project, ours_first=number % 2 == 0)
            pairs.append(pair)
            print(
                f"pair {number + 1:2}: hotfire {pair['hotfire_s']:6.2f} s, tar -czf {pair['tar_s']:6.2f} s",
                flush=True,
            )
    report = _report(options.megabytes, pairs)
    _print(report)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the weights (1024)")
    parser.add_argument("--pairs", type=int, default=10, help="how often both are measured (10)")
    parser.add_argument(
        "--folder", type=Path, help="where to work; needs three times the size of the weights"
    )
    parser.add_argument("--json", type=Path, help="write the report there")
    return parser.parse_args()


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


def _report(megabytes: int, pairs: list[dict[str, float]]) -> dict[str, object]:
    return {
        "measure": f"packing {megabytes} MB of random weights",
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "rows": {
            "hotfire, seconds": _quartiles([pair["hotfire_s"] for pair in pairs]),
            "tar -czf, seconds": _quartiles([pair["tar_s"] for pair in pairs]),
            "times as fast": _quartiles([pair["tar_s"] / pair["hotfire_s"] for pair in pairs]),
            "size": _quartiles([pair["hotfire_bytes"] / pair["tar_bytes"] for pair in pairs]),
        },
        "reach": {"times as fast": "at least 5", "size": "at most 1.01"},
        "pairs": pairs,
    }


def _quartiles(values: list[float]) -> dict[str, float]:
    if len(values) == 1:
        return {"q1": values[0], "median": values[0], "q3": values[0]}
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"q1": q1, "median": median, "q3": q3}


def _print(report: dict[str, object]) -> None:
    print(f"\n{report['measure']}\n\n{'':20} {'q1':>9} {'median':>9} {'q3':>9}  reach")
    rows, reach = report["rows"], report["reach"]
    assert isinstance(rows, dict)
    assert isinstance(reach, dict)
    for name, row in rows.items():
        numbers = "".join(f"{row[part]:10.4f}" for part in ("q1", "median", "q3"))
        print(f"{name:20}{numbers}  {reach.get(name, '')}".rstrip())


if __name__ == "__main__":
    main()
