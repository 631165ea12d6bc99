"""What the entry point of AWS's Ray Serve image does with `serve`, for a model folder that may lie anywhere.

The module path, the requirements, Ray without its dashboard, Serve, the config file, and a server before it:
in the same order and by the same programs. Three things are otherwise. It waits for each step where the image
sleeps; pip is that of the Python that runs the tests; and ports, folders and Ray's resources are told, as
several of these may run beside each other.
"""

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SECONDS = 120
ATTEMPTS = 3
"""Ray gives up on its own programs after 30 s, which a busy machine may need."""
PROGRAMS = Path(sys.executable).parent


def main() -> None:
    told = arguments()
    path = [str(told.model), str(told.model / "code"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["SM_MODEL_DIR"] = str(told.model)

    def run(program: str, *arguments: str) -> None:
        command = [str(PROGRAMS / program), *arguments]
        subprocess.run(command, env=environment, check=True, timeout=SECONDS)

    requirements = told.model / "code" / "requirements.txt"
    if requirements.is_file():
        subprocess.run([*told.pip, "install", "-r", str(requirements)], check=True, timeout=SECONDS)
    resources = ["--num-cpus=16", "--num-gpus=1", "--object-store-memory=100000000"]
    ports = [f"--port={told.ray_port}", f"--ray-client-server-port={told.client_port}"]
    ports += ["--min-worker-port=0", "--max-worker-port=0"]
    where = ["--node-ip-address=127.0.0.1", f"--temp-dir={told.folder}"]
    for attempt in range(ATTEMPTS):
        try:
            run("ray", "start", "--head", "--include-dashboard=False", *ports, *where, *resources)
            break
        except subprocess.CalledProcessError:
            if attempt == ATTEMPTS - 1:
                raise
    environment["RAY_ADDRESS"] = f"127.0.0.1:{told.ray_port}"
    run("serve", "start", "--http-host=127.0.0.1", f"--http-port={told.serve_port}")
    backend = f"http://127.0.0.1:{told.serve_port}"
    config = str(told.model / "config.yaml")
    with subprocess.Popen([str(PROGRAMS / "serve"), "run", config], env=environment):
        wait_for(f"{backend}/-/healthz")
        server = [str(PROGRAMS / "uvicorn"), "--app-dir", str(Path(__file__).parent), "proxy:app"]
        own = {**os.environ, "BACKEND": backend}
        subprocess.run([*server, f"--port={told.port}"], env=own, check=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    for port in ("--port", "--serve-port", "--ray-port", "--client-port"):
        parser.add_argument(port, type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--pip", nargs=argparse.REMAINDER, required=True)
    return parser.parse_args()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
