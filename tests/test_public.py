"""The public names, which cost nothing until they are used."""

import subprocess
import sys

import pytest

import hotfire


def test_the_public_names_are_these() -> None:
    assert sorted(hotfire.__all__) == ["DeployEnv", "__version__", "use_local"]


@pytest.mark.parametrize("name", hotfire.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(hotfire, name)
    assert isinstance(value, str) or value.__doc__


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'hotfire' has no attribute 'DeployEnvironment'"):
        _ = hotfire.DeployEnvironment


def test_to_import_the_package_imports_nothing_of_ours_or_of_others() -> None:
    program = "import sys, hotfire; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("hotfire")} == {"hotfire"}
    assert loaded & {"boto3", "botocore", "yaml", "click", "asyncio"} == set()
