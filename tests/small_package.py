"""Packages of one line, as wheels: for images that are built without a network, and quickly."""

import hashlib
import io
import zipfile
from pathlib import Path

from hotfire.image_lock import Pin


def wheel_of(folder: Path, name: str, version: str) -> Pin:
    """One in a folder, and how a lock names it."""
    written = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": "NAMES = {'a', 'b', 'c'}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{place},,\n" for place in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(written, "w") as archive:
        for place, text in files.items():
            archive.writestr(zipfile.ZipInfo(place, (1980, 1, 1, 0, 0, 0)), text)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}-{version}-py3-none-any.whl").write_bytes(written.getvalue())
    return Pin(name, version, hashlib.sha256(written.getvalue()).hexdigest())
