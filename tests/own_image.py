"""An image of one's own, built once for all tests by `hotfire image` itself, as a user builds one.

torch comes as a wheel from wherever pip has it here, the rest from the index; the base is `python_base`'s.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = "hotfire-tests/own"
LOCK = "image.lock"
HANDLER = "def model_fn(model_dir):\n    return None\n\ndef predict_fn(data, model):\n    return data\n"

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_SECONDS = 900


@dataclass(frozen=True)
class OwnImage:
    """Its name, and what a project says and has to be served by it without building anything."""

    name: str
    settings: Mapping[str, Any]
    lock: str

    def give(self, folder: Path) -> Mapping[str, Any]:
        """Settings of an environment of the project in a folder, which gets the lock."""
        (folder / LOCK).write_text(self.lock)
        return {"serving": "hotfire", "own_image": dict(self.settings)}


def build(base: str, folder: Path) -> OwnImage:
    """Have it in the engine; a few seconds where it is there from an earlier run."""
    wheels = folder / "wheels"
    torch = version("torch").partition("+")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    subprocess.run([*command, f"torch=={torch}"], check=True, timeout=_SECONDS)
    settings = {
        "base": base,
        "torch": torch,
        "torch_index": "none",
        "wheels": str(wheels),
        "network": "host",
        "repository": REPOSITORY,
        "lock": LOCK,
    }
    if _CERTIFICATES.is_file():
        settings["certificate"] = str(_CERTIFICATES)
    environment = {"model_name": "own", "serving": "hotfire", "own_image": settings}
    (folder / "config.yml").write_text(json.dumps({"environments": {"local": environment}}))
    (folder / "serve.py").write_text(HANDLER)
    variables = {**os.environ, "HOTFIRE_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "hotfire", "image", "--json"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return OwnImage(json.loads(done.stdout)["image"], settings, (folder / LOCK).read_text())
