"""A base for images of one's own: Debian's smallest system with this Python, as `python:3.11-slim` is.

No registry is needed. `build(client)` takes half a minute, once on a machine, and gives the image's name.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import Any

NAME = "hotfire-tests/python:1"

_RELEASE = "bookworm"
_LIBRARIES = "libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libuuid1,libreadline8,libexpat1"
"""What the modules of Python's standard library are linked to."""
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "__pycache__"}
_OF_APT = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "debootstrap")


def build(client: Any, debootstrap: str) -> str:
    """Have it in the engine that a client of Docker's leads to."""
    if not any(NAME in image.tags for image in client.images.list()):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "root"
            _debian(debootstrap, root)
            _python(root)
            # Podman takes no tag here.
            told = client.api.import_image_from_data(_tar(root), changes=['CMD ["/bin/sh"]'])
            client.images.get(json.loads(told.splitlines()[-1])["status"]).tag(*NAME.split(":"))
    return NAME


def _debian(debootstrap: str, root: Path) -> None:
    options = ["--variant=minbase", f"--include=ca-certificates,{_LIBRARIES}"]
    command = [debootstrap, *options, _RELEASE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    for name in _OF_APT:
        shutil.rmtree(root / name, ignore_errors=True)


def _python(root: Path) -> None:
    """This Python, with the pip that comes with it, under /usr/local."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    _copy(Path(os.path.realpath(sys.executable)), root / "usr/local/bin" / name)
    (root / "usr/local/bin/python3").symlink_to(name)
    library = Path(sysconfig.get_path("stdlib"))
    shared = Path(sys.base_prefix, "lib", sysconfig.get_config_var("INSTSONAME") or "")
    if shared.is_file():
        _copy(shared, root / "usr/local/lib" / shared.name)
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and not _LEFT_OUT & set(parts) and not parts[0].startswith("config-"):
            _copy(path, root / "usr/local/lib" / name / path.relative_to(library))
    (root / "usr/local/lib" / name / "site-packages").mkdir()
    for command in (["ldconfig"], ["/usr/local/bin/python3", "-m", "ensurepip"]):
        subprocess.run(["chroot", str(root), *command], capture_output=True, check=True)
    for folder in [path for path in root.rglob("__pycache__") if path.is_dir()]:
        shutil.rmtree(folder)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    target.chmod(source.stat().st_mode & 0o755)


def _tar(root: Path) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        tar.add(root, ".")
    return written.getvalue()
