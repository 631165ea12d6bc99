"""The log of a region that runs for months."""

import os
import subprocess
import sys
from pathlib import Path

from hotfire.server import log

PROGRAM = """\
import logging, os, sys
from pathlib import Path
from hotfire.server import log
home, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with log.kept(home, size):
    for number in range(count):
        logging.getLogger("hotfire.region").warning("line %d", number)
print("printed at the end", flush=True)
"""


def run(home: Path, count: int, size: int, output: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(home), str(count), str(size)]
    subprocess.run(command, stdout=output, stderr=output, check=True, timeout=60)


def test_the_log_is_put_aside_when_it_is_full_and_the_oldest_deleted(tmp_path: Path) -> None:
    with (tmp_path / log.NAME).open("ab") as output:
        run(tmp_path, 1000, 2000, output.fileno())
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == ["region.log", "region.log.1", "region.log.2", "region.log.3"]
    assert max(file.stat().st_size for file in tmp_path.iterdir()) <= 2100
    assert "line 999" in (tmp_path / log.NAME).read_text()


def test_what_the_process_prints_goes_to_the_log_that_is_written(tmp_path: Path) -> None:
    with (tmp_path / log.NAME).open("ab") as output:
        run(tmp_path, 100, 2000, output.fileno())
    assert (tmp_path / log.NAME).read_text().endswith("printed at the end\n")


def test_a_line_is_in_the_log_once(tmp_path: Path) -> None:
    with (tmp_path / log.NAME).open("ab") as output:
        run(tmp_path, 1, 2000, output.fileno())
    assert (tmp_path / log.NAME).read_text().count("line 0") == 1


def test_in_the_foreground_it_is_shown_too(tmp_path: Path) -> None:
    with (tmp_path / "terminal").open("ab") as output:
        run(tmp_path, 1, 2000, output.fileno())
    for name in ("terminal", log.NAME):
        assert "hotfire.region WARNING line 0" in (tmp_path / name).read_text()


def test_a_closed_output_is_no_log(tmp_path: Path) -> None:
    (tmp_path / log.NAME).touch()
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert log._is(tmp_path / log.NAME, writer) is False
