"""What every benchmark prints and writes: a table of medians with their quartiles, and the same as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A figure, measured several times. A reach is missed only if the whole interquartile range misses it."""

    name: str
    values: Sequence[float]
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """The first quartile, the median and the third."""
        if len(self.values) == 1:
            return (self.values[0],) * 3
        q1, median, q3 = statistics.quantiles(self.values, n=4, method="inclusive")
        return q1, median, q3

    @property
    def reach(self) -> str:
        """What it is to reach, and whether it does."""
        q1, _, q3 = self.quartiles
        if self.at_most is not None:
            return f"at most {self.at_most:g}: {'reached' if q1 <= self.at_most else 'MISSED'}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}: {'reached' if q3 >= self.at_least else 'MISSED'}"
        return ""


@dataclass
class Report:
    """The rows of one run."""

    measure: str
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take a row and say it at once, since a run is long."""
        self.rows.append(row)
        q1, median, q3 = row.quartiles
        print(f"{row.name}: {median:.4g} {row.unit} ({q1:.4g} to {q3:.4g})  {row.reach}".rstrip(), flush=True)

    def finish(self, file: Path | None) -> None:
        """Print the table, and write the JSON if a file is named."""
        width = max(len(row.name) for row in self.rows) + 2
        print(f"\n{self.measure}\n\n{'':{width}} {'q1':>9} {'median':>9} {'q3':>9}  unit    reach")
        for row in self.rows:
            numbers = "".join(f"{number:10.4g}" for number in row.quartiles)
            print(f"{row.name:{width}}{numbers}  {row.unit:7} {row.reach}".rstrip())
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(self._to_json(), indent=2) + "\n")

    def _to_json(self) -> dict[str, object]:
        machine = {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }
        rows = {
            row.name: {
                **dict(zip(("q1", "median", "q3"), row.quartiles, strict=True)),
                "unit": row.unit,
                "reach": row.reach,
                "values": list(row.values),
            }
            for row in self.rows
        }
        return {"measure": self.measure, "machine": machine, "rows": rows}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", type=Path, help="write the report there")
    return options
