"""The documentation says what the code does."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from hotfire.environment import KNOWN_KEYS


def test_every_command_and_option_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_commands.py"))["page"]
    assert (repository / "docs" / "commands.md").read_text() == page()


def test_every_operation_of_the_region_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_api.py"))["page"]
    assert (repository / "docs" / "api.md").read_text() == page()


def test_every_rule_of_preflight_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_rules.py"))["page"]
    assert (repository / "docs" / "preflight.md").read_text() == page()


def test_every_key_of_the_configuration_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text))
    assert KNOWN_KEYS - documented == set()


@pytest.mark.parametrize(
    "name", ["README.md", "docs/architecture.md", "docs/configuration.md", "docs/performance.md"]
)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    file = repository / name
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", file.read_text())
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_the_readme_shows_what_it_is_and_how_to_begin_on_its_first_screen(repository: Path) -> None:
    screen = "\n".join((repository / "README.md").read_text().splitlines()[:24])
    order = [
        screen.find(text)
        for text in ("pip install", "hotfire new", "train.py", "hotfire deploy", "make demo", "make test")
    ]
    assert -1 not in order
    assert order == sorted(order)


def python_blocks(repository: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)


def test_the_handler_of_the_readme_loads_and_answers(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    handler = next(block for block in python_blocks(repository) if "def model_fn" in block)
    (tmp_path / "handler.py").write_text(handler)
    (tmp_path / "network.py").write_text("from torch.nn import Identity as Network\n")
    torch.save({}, tmp_path / "weights.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = runpy.run_path(str(tmp_path / "handler.py"))
    model = names["model_fn"](str(tmp_path))
    data = names["input_fn"]("[[1.0, 2.0]]", "application/json")
    assert names["output_fn"](names["predict_fn"](data, model), "application/json") == "[[1.0, 2.0]]"


def test_the_changelog_has_an_entry_for_this_version(repository: Path) -> None:
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text()


def test_nothing_of_ours_is_imported_by_the_help(repository: Path) -> None:
    import subprocess

    program = (
        "import sys; from hotfire.cli.root import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    ).stderr
    loaded = set(printed.split())
    assert "hotfire.cli.root" in loaded
    assert loaded & {"boto3", "botocore", "yaml", "asyncio", "jinja2", "uvicorn", "torch", "sqlite3"} == set()
