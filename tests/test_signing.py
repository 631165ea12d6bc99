import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from botocore import auth
from hotfire.cli.signing import interruptible
from hotfire.environment import load

before = auth.AUTH_TYPE_MAPS["v4"]
interruptible(load(config=Path(sys.argv[1]), name="local"))
print(before.__name__)
print(*(auth.AUTH_TYPE_MAPS[name].__module__ for name in ("v4", "v4-query", "s3v4", "s3v4-query")))
"""


def test_a_command_signs_in_python_where_awscrt_is_installed(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("environments:\n  local: {model_name: one}\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "config.yml"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["CrtSigV4Auth", " ".join(["botocore.auth"] * 4)], done.stderr
