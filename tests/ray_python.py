"""A Python of its own that has Ray, and torch and AWS's toolkit out of the Python that runs the tests."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

_REQUIREMENTS = Path(__file__).with_name("ray_requirements.txt")


def made(folder: Path) -> Path:
    """The Python of a new virtual environment in this folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # Every package is named with its version, so pip has nothing to find out.
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command = [*pip, "install", *options, "--requirement", str(_REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    # Looked through last: what Ray came with wins, and a gigabyte of torch is not installed twice.
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "beneath.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python
